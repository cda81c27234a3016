/* The engine's half of core.h for a library that is called directly: for tests, no program is run.
 *
 * The system call is inlined, so that the library needs no libc. */
#include "../core/base/rawsys.h"
#include "../core/core.h"

#define RL_EXPORT __attribute__((visibility("default"), used))

struct rl_identity rl_me RL_EXPORT;

long rl_sys(long nr, long a, long b, long c, long d, long e, long f)
{
    return rl_rawsys(nr, a, b, c, d, e, f);
}
