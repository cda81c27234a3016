/* Call sites and their stubs (aarch64).
 *
 * 1. Two forms of a patch. In the first, the instruction before `svc` is replaced by a branch to the stub, which has a
 *    copy of it; the `svc` stays: a thread that is stopped between the two, or that jumps there, just traps, and a C
 *    library sees a call that blocks at its own site. In the second, `svc` itself is replaced: the architecture allows
 *    another processor to execute the word meanwhile only if both instructions are of a few kinds, which these two are
 *    and others are not. So the second one is for processes with threads.
 * 2. A site is patched only if a C library made it: its number is set within a few instructions before it, or a move
 *    between registers is before it, as in the site that cancellable calls share. (Go's sites load their last argument
 *    from a goroutine's stack, which has no room for the fast path.)
 * 3. With threads, a shared site that a return follows is not patched: cancellation looks at the instruction pointer.
 * 4. A branch reaches 128 MiB; the stub has the engine's full address. Neither the stub nor the engine is in pages that
 *    need landing pads for indirect branches; the way back is a direct branch.
 */
#include <linux/membarrier.h>

#include "../call/patch.h"

#define RL_SVC 0xd4000001u
#define RL_NOP 0xd503201fu
#define RL_RETURN 0xd65f03c0u
#define RL_NUMBER_DISTANCE 8 /* instructions before the call within which its number is set */
#define RL_SITE_WORDS (RL_NUMBER_DISTANCE + 2)

extern char rl_patch_entry[], rl_patch_shared[];

/* It does the same at another place: neither a branch nor a system instruction, and no address relative to its own. */
static int can_move(u32 word)
{
    u32 group = word >> 25 & 15;

    if (word == RL_NOP)
        return 1;
    if (group == 10 || group == 11 || group < 4) /* branches, exceptions, system; reserved, SVE */
        return 0;
    if ((word & 0x1f000000) == 0x10000000 || (word & 0x3b000000) == 0x18000000) /* adr, adrp; ldr of a literal */
        return 0;
    return (word & 0x3f000000) != 0x08000000; /* exclusive and ordered accesses */
}

/* movz x8 or w8. */
static int sets_number(u32 word) { return (word & 0x7fe0001f) == 0x52800008; }
static int is_branch(u32 word) { return (word >> 26 & 7) == 5; }
/* mov between two registers of 64 bits. */
static int is_move(u32 word) { return (word & 0xffe0ffe0) == 0xaa0003e0; }
/* It may write x8: its lowest five bits, which are the target of most instructions, name it. */
static int may_change_number(u32 word) { return (word & 31) == 8; }

static int number_is_set(const u32 *word, u32 count, u64 nr)
{
    for (u32 i = count; i-- > 0;) {
        if (sets_number(word[i]))
            return (word[i] >> 5 & 0xffff) == nr;
        if (is_branch(word[i]) || may_change_number(word[i]))
            return 0;
    }
    return 0;
}

int rl_patch_read_site(struct rl_call *c, u64 ip, u64 nr, u64 sp, struct rl_site *site)
{
    u32 word[RL_SITE_WORDS]; /* before the call, it, and one after it */
    u64 from = ip - 4 * (RL_SITE_WORDS - 1);
    const u32 *call = &word[RL_SITE_WORDS - 2];
    int known;

    if (sp & 15 || rl_in_engine(ip) || rl_user_read(c, word, from, sizeof word) < 0 || *call != RL_SVC)
        return 0;
    known = number_is_set(word, RL_NUMBER_DISTANCE, nr);
    if (!known && !is_move(call[-1]))
        return 0;
    site->itself = rl_has_threads() || !can_move(call[-1]);
    if (site->itself && !known && call[1] == RL_RETURN)
        return 0;
    site->shared = site->itself || !known || !sets_number(call[-1]); /* another call may jump to it */
    site->at = ip - (site->itself ? 4 : 8);
    memcpy(site->old, site->itself ? call : call - 1, 4);
    return 1;
}

u64 rl_patch_find_exec(const u8 *code, u64 page)
{
    u32 word[RL_NUMBER_DISTANCE + 1]; /* before the call, and it */

    for (u32 i = 0; i < RL_PAGE / 4; i++) {
        u32 before = i < RL_NUMBER_DISTANCE ? i : RL_NUMBER_DISTANCE;

        memcpy(word, code + 4 * (i - before), 4 * (before + 1));
        if (word[before] == RL_SVC && number_is_set(word, before, __NR_execve))
            return page + 4 * (i + 1);
    }
    return 0;
}

int rl_patch_can_write(const struct rl_site *site)
{
    (void)site;
    return 1;
}

static u32 branch(const void *from, u64 to) { return 0x14000000u | ((u32)((to - (u64)from) >> 2) & 0x3ffffff); }

/* What was written is seen by the instruction fetch of every processor. */
static void publish(const void *from, size_t n)
{
    u64 type, data, code, at;

    __asm__ volatile("mrs %0, ctr_el0" : "=r"(type));
    data = 4ull << (type >> 16 & 15);
    code = 4ull << (type & 15);
    for (at = (u64)from & ~(data - 1); at < (u64)from + n; at += data)
        __asm__ volatile("dc cvau, %0" ::"r"(at) : "memory");
    __asm__ volatile("dsb ish" ::: "memory");
    for (at = (u64)from & ~(code - 1); at < (u64)from + n; at += code)
        __asm__ volatile("ic ivau, %0" ::"r"(at) : "memory");
    __asm__ volatile("dsb ish\n isb" ::: "memory");
}

/*     <the replaced instruction>; nop in its place if that is the call itself
 *     stp x16, x30, [sp, #-16]!; ldr x16, <the engine's entry>; blr x16
 *     ldp x16, x30, [sp], #16; b <after the call>
 *     ldp x16, x30, [sp], #16; b <the call>, or svc and b <after the call>      (RL_SITE_AGAIN) */
void rl_patch_write_stub(u8 *to, const struct rl_site *site)
{
    u32 *word = (u32 *)to;
    u64 entry = (u64)(site->shared ? rl_patch_shared : rl_patch_entry), after = site->at + (site->itself ? 4 : 8);

    memcpy(&word[0], site->old, 4);
    if (site->itself)
        word[0] = RL_NOP;
    word[1] = 0xa9bf7bf0;
    word[2] = 0x58000110; /* 32 bytes from here */
    word[3] = 0xd63f0200;
    word[4] = 0xa8c17bf0;
    word[5] = branch(&word[5], after);
    word[6] = 0xa8c17bf0;
    word[7] = site->itself ? RL_SVC : branch(&word[7], after - 4);
    word[8] = branch(&word[8], after);
    word[9] = RL_NOP;
    memcpy(&word[10], &entry, 8);
    publish(to, RL_STUB_BYTES);
    if (rl_has_threads()) { /* what they have fetched ahead may be older */
        rl_sys3(__NR_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0);
        rl_sys3(__NR_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0);
    }
}

void rl_patch_write_jump(const struct rl_site *site, const u8 *stub)
{
    u32 *at = (u32 *)site->at, old;

    memcpy(&old, site->old, 4);
    if (__atomic_load_n(at, __ATOMIC_RELAXED) != old)
        return; /* another thread was faster */
    __atomic_store_n(at, branch(at, (u64)stub), __ATOMIC_RELEASE);
    publish(at, 4);
}
