/* Call sites and their stubs (x86_64).
 *
 * 1. Only the five bytes of the instruction before `syscall` are replaced, by `jmp stub`; the `syscall` stays. A thread
 *    that is stopped between the two, or that jumps there, just traps.
 * 2. Two forms are known: `mov $nr, %eax`, and `mov disp8(%rsp), %rax`, the site that glibc's cancellable calls share:
 *    its stub sends all numbers that patch.c does not handle back to the `syscall`.
 * 3. The five bytes change in one locked write of the 16-byte line that contains them. If they cross into the next
 *    line, a processor may fetch one half old and one half new: then only a process without threads is patched.
 * 4. A read-only page is writable only during the write; if the host refuses that (W^X), nothing is patched.
 */
#include <linux/futex.h>

#include "../engine.h"
#include "../call/patch.h"

#define RL_REACH 0x7fff0000ll  /* of a 32-bit jump, less an area */
#define RL_AREA_BYTES 16384u   /* of stubs near one library */
#define RL_AREAS 32
#define RL_STUB_BYTES 64u
#define RL_STEP 0x2000000ll    /* between tries for a free place */
#define RL_TRIES 60

extern char rl_patch_entry[];

/* The places for stubs. Guarded by rl_patch_lock(). */
static struct {
    u32 areas;
    struct area {
        u8 *base;
        u32 used; /* bytes */
    } area[RL_AREAS];
} state;

int rl_patch_read_site(struct rl_call *c, u64 ip, u64 nr, u64 sp, struct rl_site *site)
{
    u8 code[9]; /* one byte before, the instruction, `syscall`, one byte after */
    u64 value;

    site->at = ip - 7;
    if (rl_user_read(c, code, ip - 8, 8) < 0 || code[6] != 0x0f || code[7] != 0x05)
        return 0;
    memcpy(site->old, code + 1, 5);
    if (code[1] == 0xb8) { /* mov $nr, %eax; after a prefix it would be another instruction */
        u32 imm;

        memcpy(&imm, code + 2, 4);
        site->shared = 0;
        return imm == nr && (code[0] & 0xf0) != 0x40 && code[0] != 0x66;
    }
    site->shared = 1;
    return memcmp(code + 1, "\x48\x8b\x44\x24", 4) == 0 && rl_user_read(c, &value, sp + (u64)(i64)(signed char)code[5], 8) == 0 &&
           value == nr;
}

u64 rl_patch_find_exec(const u8 *code, u64 page)
{
    for (u32 i = 1; i + 8 < RL_PAGE; i++)
        if (code[i] == 0xb8 && code[i + 1] == __NR_execve && code[i + 5] == 0x0f && code[i + 6] == 0x05)
            return page + i + 7;
    return 0;
}

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

        if (want < 0x10000 || want > 0x7ffffff00000)
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

static u8 *put_bytes(u8 *to, const char *bytes, u32 n)
{
    memcpy(to, bytes, n);
    return to + n;
}

static u8 *put_word(u8 *to, u64 word)
{
    memcpy(to, &word, 8);
    return to + 8;
}

static u8 *put_jump(u8 *to, u64 target)
{
    i32 distance = (i32)((i64)target - (i64)(to + 5));

    *to = 0xe9;
    memcpy(to + 1, &distance, 4);
    return to + 5;
}

/*     <the replaced instruction>
 *  shared: cmp $limit, %rax; jae 2f; mov $map, %r11; bt %rax, (%r11); jc 1f; 2: jmp <the site's syscall>; 1:
 *     mov $ip, %rcx; mov $rl_patch_entry, %r11; jmp *%r11 */
static void write_stub(u8 *to, const struct rl_site *site)
{
    u64 ip = site->at + 7;

    to = put_bytes(to, (const char *)site->old, 5);
    if (site->shared) {
        u32 limit = RL_SYSCALL_LIMIT;

        to = put_bytes(put_bytes(put_bytes(to, "\x48\x3d", 2), (const char *)&limit, 4), "\x73\x10", 2);
        to = put_word(put_bytes(to, "\x49\xbb", 2), (u64)rl_patch_map);
        to = put_bytes(to, "\x49\x0f\xa3\x03\x72\x05", 6);
        to = put_jump(to, ip - 2);
    }
    to = put_word(put_bytes(to, "\x48\xb9", 2), ip);
    to = put_word(put_bytes(to, "\x49\xbb", 2), (u64)rl_patch_entry);
    put_bytes(to, "\x41\xff\xe3", 3);
}

static int is_writable(u64 at)
{
    static u32 nobody;

    /* FUTEX_WAKE_OP adds 0 to the second word: EFAULT if it is not writable. */
    return rl_sys(__NR_futex, (long)&nobody, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 0, 0, (long)(at & ~3ull),
                  FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_EQ, 1)) >= 0;
}

static int crosses_lines(u64 at) { return (at & 15) > 11; }

static void write_jump(const struct rl_site *site, const u8 *stub)
{
    u64 line = site->at & ~15ull, old[2], new[2];
    u8 five[5] = {0xe9}; /* jmp, relative to the site */
    i32 distance = (i32)((i64)stub - (i64)(site->at + 5));

    if (memcmp((const void *)site->at, site->old, 5) != 0)
        return; /* another thread was faster */
    memcpy(five + 1, &distance, 4);
    if (crosses_lines(site->at)) {
        memcpy((void *)site->at, five, 5);
        return;
    }
    memcpy(old, (const void *)line, 16);
    memcpy(new, old, 16);
    memcpy((u8 *)new + (site->at & 15), five, 5);
    __asm__ volatile("lock cmpxchg16b (%[line])"
                     : "+a"(old[0]), "+d"(old[1])
                     : "b"(new[0]), "c"(new[1]), [line] "r"(line)
                     : "memory", "cc");
}

void rl_patch_write_site(const struct rl_site *site)
{
    u64 page = site->at & ~(RL_PAGE - 1);
    u64 end = (site->at + 4) & ~(RL_PAGE - 1);
    int writable;
    u8 *stub;

    if (end != page || (crosses_lines(site->at) && rl_has_threads()))
        return;
    writable = is_writable(site->at);
    stub = take_stub(site->at);
    if (stub == NULL)
        return;
    write_stub(stub, site);
    if (!writable && rl_sys3(__NR_mprotect, (long)page, RL_PAGE, PROT_READ | PROT_WRITE | PROT_EXEC) < 0)
        return;
    write_jump(site, stub);
    if (!writable)
        rl_sys3(__NR_mprotect, (long)page, RL_PAGE, PROT_READ | PROT_EXEC);
}
