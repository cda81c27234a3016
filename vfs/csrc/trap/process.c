/* What is left of a process: the machine's name. */
#include <linux/utsname.h>

#include "engine.h"
#include "syscalls.h"

long rl_do_uname(struct rl_call *c)
{
    struct new_utsname name;
    const char *host = rl_launch_str(rl_launch->hostname);
    long r = rl_sys1(__NR_uname, (long)&name);

    if (r < 0)
        return r;
    if (*host) {
        u32 i = 0;

        memset(name.nodename, 0, sizeof name.nodename);
        for (; host[i] && i < sizeof name.nodename - 1; i++)
            name.nodename[i] = host[i];
    }
    return rl_guest_write(c, c->arg[0], &name, sizeof name);
}
