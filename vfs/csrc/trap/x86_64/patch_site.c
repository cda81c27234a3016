/* Call sites and their stubs (x86_64).
 *
 * 1. Only the five bytes of the instruction before `syscall` are replaced, by `jmp stub`; the `syscall` stays. A thread
 *    that is stopped between the two, or that jumps there, just traps.
 * 2. Two forms are known: `mov $nr, %eax`, and `mov disp8(%rsp), %rax`, the site that glibc's cancellable calls share:
 *    its stub sends all numbers that patch.c does not handle back to the `syscall`.
 * 3. The five bytes change in one locked write of the 16-byte line that contains them. If they cross into the next
 *    line, a processor may fetch one half old and one half new: then only a process without threads is patched.
 */
#include "../call/patch.h"


extern char rl_patch_entry[];

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
void rl_patch_write_stub(u8 *to, const struct rl_site *site)
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

static int crosses_lines(u64 at) { return (at & 15) > 11; }

void rl_patch_write_jump(const struct rl_site *site, const u8 *stub)
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

int rl_patch_can_write(const struct rl_site *site)
{
    return (site->at & ~(RL_PAGE - 1)) == ((site->at + 4) & ~(RL_PAGE - 1)) && !(crosses_lines(site->at) && rl_has_threads());
}
