/* The identity of a vfork child: its own, in its parent's memory. Go programs change it there for each child that runs
 * as another user.
 *
 * 1. The owner's identity is saved before the child's first change; it is restored when the child leaves the memory: by
 *    the child right before its exec, or, if it has ended without one, by the next caller. The kernel signals the end:
 *    it clears the word (set_tid_address).
 * 2. Other threads of the parent, which a vfork does not stop, see the child's identity until then.
 */
#include "../engine.h"

u32 rl_identity_lent; /* guards `state`: set when it is complete, cleared when it has been given back */
static struct { /* of the memory's owner */
    u32 borrower; /* process ID; cleared by the kernel */
    struct rl_identity me;
    struct rl_caps caps;
    u32 root_len;
    char root[RL_PATH_MAX];
} state RL_BULK;

void rl_identity_borrow(void)
{
    u32 pid;

    if (!rl_memory_is_borrowed())
        return;
    rl_identity_settle();
    pid = (u32)rl_sys0(__NR_getpid);
    if (rl_identity_lent)
        return; /* by this child, or by another one at the same time: the owner's identity is the older one */
    state.me = rl_me;
    state.caps = rl_caps;
    state.root_len = rl_root_len;
    memcpy(state.root, rl_root, rl_root_len + 1);
    state.borrower = pid;
    rl_identity_lent = 1;
    rl_sys1(__NR_set_tid_address, (long)&state.borrower);
}

static void give_back(void)
{
    rl_me = state.me;
    rl_caps = state.caps;
    memcpy(rl_root, state.root, state.root_len + 1);
    rl_root_len = state.root_len;
    state.borrower = rl_identity_lent = 0;
}

void rl_identity_return(void)
{
    if (rl_identity_lent && state.borrower == (u32)rl_sys0(__NR_getpid))
        give_back();
}

void rl_identity_settle(void)
{
    if (rl_identity_lent && __atomic_load_n(&state.borrower, __ATOMIC_ACQUIRE) == 0)
        give_back();
}
