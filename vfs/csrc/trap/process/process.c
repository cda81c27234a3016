/* uname, resource limits, the end of a process, ptrace by debuggers inside, and clones that share what a fork does not. */
#include <linux/sched.h>
#include <linux/utsname.h>

#include "../engine.h"
#include "../table/syscalls.h"

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

long rl_set_open_files(struct rl_call *c, u64 set, u64 get)
{
    u64 limit[2];
    long r = rl_user_read(c, limit, set, sizeof limit);

    return r < 0 ? r : rl_keptdirs_limit(limit, get);
}

/* Limits of another process, or our own by process ID: only our own can be set. The filter cannot know which processes
 * are inside. The kernel is called first, for its error on a missing process or a bad argument. */
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
    if ((u32)c->arg[1] == RL_RLIMIT_NOFILE && c->arg[2])
        return rl_set_open_files(c, c->arg[2], c->arg[3]);
    return rl_sys4(__NR_prlimit64, 0, (long)c->arg[1], (long)c->arg[2], (long)c->arg[3]);
}

u32 rl_cwd_is_shared;

int rl_memory_is_alone(void)
{
    return !rl_memory_is_borrowed() && !rl_has_threads();
}

/* Only those of rl_check_clone: the program's own instruction makes the call once more, with the mark. */
long rl_do_clone(struct rl_call *c)
{
    rl_cwd_ask();
    if ((u32)c->arg[0] & CLONE_FS)
        rl_cwd_is_shared = 1;
    *rl_reg_arg(c->uc, 0) = (u32)c->arg[0] | RL_PASS_MARK;
    *rl_reg_nr(c->uc) = (u64)c->nr;
    *rl_reg_ip(c->uc) -= RL_SITE_BYTES;
    c->resumed = 1;
    return 0;
}

/* The program's own instruction makes the call once more, with the mark: the kernel ignores the upper half. A vfork child
 * has noted its removals in its parent's memory. */
long rl_do_exit_group(struct rl_call *c)
{
    if (!rl_memory_is_borrowed())
        rl_removals_settle();
    *rl_reg_arg(c->uc, 0) = (u32)c->arg[0] | RL_PASS_MARK;
    *rl_reg_nr(c->uc) = (u64)c->nr;
    *rl_reg_ip(c->uc) -= RL_SITE_BYTES;
    c->resumed = 1;
    return 0;
}

#define RL_PTRACE_TRACEME 0
#define RL_PTRACE_O_TRACEEXEC 0x10

static u32 wants_a_tracer; /* thread that requested tracing in borrowed memory; 0: none */

/* PTRACE_TRACEME and PTRACE_SETOPTIONS, for debuggers inside.
 *
 * 1. A vfork child that requests to be traced (gdb's `run`) would stop at its next trapped call, and its tracer, which
 *    vfork suspends, would never see it. It is traced from its exec on, which is all that the tracer needs.
 * 2. The kernel reports an exec before the engine has loaded the program: a tracer with the event enabled would then
 *    look for the program too early. Without the event there is a SIGTRAP, which the engine has blocked: it is
 *    delivered when the program is mapped (start.c). So the event is disabled for all tracers but those that SEIZE
 *    (strace).
 */
long rl_do_ptrace(struct rl_call *c)
{
    long options = (long)c->arg[3];

    if ((u32)c->arg[0] == RL_PTRACE_ATTACH || (u32)c->arg[0] == RL_PTRACE_SEIZE) /* signalfilter.c */
        return rl_may_trace((i32)c->arg[1]) ? rl_sys4(__NR_ptrace, (long)c->arg[0], (long)c->arg[1], (long)c->arg[2], options) : -EPERM;
    if ((i32)c->arg[0] != RL_PTRACE_TRACEME)
        options &= ~(long)RL_PTRACE_O_TRACEEXEC;
    else if (rl_memory_is_borrowed()) {
        wants_a_tracer = (u32)rl_sys0(__NR_gettid);
        return 0;
    }
    if ((i32)c->arg[0] == RL_PTRACE_TRACEME)
        rl_patch_exec(c, *rl_reg_ip(c->uc)); /* patch.c, rule 5 */
    return rl_sys4(__NR_ptrace, (long)c->arg[0], (long)c->arg[1], (long)c->arg[2], options);
}

void rl_trace_before_exec(void)
{
    if (wants_a_tracer == 0 || wants_a_tracer != (u32)rl_sys0(__NR_gettid))
        return;
    wants_a_tracer = 0;
    rl_sys4(__NR_ptrace, RL_PTRACE_TRACEME, 0, 0, 0);
}
