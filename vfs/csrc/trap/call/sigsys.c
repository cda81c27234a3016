/* Find the table row of a trapped call, run its handler, and store the result.
 *
 * rl_dispatch uses only those parts of a signal frame that resume.c and signals.c need: a patched call site can enter
 * there, too.
 */
#include "../engine.h"
#include "../table/syscalls.h"

/* Copies the path arguments that the row names. 0 or -errno. */
static long take_paths(struct rl_call *c)
{
    const struct rl_syscall *row = c->row;
    long r;

    c->dir = rl_dir_arg(c->arg, row->dir);
    c->dir2 = rl_dir_arg(c->arg, row->dir2);
    c->flags = rl_flag_arg(row, c->arg);
    if (row->flag_arg && (c->flags & ~row->fixed))
        return -EINVAL;
    c->path = c->path2 = NULL;
    c->rest = row->rest ? &c->arg[row->rest - 1] : NULL;
    if (row->path) {
        u64 from = rl_arg(c->arg, row->path);

        if (from != 0 || !(row->options & RL_NULL_PATH)) {
            if (from == 0 && (c->flags & AT_EMPTY_PATH))
                c->slot->path[0] = 0;
            else if ((r = rl_user_text(c, c->slot->path, from, RL_PATH_MAX, -ENAMETOOLONG)) < 0)
                return r;
            c->path = c->slot->path;
        }
    }
    if (row->path2) {
        r = rl_user_text(c, c->slot->path2, rl_arg(c->arg, row->path2), RL_PATH_MAX, -ENAMETOOLONG);
        if (r < 0)
            return r;
        c->path2 = c->slot->path2;
    }
    return 0;
}

long rl_dispatch(struct rl_call *c)
{
    long r;

    rl_identity_settle();
    c->row = rl_syscall_row(c->nr);
    if (c->row == NULL || c->row->handler == NULL)
        return -ENOSYS;
    r = take_paths(c);
    if (r >= 0)
        r = c->row->handler(c);
    if (rl_launch->flags & RL_LAUNCH_TRACE)
        rl_trace(c, r);
    return r;
}

/* A pending signal has been sent by a process, and stays for the program. */
void rl_unblock_faults(const struct rl_ucontext *uc)
{
    u64 faults = uc->sigmask & RL_SIG_FAULTS, pending = 0;

    if (faults == 0)
        return;
    rl_sys2(__NR_rt_sigpending, (long)&pending, 8);
    faults &= ~pending;
    rl_sys4(__NR_rt_sigprocmask, RL_SIG_UNBLOCK, (long)&faults, 0, 8);
}

/* Called by the gate on the slot's stack. `stack` is the stack pointer of the signal frame's side. */
void rl_sigsys(const u8 *info, struct rl_ucontext *uc, u64 stack, struct rl_slot *slot)
{
    u64 ip = *rl_reg_ip(uc), sp = *rl_reg_sp(uc);
    struct rl_call c;
    long r;

    rl_unblock_faults(uc);
    c.nr = *(const i32 *)(info + 24); /* si_syscall */
    for (u32 i = 0; i < 6; i++)
        c.arg[i] = *rl_reg_arg(uc, i);
    c.uc = uc;
    c.stack = stack;
    c.slot = slot;
    c.resumed = c.patched = 0;
    r = rl_dispatch(&c);
    if (!c.resumed || r < 0)
        *rl_reg_result(uc) = (u64)r;
    if ((rl_launch->flags & (RL_LAUNCH_PATCH | RL_LAUNCH_TRACE)) == RL_LAUNCH_PATCH)
        rl_patch_trapped(&c, ip, sp);
}
