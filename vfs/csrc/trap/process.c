/* What is left of a process: the machine's name, its limits, and being traced. */
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
    return rl_user_write(c, c->arg[0], &name, sizeof name);
}

/* Another process's limits, or our own by number: only these can be set. Nobody could tell the filter which process is
 * inside. What the kernel would say of a process that is not there, or of a bad argument, is asked of it first. */
long rl_do_prlimit64(struct rl_call *c)
{
    i32 pid = (i32)c->arg[0];
    int mark = (u32)c->arg[1] == RL_RLIMIT_MARK;
    long r = rl_sys4(__NR_prlimit64, pid, mark ? RL_RLIMIT_NOFILE : (long)c->arg[1], 0, 0);

    if (r < 0)
        return r;
    if (c->arg[2] && pid && pid != rl_sys0(__NR_getpid) && rl_sys3(__NR_tgkill, rl_sys0(__NR_getpid), pid, 0) < 0)
        return -EPERM;
    if (mark)
        return rl_mark_exchange(c, c->arg[2], c->arg[3]);
    return rl_sys4(__NR_prlimit64, 0, (long)c->arg[1], (long)c->arg[2], (long)c->arg[3]);
}

#define RL_PTRACE_TRACEME 0
#define RL_PTRACE_O_TRACEEXEC 0x10

static u32 wants_a_tracer; /* thread that asked in borrowed memory; 0: none */

/* PTRACE_TRACEME and PTRACE_SETOPTIONS, for debuggers inside.
 *
 * 1. A vfork child that asks to be traced (gdb's `run`) would stop at its next trapped call, and its tracer, which vfork
 *    suspends, would never see it. It is traced from its exec on, which is all that it wants.
 * 2. The kernel reports an exec before the engine has loaded the program: to a tracer that asked for the event, which
 *    would then look for the program in vain. Without the event there is a SIGTRAP, which the engine has blocked: it
 *    comes when the program is in its place (start.c). So nobody gets the event, but for those who SEIZE (strace).
 */
long rl_do_ptrace(struct rl_call *c)
{
    long options = (long)c->arg[3];

    if ((i32)c->arg[0] != RL_PTRACE_TRACEME)
        options &= ~(long)RL_PTRACE_O_TRACEEXEC;
    else if (rl_memory_is_borrowed()) {
        wants_a_tracer = (u32)rl_sys0(__NR_gettid);
        return 0;
    }
    if ((i32)c->arg[0] == RL_PTRACE_TRACEME)
        rl_patch_exec(c, c->uc->reg[RL_RIP]); /* patch.c, rule 5 */
    return rl_sys4(__NR_ptrace, (long)c->arg[0], (long)c->arg[1], (long)c->arg[2], options);
}

void rl_trace_before_exec(void)
{
    if (wants_a_tracer == 0 || wants_a_tracer != (u32)rl_sys0(__NR_gettid))
        return;
    wants_a_tracer = 0;
    rl_sys4(__NR_ptrace, RL_PTRACE_TRACEME, 0, 0, 0);
}
