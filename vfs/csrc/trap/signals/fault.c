/* SIGSEGV and SIGBUS: faults of the engine's own copies from bad pointers, and all others, which are the program's.
 * Also a SIGSYS that a process sent with kill(2).
 *
 * The functions here return the address of the program's handler to jump to (same arguments, same
 * frame: the kernel's action has the program's mask and flags), or 0 to return from the signal.
 */
#include "../engine.h"

extern char rl_copy_begin[], rl_copy_end[], rl_copy_fault[];

struct rl_siginfo {
    i32 sig, error, code, pad;
    u64 address;
};

/* The default action: the kernel takes it after the return from this frame. */
static u64 take_default(int sig, const struct rl_siginfo *info)
{
    struct rl_sigaction k = {.handler = RL_SIG_DFL};

    rl_sys4(__NR_rt_sigaction, sig, (long)&k, 0, 8);
    if (info->code <= 0) /* sent: the signal will not recur by itself */
        rl_sys3(__NR_tgkill, rl_sys0(__NR_getpid), rl_sys0(__NR_gettid), sig);
    return 0;
}

static u64 programs_handler(int sig, const struct rl_siginfo *info)
{
    struct rl_sigaction *v = rl_virtual_action(sig);
    u64 handler = v->handler;

    if (handler == RL_SIG_IGN && info->code <= 0)
        return 0;
    if (handler == RL_SIG_DFL || handler == RL_SIG_IGN)
        return take_default(sig, info);
    if (v->flags & RL_SA_RESETHAND) {
        *v = (struct rl_sigaction){.handler = RL_SIG_DFL};
        rl_install_action(sig, v);
    }
    return handler;
}

/* Sent while a call is being handled: blocked for the rest of that call and sent again, so that the program gets it in
 * its own context. */
static u64 put_off(int sig, const struct rl_siginfo *info, struct rl_ucontext *uc)
{
    uc->sigmask |= RL_SIGBIT(sig);
    rl_sys4(__NR_rt_tgsigqueueinfo, rl_sys0(__NR_getpid), rl_sys0(__NR_gettid), sig, (long)info);
    return 0;
}

u64 rl_fault(int sig, const struct rl_siginfo *info, struct rl_ucontext *uc)
{
    u64 ip = *rl_reg_ip(uc);

    if (info->code > 0 && ip >= (u64)rl_copy_begin && ip < (u64)rl_copy_end) {
        *rl_reg_ip(uc) = (u64)rl_copy_fault;
        return 0;
    }
    if (info->code <= 0 && rl_in_engine(ip) && uc->sigmask & RL_SIGBIT(RL_SIGSYS))
        return put_off(sig, info, uc);
    if (info->code > 0 && rl_in_engine(ip)) {
        char where[64];

        rl_put_u64(rl_put(rl_put_u64(rl_put(where, "0x"), ip, 16), ", address 0x"), info->address, 16);
        rl_die(RL_EXIT_ENGINE, "fault inside the engine at ", where, NULL);
    }
    return programs_handler(sig, info);
}

u64 rl_signal_sent(int sig, const struct rl_siginfo *info, struct rl_ucontext *uc)
{
    u64 handler = programs_handler(sig, info);

    if (handler) { /* the kernel blocked all signals for the engine; the program's mask has fewer */
        u64 mask = (uc->sigmask | rl_virtual_action(sig)->mask) & ~RL_SIG_NEVER;

        rl_sys4(__NR_rt_sigprocmask, RL_SIG_SETMASK, (long)&mask, 0, 8);
    }
    return handler;
}
