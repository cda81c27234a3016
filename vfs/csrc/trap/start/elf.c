/* Check and map ELF images as the kernel's binfmt_elf does.
 *
 * A position-independent image is mapped into a reservation of its whole extent, with the alignment of its segments; a
 * fixed one must not overlap anything (MAP_FIXED_NOREPLACE). If segments follow each other without a gap, the first of
 * them, mapped with the whole length, is the reservation.
 */
#include <asm/fcntl.h>
#include <linux/elf.h>

#include "../engine.h"

#define RL_PROGRAM_HEADERS 64 /* of 56 bytes; real programs have about a dozen */

struct headers { /* the first bytes of the file, as long as the program headers follow the ELF header */
    Elf64_Ehdr e;
    Elf64_Phdr p[RL_PROGRAM_HEADERS];
    long n; /* how many of them there are; 0: they do not follow it */
};

static u64 page_down(u64 a) { return a & ~(RL_PAGE - 1); }
static u64 page_up(u64 a) { return (a + RL_PAGE - 1) & ~(RL_PAGE - 1); }

const char *rl_elf_machine_name(const u8 *head, size_t n)
{
    u16 machine;

    if (n < 20 || memcmp(head, "\177ELF", 4) != 0)
        return NULL;
    memcpy(&machine, head + 18, 2);
    if (head[5] == 2)
        machine = (u16)(machine << 8 | machine >> 8);
    switch (machine) {
    case 3: return "i386";
    case 8: return "mips";
    case 20: return "powerpc";
    case 21: return "ppc64";
    case 22: return "s390x";
    case 40: return "arm";
    case 62: return head[4] == 1 ? "x32" : "x86_64";
    case 183: return "aarch64";
    case 243: return "riscv";
    case 258: return "loongarch64";
    default: return "an unknown machine";
    }
}

int rl_elf_foreign(const char *prog, const u8 *head, size_t n)
{
    const char *machine = rl_elf_machine_name(head, n);

    if (!machine || rl_same(machine, RL_MACHINE))
        return 0;
    rl_warn(prog, ": cannot run on this " RL_MACHINE " machine: built for ", machine);
    return 1;
}

static long read_headers(int fd, struct headers *h)
{
    u64 bytes;
    long n = rl_sys4(__NR_pread64, fd, (long)h, offsetof(struct headers, n), 0);

    if (n < 0)
        return n;
    if (n < (long)sizeof h->e || memcmp(h->e.e_ident, "\177ELF\2\1", 6) != 0 || h->e.e_machine != RL_ELF_MACHINE ||
        (h->e.e_type != ET_EXEC && h->e.e_type != ET_DYN) || h->e.e_phentsize != sizeof h->p[0] ||
        h->e.e_phnum == 0 || h->e.e_phnum > RL_PROGRAM_HEADERS)
        return -ENOEXEC;
    bytes = h->e.e_phnum * sizeof h->p[0];
    h->n = h->e.e_phoff == sizeof h->e && n >= (long)(sizeof h->e + bytes) ? n : 0;
    if (h->n)
        return 0;
    n = rl_sys4(__NR_pread64, fd, (long)h->p, (long)bytes, (long)h->e.e_phoff);
    return n < 0 ? n : n == (long)bytes ? 0 : -ENOEXEC;
}

static long read_interp(int fd, const struct headers *h, const Elf64_Phdr *p, char *interp, size_t size)
{
    long n = (long)p->p_filesz;

    if (p->p_filesz < 2 || p->p_filesz > size)
        return -ENOEXEC;
    if (p->p_offset < (u64)h->n && p->p_filesz <= (u64)h->n - p->p_offset)
        memcpy(interp, (const char *)h + p->p_offset, p->p_filesz);
    else
        n = rl_sys4(__NR_pread64, fd, (long)interp, (long)p->p_filesz, (long)p->p_offset);
    if (n != (long)p->p_filesz)
        return n < 0 ? n : -ENOEXEC;
    return interp[n - 1] ? -ENOEXEC : 0;
}

/* As in the kernel: no part of a segment may be above the highest address of programs. Then it is inside the
 * reservation of reserve(). */
