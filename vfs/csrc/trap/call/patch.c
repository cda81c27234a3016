/* Patch call sites that trap, so that they jump here: a signal and its return cost more than most calls.
 *
 * 1. A site is patched at its RL_PATCH_AFTERth trap, only if RL_LAUNCH_PATCH is set, and not before the process has
 *    trapped RL_PATCH_WARM times: the shortest programs end before a patch has paid for itself.
 * 2. A patched call first tries the fast path (fastpath.c): on the program's own stack, with no signal blocked and
 *    nothing held, so that a handler may run, or longjmp away, at any time. At most 2.75 KiB deep.
 * 3. Otherwise it is handled like a trapped call: signals blocked, a slot's stack, rl_dispatch().
 * 4. A call that may block, swap the signal mask or not return (rows without `patch`: execve, connect, ppoll, …) traps:
 *    for these the program's system call instruction is still there, and a handler that calls rl_resume() is run again
 *    from there.
 * 5. A process that requests to be traced and then executes (a child of lldb or ltrace) must not stop for a SIGSYS in
 *    between, which its tracer would take for the exec: execve's site is patched in advance, and exec.c runs as for any
 *    slow call.
 * 6. A fork during a patch leaves the lock free: its word is wiped in the child (slots.c).
 */
#include "patch.h"

#define RL_PATCH_AFTER 2
#define RL_PATCH_WARM 8
#define RL_PATCH_TRIED 0x80000000u
#define RL_HOT 256
#define RL_CODE_PAGES 512 /* distance from the call of ptrace to search for that of execve: in the same C library */

u64 rl_patch_map[RL_SYSCALL_LIMIT / 64];

/* Any thread, no lock: a race only costs a trap. */
static struct {
    u32 trapped; /* no more than RL_PATCH_WARM */
    struct {
        u64 ip;
        u32 traps;
    } hot[RL_HOT]; /* return addresses that trapped lately */
} state;

static int may_patch(long nr)
{
    const struct rl_syscall *row = rl_syscall_row(nr);

    return row != NULL && row->patch;
}

/* Not at start-up: most processes never need it. */
static void fill_map(void)
{
    for (long nr = 0; nr < RL_SYSCALL_LIMIT; nr++)
        if (may_patch(nr))
            rl_patch_map[nr / 64] |= 1ull << (nr & 63);
}

void rl_patch_trapped(struct rl_call *c, u64 ip, u64 sp)
{
    u32 i = (u32)(ip >> 1) % RL_HOT;
    u32 *lock = rl_patch_lock();
    struct rl_site site;

    if (!may_patch(c->nr))
        return;
    if (state.trapped < RL_PATCH_WARM)
        state.trapped++;
    if (state.hot[i].ip != ip) {
        state.hot[i].ip = ip;
        state.hot[i].traps = 0;
    }
    if (state.hot[i].traps & RL_PATCH_TRIED || ++state.hot[i].traps < RL_PATCH_AFTER || state.trapped < RL_PATCH_WARM)
        return;
    if (!rl_patch_read_site(c, ip, (u64)c->nr, sp, &site)) {
        state.hot[i].traps |= RL_PATCH_TRIED;
    } else if (!__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE)) { /* else at a later trap */
        state.hot[i].traps |= RL_PATCH_TRIED;
        if (site.shared)
            fill_map();
        rl_patch_write_site(&site);
        __atomic_store_n(lock, 0, __ATOMIC_RELEASE);
    }
}

/* Patches the first call of execve in this page of the program's code. -EFAULT: the page is not mapped. 1: done. */
static long patch_exec_in(struct rl_call *c, u64 page)
{
    struct rl_site site;
    u64 ip;

    if (rl_user_read(c, c->slot->buf, page, RL_PAGE) < 0)
        return -EFAULT;
    ip = rl_patch_find_exec(c->slot->buf, page);
    if (!ip || !rl_patch_read_site(c, ip, __NR_execve, 0, &site))
        return 0;
    site.shared = 0; /* its number is set in it */
    rl_patch_write_site(&site);
    return 1;
}

void rl_patch_exec(struct rl_call *c, u64 ip)
{
    u32 *lock = rl_patch_lock();
    u64 page = ip & ~(RL_PAGE - 1);
    long r = 0;

    if ((rl_launch->flags & (RL_LAUNCH_PATCH | RL_LAUNCH_TRACE)) != RL_LAUNCH_PATCH ||
        __atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE))
        return;
    for (u64 i = 0; r == 0 && i < RL_CODE_PAGES; i++)
        r = patch_exec_in(c, page + i * RL_PAGE);
    for (u64 i = 1; r <= 0 && i < RL_CODE_PAGES; i++) {
        r = patch_exec_in(c, page - i * RL_PAGE);
        if (r < 0)
            break;
    }
    __atomic_store_n(lock, 0, __ATOMIC_RELEASE);
}

/* ---- called by patch_entry.S ---------------------------------------------------------------- */

int rl_patch_quick(struct rl_patched *p)
{
    long r = rl_fast(p);

    if (r == RL_MISS)
        return 0;
    p->nr = (u64)r;
    return 1;
}

struct rl_slot *rl_patch_begin(u64 *mask)
{
    static const u64 block = ~RL_SIG_FAULTS;

    rl_sys4(__NR_rt_sigprocmask, RL_SIG_BLOCK, (long)&block, (long)mask, 8);
    return rl_slot_claim();
}

void rl_patch_slow(struct rl_patched *p, u64 *mask, struct rl_slot *slot)
{
    struct rl_ucontext uc;
    struct rl_call c;
    long r;

    uc.sigmask = *mask;
    rl_unblock_faults(&uc);
    c.nr = (long)p->nr;
    memcpy(c.arg, p->arg, sizeof c.arg);
    c.uc = &uc;
    c.stack = (u64)mask;
    c.slot = slot;
    c.resumed = 0;
    c.patched = 1;
    r = rl_dispatch(&c);
    *mask = uc.sigmask;
    if (c.resumed)
        p->ip = RL_SITE_AGAIN(p->ip); /* rule 4 */
    else
        p->nr = (u64)r;
}

void rl_patch_end(struct rl_slot *slot, const u64 *mask)
{
    rl_slot_free(slot);
    rl_sys4(__NR_rt_sigprocmask, RL_SIG_SETMASK, (long)mask, 0, 8);
}
