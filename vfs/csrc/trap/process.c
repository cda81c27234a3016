/* What is left of a process: the machine's name, and being traced. */
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

/* PTRACE_TRACEME. A vfork child that asks to be traced stops at its next trapped call, and its tracer,
 * which vfork suspends, would never see it: refused rather than a deadlock (gdb's `run`). */
long rl_do_ptrace(struct rl_call *c)
{
    if (rl_memory_is_borrowed())
        return -EPERM;
    return rl_sys4(__NR_ptrace, (long)c->arg[0], (long)c->arg[1], (long)c->arg[2], (long)c->arg[3]);
}