static int segment_ok(const Elf64_Phdr *p)
{
    return p->p_filesz <= p->p_memsz && p->p_memsz <= RL_PROGRAM_END && p->p_vaddr <= RL_PROGRAM_END - p->p_memsz;
}

static long check(int fd, struct headers *h, char *interp, size_t size)
{
    long r = read_headers(fd, h);
    int loads = 0;

    interp[0] = 0;
    for (u32 i = 0; r >= 0 && i < h->e.e_phnum; i++) {
        if (h->p[i].p_type == PT_INTERP && interp[0] == 0)
            r = read_interp(fd, h, &h->p[i], interp, size);
        if (h->p[i].p_type != PT_LOAD)
            continue;
        loads++;
        if (r >= 0 && !segment_ok(&h->p[i]))
            r = -ENOEXEC;
    }
    return r < 0 ? r : loads ? 0 : -ENOEXEC;
}

long rl_elf_check(int fd, char *interp, size_t interp_size)
{
    struct headers h;

    return check(fd, &h, interp, interp_size);
}

/* The extent of all segments, and their largest alignment. */
static void measure(const struct headers *h, u64 *low, u64 *high, u64 *align)
{
    *low = ~0ull;
    *high = 0;
    *align = RL_PAGE;
    for (u32 i = 0; i < h->e.e_phnum; i++) {
        const Elf64_Phdr *p = &h->p[i];

        if (p->p_type != PT_LOAD)
            continue;
        if (p->p_vaddr < *low)
            *low = p->p_vaddr;
        if (p->p_vaddr + p->p_memsz > *high)
            *high = p->p_vaddr + p->p_memsz;
        if (p->p_align > *align && (p->p_align & (p->p_align - 1)) == 0)
            *align = p->p_align;
    }
    *low = page_down(*low);
    *high = page_up(*high);
}

static int protection(const Elf64_Phdr *p)
{
    return (p->p_flags & PF_R ? PROT_READ : 0) | (p->p_flags & PF_W ? PROT_WRITE : 0) |
           (p->p_flags & PF_X ? PROT_EXEC : 0);
}

/* The first segment, when every page from `low` on belongs to one that is mapped from the file, or follows one. */
static const Elf64_Phdr *first_of_all(const struct headers *h, u64 low)
{
    const Elf64_Phdr *first = NULL;
    u64 end = low;

    for (u32 i = 0; i < h->e.e_phnum; i++) {
        const Elf64_Phdr *p = &h->p[i];

        if (p->p_type != PT_LOAD)
            continue;
        if (page_down(p->p_vaddr) != end || p->p_filesz == 0 || ((p->p_offset ^ p->p_vaddr) & (RL_PAGE - 1)))
            return NULL;
        end = page_up(p->p_vaddr + p->p_memsz);
        if (first == NULL)
            first = p;
    }
    return first;
}

/* Address space for the image; `first`: that segment is in it. The bias to add to its addresses, or -errno. */
static long reserve(int fd, const struct headers *h, const Elf64_Phdr *first, u64 want_base, u64 low, u64 high, u64 align)
{
    u64 bytes = high - low, start, slack;
    int prot = first ? protection(first) : 0, flags = MAP_PRIVATE | (first ? 0 : MAP_ANONYMOUS);
    long from = first ? (long)page_down(first->p_offset) : 0, m;

    fd = first ? fd : -1;
    if (h->e.e_type == ET_EXEC) {
        m = rl_sys(__NR_mmap, (long)low, (long)bytes, prot, flags | MAP_FIXED_NOREPLACE, fd, from);
        return m < 0 ? m : m == (long)low ? 0 : -EEXIST;
    }
    slack = align - RL_PAGE;
    m = rl_sys(__NR_mmap, (long)(want_base & ~(align - 1)), (long)(bytes + slack), prot, flags, fd, from);
    if (m < 0)
        return m;
    start = ((u64)m + align - 1) & ~(align - 1);
    if (start > (u64)m)
        rl_sys2(__NR_munmap, m, (long)(start - (u64)m));
    if (slack > start - (u64)m)
        rl_sys2(__NR_munmap, (long)(start + bytes), (long)(slack - (start - (u64)m)));
    return (long)(start - low);
}

