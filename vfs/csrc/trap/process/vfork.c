/* The identity of a vfork child: its own, in its parent's memory. Go programs change it there for each child that runs
 * as another user.
 *
 * 1. The owner's identity is saved before the child's first change; it is restored when the child leaves the memory: by
 *    the child right before its exec, or, if it has ended without one, by the next caller. The kernel signals the end:
 *    it clears the word (set_tid_address).
 * 2. Other threads of the parent, which a vfork does not stop, see the child's identity until then.
 */
#include "../engine.h"

static struct {
    struct rl_identity me;
    struct rl_caps caps;
    u32 root_len;
    char root[RL_PATH_MAX];
} owners RL_BULK;
static u32 borrower; /* process id; cleared by the kernel */
u32 rl_identity_lent; /* owners holds the values to restore for the memory's owner */

void rl_identity_borrow(void)
{
    u32 pid;

    if (!rl_memory_is_borrowed())
        return;
    rl_identity_settle();
    pid = (u32)rl_sys0(__NR_getpid);
    if (rl_identity_lent)
        return; /* by this child, or by another one at the same time: the owner's identity is the older one */
    owners.me = rl_me;
    owners.caps = rl_caps;
    owners.root_len = rl_root_len;
    memcpy(owners.root, rl_root, rl_root_len + 1);
    borrower = pid;
    rl_identity_lent = 1;
    rl_sys1(__NR_set_tid_address, (long)&borrower);
}

static void give_back(void)
{
    rl_me = owners.me;
    rl_caps = owners.caps;
    memcpy(rl_root, owners.root, owners.root_len + 1);
    rl_root_len = owners.root_len;
    borrower = rl_identity_lent = 0;
}

void rl_identity_return(void)
{
    if (rl_identity_lent && borrower == (u32)rl_sys0(__NR_getpid))
        give_back();
}

void rl_identity_settle(void)
{
    if (rl_identity_lent && __atomic_load_n(&borrower, __ATOMIC_ACQUIRE) == 0)
        give_back();
}
