/* Signals as the program sees them, although the engine owns SIGSYS, SIGSEGV and SIGBUS.
 *
 * 1. SIGSYS is never blocked for real, not even for the time of a handler or of a sigsuspend: a call
 *    trapped while it is blocked would end the process.
 * 2. The program's actions for the three signals are kept here; the kernel also gets the program's mask and flags for
 *    SIGSEGV and SIGBUS, with the engine's handler in front (fault.c).
 * 3. A mask the program sets is applied to the saved context: sigreturn installs it.
 * 4. SIGSYS in an action's mask is stored separately, so that the program reads back the mask that it has set.
 */
#include "../engine.h"
#include "../table/syscalls.h"

#define RL_SIGSET_BYTES 8

extern char rl_sigsys_entry[], rl_fault_entry[], rl_restorer[];

u32 rl_faults_blocked;
static struct {
    struct rl_sigaction own[3]; /* the program's: SIGSYS, SIGSEGV, SIGBUS. No lock: as for the kernel's, the thread that
                                 * sets one last wins; but a vfork child never writes here */
    u64 holding; /* signals with SIGSYS in the mask of their action, as the program set it. Any thread, atomically */
} state;

struct rl_sigaction *rl_virtual_action(int sig)
{
    switch (sig) {
    case RL_SIGSYS: return &state.own[0];
    case RL_SIGSEGV: return &state.own[1];
    case RL_SIGBUS: return &state.own[2];
    default: return NULL;
    }
}

int rl_holds_sigsys(int sig) { return sig > 0 && sig <= 64 && (__atomic_load_n(&state.holding, __ATOMIC_RELAXED) & RL_SIGBIT(sig)) != 0; }

static void hold(int sig, u64 mask)
{
    if (mask & RL_SIGBIT(RL_SIGSYS))
        __atomic_fetch_or(&state.holding, RL_SIGBIT(sig), __ATOMIC_RELAXED);
    else if (rl_holds_sigsys(sig))
        __atomic_fetch_and(&state.holding, ~RL_SIGBIT(sig), __ATOMIC_RELAXED);
}

static long action(int sig, const struct rl_sigaction *want, struct rl_sigaction *old)
{
    return rl_sys4(__NR_rt_sigaction, sig, (long)want, (long)old, RL_SIGSET_BYTES);
}

/* The kernel's action for SIGSEGV and SIGBUS if the program sets `want`: the engine's handler in front. */
static struct rl_sigaction in_front(const struct rl_sigaction *want)
{
    struct rl_sigaction k = *want;

    if (k.handler == RL_SIG_DFL || k.handler == RL_SIG_IGN)
        k = (struct rl_sigaction){.flags = RL_SA_ONSTACK};
    k.handler = (u64)rl_fault_entry;
    k.flags = (k.flags | RL_SA_SIGINFO) & ~RL_SA_RESETHAND;
    if (!(k.flags & RL_SA_RESTORER)) {
        k.flags |= RL_SA_RESTORER;
        k.restorer = (u64)rl_restorer;
    }
    k.mask &= ~RL_SIGBIT(RL_SIGSYS);
    return k;
}

long rl_install_action(int sig, const struct rl_sigaction *want)
{
    struct rl_sigaction k = in_front(want);

    return sig == RL_SIGSYS ? 0 : action(sig, &k, NULL); /* the kernel's action for SIGSYS is set once */
}

void rl_signals_init(void)
{
    static const int faults[] = {RL_SIGSEGV, RL_SIGBUS};
    struct rl_sigaction k, old;

    k.handler = (u64)rl_sigsys_entry;
    k.flags = RL_SA_SIGINFO | RL_SA_RESTORER | RL_SA_ONSTACK;
    k.restorer = (u64)rl_restorer;
    k.mask = ~RL_SIG_FAULTS;
    action(RL_SIGSYS, &k, &old);
    state.own[0] = (struct rl_sigaction){.handler = old.handler == RL_SIG_IGN ? RL_SIG_IGN : RL_SIG_DFL};
    k = in_front(&(struct rl_sigaction){.handler = RL_SIG_DFL}); /* the same as for RL_SIG_IGN */
    for (u32 i = 0; i < 2; i++) {
        action(faults[i], &k, &old);
        state.own[i + 1] = (struct rl_sigaction){.handler = old.handler == RL_SIG_IGN ? RL_SIG_IGN : RL_SIG_DFL};
    }
}

static int is_ours(const struct rl_sigaction *k)
{
    return k->handler == (u64)rl_fault_entry || k->handler == (u64)rl_sigsys_entry;
}

/* A vfork child has its own signal actions but the parent's memory: its actions are set only in the kernel (posix_spawn
 * resets every handler). It runs without the engine's fault handler from then on. */
static long borrowed_action(int sig, const struct rl_sigaction *want, struct rl_sigaction *old)
{
    const struct rl_sigaction *shown = rl_virtual_action(sig);
    long r = action(sig, NULL, old);

    if (r >= 0 && shown && is_ours(old))
        *old = *shown;
    return r >= 0 && want && sig != RL_SIGSYS ? action(sig, want, NULL) : r;
}

