/* Slot stacks: calls are handled on them, so that a 16 KiB thread stack, a vfork child's borrowed stack or a
 * goroutine's 2 KiB hold only the kernel's signal frame.
 *
 * 1. A slot is claimed and freed by one word. The words are in a page that the kernel zeroes in a forked child: slots
 *    of threads that the child does not have are free there.
 * 2. A vfork child that execs never returns to free its slot; exec.c has the kernel clear the word at the moment when
 *    the child leaves the shared memory (set_tid_address).
 * 3. The engine itself starts on the first one's stack (gate.S): pages that every process needs anyway.
 * 4. No call blocks for long inside a slot, so waiting for one means yielding.
 */
#include "../engine.h"

#define RL_SLOTS 64
#define RL_WORDS (RL_PAGE_MAX / 4)
#define RL_OWNER_WORD (RL_WORDS - 1) /* ID of the process that owns the memory; 0: not known yet */
#define RL_PATCH_WORD (RL_OWNER_WORD - 1) /* held while a call site is being patched */
#define RL_ALTSTACK_WORD (RL_PATCH_WORD - 1) /* held while a thread gets an alternate stack */

struct rl_slot rl_slots[RL_SLOTS] __attribute__((aligned(RL_PAGE_MAX)));
static u32 words[RL_WORDS] __attribute__((aligned(RL_PAGE_MAX)));
const u64 rl_slot_bytes = sizeof(struct rl_slot);

/* After an exec, and then at the first trapped call of each forked process. A vfork child makes no trapped call before
 * its parent has made one: libc blocks signals before vfork. */
static void note_owner(void)
{
    if (__atomic_load_n(&words[RL_OWNER_WORD], __ATOMIC_RELAXED) == 0)
        __atomic_store_n(&words[RL_OWNER_WORD], (u32)rl_sys0(__NR_getpid), __ATOMIC_RELAXED);
}

static u64 owner(void) { return __atomic_load_n(&words[RL_OWNER_WORD], __ATOMIC_RELAXED); }

/* Written without a read first: that would be a second page fault. */
void rl_slots_init(void)
{
    rl_sys3(__NR_madvise, (long)words, sizeof words, MADV_WIPEONFORK);
    rl_memory_owner = owner;
    __atomic_store_n(&words[RL_OWNER_WORD], (u32)rl_sys0(__NR_getpid), __ATOMIC_RELAXED);
}

u32 *rl_patch_lock(void) { return &words[RL_PATCH_WORD]; }
u32 *rl_altstack_lock(void) { return &words[RL_ALTSTACK_WORD]; }

int rl_memory_is_borrowed(void)
{
    return words[RL_OWNER_WORD] != (u32)rl_sys0(__NR_getpid);
}

struct rl_slot *rl_slot_claim(void)
{
    note_owner();
    for (;;) {
        for (u32 i = 0; i < RL_SLOTS; i++) {
            u32 zero = 0;

            if (__atomic_load_n(&words[i], __ATOMIC_RELAXED) == 0 &&
                __atomic_compare_exchange_n(&words[i], &zero, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
                return &rl_slots[i];
        }
        rl_sys0(__NR_sched_yield);
    }
}

void rl_slot_free(struct rl_slot *slot)
{
    __atomic_store_n(rl_slot_word(slot), 0, __ATOMIC_RELEASE);
}

u32 *rl_slot_word(const struct rl_slot *slot)
{
    return &words[slot - rl_slots];
}
