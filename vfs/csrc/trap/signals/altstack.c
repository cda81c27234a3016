/* sigaltstack(2): the kernel delivers SIGSYS on a thread's alternate stack, so two threads must not share one.
 *
 * Some programs give one stack to all their threads (varnishd does), since they expect only a fatal fault on it.
 * Trapped calls of two threads at once would overwrite each other's frames there.
 *
 * 1. A thread that sets a stack that overlaps with another living thread's gets none: its signals are delivered on its
 *    ordinary stack.
 * 2. The stacks of its parent's threads count as taken in a forked child, unless the child has one thread only.
 * 3. The kernel runs the call in the program's own context: returning from a signal would restore the previous stack.
 */
#include "../engine.h"
#include "../table/syscalls.h"

#define RL_SS_DISABLE 2
#define RL_KEPT 512 /* the oldest is forgotten */

struct stack {
    u64 sp;
    i32 flags;
    u64 size;
};

/* Guarded by rl_altstack_lock(). A forked child begins with its parent's (rule 2). */
static struct {
    u32 used; /* entries of `kept` that have been written */
    u32 next; /* how many were overwritten when all were in use */
    struct kept {
        u64 from, to;
        u32 pid, tid; /* tid 0: free */
    } kept[RL_KEPT];
} state RL_BULK;

static void lock(void)
{
    u32 *word = rl_altstack_lock();

    while (__atomic_exchange_n(word, 1, __ATOMIC_ACQUIRE))
        rl_sys0(__NR_sched_yield);
}

/* 1: another thread may be using it. Otherwise it belongs to the calling thread from now on, instead of its old one. */
static int taken(const struct stack *s)
{
    u32 pid = (u32)rl_sys0(__NR_getpid), tid = (u32)rl_sys0(__NR_gettid), mine = RL_KEPT;

    if (state.used && state.kept[0].pid != pid && !rl_has_threads())
        state.used = state.next = 0;
    for (u32 i = 0; i < state.used; i++) {
        struct kept *k = &state.kept[i];
        int other = k->tid && (k->tid != tid || k->pid != pid);

        if (other && (s->sp >= k->to || k->from >= s->sp + s->size))
            continue;
        if (other && (k->pid != pid || rl_sys3(__NR_tgkill, pid, k->tid, 0) >= 0))
            return 1;
        k->tid = 0;
        mine = i;
    }
    if (mine == RL_KEPT)
        mine = state.used < RL_KEPT ? state.used++ : state.next++ % RL_KEPT;
    state.kept[mine] = (struct kept){s->sp, s->sp + s->size, pid, tid};
    return 0;
}

long rl_do_sigaltstack(struct rl_call *c)
{
    struct stack *s = (struct stack *)rl_pass_buffer();
    u64 arg[6];

    if (rl_user_read(c, s, c->arg[0], sizeof *s) < 0)
        return -EFAULT;
    lock();
    if (!(s->flags & RL_SS_DISABLE) && taken(s))
        s->flags = RL_SS_DISABLE;
    __atomic_store_n(rl_altstack_lock(), 0, __ATOMIC_RELEASE);
    memcpy(arg, c->arg, sizeof arg);
    arg[0] = (u64)s;
    return rl_resume(c, c->nr, arg);
}