void rl_signals_before_exec(void)
{
    static const int sigs[] = {RL_SIGSYS, RL_SIGSEGV, RL_SIGBUS};
    static const struct rl_sigaction ignore = {.handler = RL_SIG_IGN};
    struct rl_sigaction now;

    for (u32 i = 0; i < 3; i++)
        if (state.own[i].handler == RL_SIG_IGN && action(sigs[i], NULL, &now) == 0 && is_ours(&now))
            action(sigs[i], &ignore, NULL);
}

void rl_signals_after_failed_exec(void)
{
    struct rl_sigaction sys = state.own[0], segv = state.own[1], bus = state.own[2];

    if (rl_memory_is_borrowed() ||
        (sys.handler != RL_SIG_IGN && segv.handler != RL_SIG_IGN && bus.handler != RL_SIG_IGN))
        return; /* a vfork child is about to leave the memory */
    rl_signals_init();
    state.own[0] = sys;
    state.own[1] = segv;
    state.own[2] = bus;
    rl_install_action(RL_SIGSEGV, &state.own[1]);
    rl_install_action(RL_SIGBUS, &state.own[2]);
}

/* For a signal that the engine does not own. */
static long plain_action(int sig, const struct rl_sigaction *want, struct rl_sigaction *old)
{
    struct rl_sigaction k;
    int held = rl_holds_sigsys(sig);
    long r;

    if (want) {
        k = *want;
        k.mask &= ~RL_SIGBIT(RL_SIGSYS);
    }
    r = action(sig, want ? &k : NULL, old);
    if (r >= 0 && held)
        old->mask |= RL_SIGBIT(RL_SIGSYS);
    if (r >= 0 && want && !rl_memory_is_borrowed())
        hold(sig, want->mask);
    return r;
}

long rl_do_rt_sigaction(struct rl_call *c)
{
    int sig = (int)c->arg[0];
    struct rl_sigaction want = {0}, old, *virtual = rl_virtual_action(sig);
    long r = 0;

    if (c->arg[3] != RL_SIGSET_BYTES)
        return -EINVAL;
    if (c->arg[1] && rl_user_read(c, &want, c->arg[1], sizeof want) < 0)
        return -EFAULT;
    rl_note_mask(want.mask);
    if (virtual && rl_memory_is_borrowed()) {
        want.mask &= ~RL_SIGBIT(RL_SIGSYS);
        r = borrowed_action(sig, c->arg[1] ? &want : NULL, &old);
    } else if (virtual) {
        old = *virtual;
        if (c->arg[1]) {
            want.mask &= ~(RL_SIGBIT(RL_SIGKILL) | RL_SIGBIT(RL_SIGSTOP)); /* as the kernel does */
            *virtual = want;
            r = rl_install_action(sig, &want);
        }
    } else {
        r = plain_action(sig, c->arg[1] ? &want : NULL, &old);
    }
    if (r >= 0 && c->arg[2])
        r = rl_user_write(c, c->arg[2], &old, sizeof old);
    return r;
}

long rl_do_rt_sigprocmask(struct rl_call *c)
{
    u64 set, old = c->uc->sigmask, new = old;

    if (c->arg[3] != RL_SIGSET_BYTES)
        return -EINVAL;
    if (c->arg[1]) {
        if (rl_user_read(c, &set, c->arg[1], sizeof set) < 0)
            return -EFAULT;
        if ((int)c->arg[0] != RL_SIG_UNBLOCK)
            rl_note_mask(set);
        set &= ~RL_SIG_NEVER;
        switch ((int)c->arg[0]) {
        case RL_SIG_BLOCK: new |= set; break;
        case RL_SIG_UNBLOCK: new &= ~set; break;
        case RL_SIG_SETMASK: new = set; break;
        default: return -EINVAL;
        }
    }
    if (c->arg[2] && rl_user_write(c, c->arg[2], &old, sizeof old) < 0)
        return -EFAULT;
    c->uc->sigmask = new;
    return 0;
}

/* The call with argument `at` replaced by a copy of the mask there, without SIGSYS. */
static long with_mask(struct rl_call *c, u32 at)
{
    u64 arg[6], *mask = (u64 *)rl_pass_buffer();

    if (rl_user_read(c, mask, c->arg[at], sizeof *mask) < 0)
        return -EFAULT;
    rl_note_mask(*mask);
    *mask &= ~RL_SIGBIT(RL_SIGSYS);
    memcpy(arg, c->arg, sizeof arg);
    arg[at] = (u64)mask;
    return rl_resume(c, c->nr, arg);
}

long rl_do_rt_sigsuspend(struct rl_call *c) { return with_mask(c, 0); }
long rl_do_ppoll(struct rl_call *c) { return with_mask(c, 3); }
long rl_do_epoll_pwait(struct rl_call *c) { return with_mask(c, 4); }

/* The sixth argument points to { mask pointer, mask size }. */
long rl_do_pselect6(struct rl_call *c)
{
    u64 arg[6], *pair = (u64 *)rl_pass_buffer();

    if (rl_user_read(c, pair, c->arg[5], 16) < 0)
        return -EFAULT;
    if (pair[0]) {
        if (rl_user_read(c, pair + 2, pair[0], 8) < 0)
            return -EFAULT;
        rl_note_mask(pair[2]);
        pair[2] &= ~RL_SIGBIT(RL_SIGSYS);
        pair[0] = (u64)(pair + 2);
    }
    memcpy(arg, c->arg, sizeof arg);
    arg[5] = (u64)pair;
    return rl_resume(c, c->nr, arg);
}
