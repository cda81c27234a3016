/* The identity of a vfork child: its own, in its parent's memory. Go's programs change it there for each child that runs
 * as somebody else.
 *
 * 1. Before the child's first change what it changes is put by; it is put back when the child leaves the memory: by the
 *    child right before its exec, or, when it has ended without one, by whoever comes next. The kernel says so: it clears
 *    the word (set_tid_address).
 * 2. Other threads of the parent, which a vfork does not stop, see the child's identity for that moment.
 */
#include "engine.h"

static struct {
    struct rl_identity me;
    struct rl_caps caps;
    u32 root_len;
    char root[RL_PATH_MAX];
} owners RL_BULK;
static u32 borrower; /* process id; cleared by the kernel */
u32 rl_identity_lent; /* owners is what the memory's owner has to get back */

void rl_identity_borrow(void)
{
    u32 pid;

    if (!rl_memory_is_borrowed())
        return;
    rl_identity_settle();
    pid = (u32)rl_sys0(__NR_getpid);
    if (rl_identity_lent)
        return; /* by this child, or by another one at the same time: the owner's is the older one */
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
