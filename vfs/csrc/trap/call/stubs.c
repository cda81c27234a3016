/* Places for the stubs of patched call sites, and the write into the program's code.
 *
 * 1. Stubs are in areas of 16 KiB within the reach of a branch from their site.
 * 2. A read-only page is writable only during the write; if the host refuses that (W^X), nothing is patched.
 */
#include <linux/futex.h>

#include "patch.h"

#define RL_AREA_BYTES 16384u   /* of stubs near one library */
#define RL_AREAS 32
#define RL_TRIES 60

/* The places for stubs. Guarded by rl_patch_lock(). */
static struct {
    u32 areas;
    struct area {
        u8 *base;
        u32 used; /* bytes */
    } area[RL_AREAS];
} state;

static int near(const u8 *base, u64 at)
{
    i64 distance = (i64)base - (i64)at;

    return distance > -RL_REACH && distance < RL_REACH;
}

static struct area *make_area(u64 at)
{
    for (i64 k = 1; k <= RL_TRIES && state.areas < RL_AREAS; k++) {
        i64 want = (i64)(at & ~0xffffull) + (k & 1 ? -1 : 1) * ((k + 1) / 2) * RL_STEP;
        long m;

        if (want < 0x10000 || want > (i64)(RL_PROGRAM_END - RL_STEP))
            continue;
        m = rl_sys(__NR_mmap, want, RL_AREA_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        if (m == want) {
            state.area[state.areas] = (struct area){(u8 *)m, 0};
            return &state.area[state.areas++];
        }
        if (m > 0) /* a kernel that does not know MAP_FIXED_NOREPLACE */
            rl_sys2(__NR_munmap, m, RL_AREA_BYTES);
        else if (m != -EEXIST && m != -ENOMEM)
            return NULL; /* writable code is refused here */
    }
    return NULL;
}

static u8 *take_stub(u64 at)
{
    struct area *a = NULL;

    for (u32 i = 0; i < state.areas && a == NULL; i++)
        if (near(state.area[i].base, at) && state.area[i].used + RL_STUB_BYTES <= RL_AREA_BYTES)
            a = &state.area[i];
    if (a == NULL)
        a = make_area(at);
    if (a == NULL || !near(a->base, at))
        return NULL;
    a->used += RL_STUB_BYTES;
    return a->base + a->used - RL_STUB_BYTES;
}

static int is_writable(u64 at)
{
    static u32 nobody;

    /* FUTEX_WAKE_OP adds 0 to the second word: EFAULT if it is not writable. */
    return rl_sys(__NR_futex, (long)&nobody, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 0, 0, (long)(at & ~3ull),
                  FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_EQ, 1)) >= 0;
}

void rl_patch_write_site(const struct rl_site *site)
{
    u64 page = site->at & ~(RL_PAGE - 1);
    int writable, prot;
    u8 *stub;

    if (!rl_patch_can_write(site))
        return;
    writable = is_writable(site->at);
    stub = take_stub(site->at);
    if (stub == NULL)
        return;
    rl_patch_write_stub(stub, site);
    prot = writable ? 0 : rl_code_protection(page);
    if (!writable && rl_sys3(__NR_mprotect, (long)page, RL_PAGE, prot | PROT_WRITE) < 0)
        return;
    rl_patch_write_jump(site, stub);
    if (!writable)
        rl_sys3(__NR_mprotect, (long)page, RL_PAGE, prot);
}