/* The part of a segment after its file content: zeroes. */
static long map_bss(u64 from, u64 to, u64 file_end, int has_file, int prot)
{
    u64 pages = has_file ? page_up(file_end) : page_down(from);
    long m;

    if (has_file && (file_end & (RL_PAGE - 1)) && (prot & PROT_WRITE))
        memset((void *)file_end, 0, pages - file_end);
    if (page_up(to) <= pages)
        return 0;
    m = rl_sys(__NR_mmap, (long)pages, (long)(page_up(to) - pages), prot,
               MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0);
    return m < 0 ? m : 0;
}

/* `there`: it is the reservation itself. */
static long map_segment(int fd, const Elf64_Phdr *p, u64 bias, int there)
{
    u64 start = p->p_vaddr + bias, file_end = start + p->p_filesz, end = start + p->p_memsz;
    int prot = protection(p);
    u64 inside = p->p_vaddr & (RL_PAGE - 1);

    if (p->p_filesz && !there) {
        long m;

        if ((p->p_offset & (RL_PAGE - 1)) != inside)
            return -ENOEXEC;
        m = rl_sys(__NR_mmap, (long)(start - inside), (long)page_up(p->p_filesz + inside), prot,
                   MAP_PRIVATE | MAP_FIXED, fd, (long)(p->p_offset - inside));
        if (m < 0)
            return m;
    }
    return end > file_end ? map_bss(start, end, file_end, p->p_filesz != 0, prot) : 0;
}

/* The data that the start code and /proc need. */
static void describe(const struct headers *h, u64 bias, u64 high, struct rl_image *out)
{
    u64 phdr = 0;

    out->bias = bias;
    out->entry = h->e.e_entry + bias;
    out->phnum = h->e.e_phnum;
    out->phent = h->e.e_phentsize;
    out->end = high + bias;
    out->exec_stack = 0; /* the meaning, on 64-bit machines, of a missing PT_GNU_STACK */
    out->start_code = out->start_data = ~0ull;
    out->end_code = out->end_data = 0;
    for (u32 i = 0; i < h->e.e_phnum; i++) {
        const Elf64_Phdr *p = &h->p[i];
        u64 start = p->p_vaddr + bias;

        if (p->p_type == PT_GNU_STACK)
            out->exec_stack = (p->p_flags & PF_X) != 0;
        if (p->p_type == PT_PHDR)
            phdr = start;
        if (p->p_type != PT_LOAD)
            continue;
        if (phdr == 0 && p->p_offset <= h->e.e_phoff && h->e.e_phoff < p->p_offset + p->p_filesz)
            phdr = start + h->e.e_phoff - p->p_offset;
        if ((p->p_flags & PF_X) && start < out->start_code)
            out->start_code = start;
        if ((p->p_flags & PF_X) && start + p->p_filesz > out->end_code)
            out->end_code = start + p->p_filesz;
        out->start_data = start; /* the last segment's, as in the kernel */
        if (start + p->p_filesz > out->end_data)
            out->end_data = start + p->p_filesz;
    }
    out->phdr = phdr;
}

long rl_elf_map(long fd, u64 want_base, struct rl_image *out, char *interp)
{
    struct headers h;
    const Elf64_Phdr *first = NULL;
    u64 low = 0, high = 0, align;
    long r, bias = 0;

    if (fd < 0)
        return fd;
    r = check((int)fd, &h, interp, RL_PATH_MAX);
    if (r >= 0) {
        measure(&h, &low, &high, &align);
        first = align == RL_PAGE ? first_of_all(&h, low) : NULL;
        bias = r = reserve((int)fd, &h, first, want_base, low, high, align);
    }
    for (u32 i = 0; (r >= 0 || r < -4095) && i < h.e.e_phnum; i++)
        if (h.p[i].p_type == PT_LOAD)
            r = map_segment((int)fd, &h.p[i], (u64)bias, first == &h.p[i]);
    rl_sys1(__NR_close, fd);
    if (r < 0 && r >= -4095)
        return r;
    describe(&h, (u64)bias, high, out);
    return 0;
}
