/* What the test programs need from an architecture.
 *
 * 1. Calls that aarch64 does not have are made in their newer form there: SYS_open and the rest are numbers of our own,
 *    which raw_call() and syscall() translate.
 * 2. The engine's gate is found by its code.
 */
#ifndef MACHINE_H
#define MACHINE_H

#ifndef FREESTANDING
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__)
#define SYS_openat __NR_openat
#define SYS_newfstatat __NR_newfstatat
#define SYS_faccessat __NR_faccessat
#define SYS_readlinkat __NR_readlinkat
#define SYS_mkdirat __NR_mkdirat
#define SYS_mknodat __NR_mknodat
#define SYS_symlinkat __NR_symlinkat
#define SYS_linkat __NR_linkat
#define SYS_unlinkat __NR_unlinkat
#define SYS_renameat __NR_renameat
#define SYS_fchmodat __NR_fchmodat
#define SYS_fchownat __NR_fchownat
#define SYS_ppoll __NR_ppoll
#define SYS_clone __NR_clone
#endif

#if defined(__x86_64__)

#define ENGINE_BASE 0x550e50000000ul
/* rl_sys: mov %rdi,%rax; mov %rsi,%rdi … syscall; ret. */
#define GATE_HEAD "\x48\x89\xf8\x48\x89\xf7"
#define GATE_TAIL "\x0f\x05\xc3"
#define GATE_CALL "\x0f\x05"
#define GATE_BYTES 26
#define GATE_CODE \
    "\x48\x89\xf8\x48\x89\xf7\x48\x89\xd6\x48\x89\xca\x4d\x89\xc2\x4d\x89\xc8\x4c\x8b\x4c\x24\x08\x0f\x05\xc3"
/* The gate, for three arguments. */
#define GATE_OF_THREE "\x48\x89\xf8\x48\x89\xf7\x48\x89\xd6\x48\x89\xca\x31\xd2\x0f\x05\xc3"

static inline __attribute__((always_inline)) int new_form(long *nr, long a[6]) { (void)nr, (void)a; return 0; }
static inline __attribute__((always_inline)) long trap_(long nr, const long a[6])
{
    register long r10 __asm__("r10") = a[3], r8 __asm__("r8") = a[4], r9 __asm__("r9") = a[5];
    long r;

    __asm__ volatile("syscall" : "=a"(r) : "0"(nr), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return r;
}
/* Jump to a system call instruction that a return follows. */
static inline long call_at(const void *at, long nr, long a, long b, long c)
{
    long r;

    __asm__ volatile("call *%1" : "=a"(r) : "r"(at), "0"(nr), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return r;
}
#define REGISTER_IP rip
#define REGISTER_STACK rsp
#define REGISTER_RESULT rax
#define SET_CALL(regs, at, a, b, c, d) \
    ((regs).rip = (unsigned long)(at), (regs).rsp = ((regs).rsp - 4096) & ~15ull, (regs).orig_rax = -1ull, \
     (regs).rdi = (unsigned long)(a), (regs).rsi = (unsigned long)(b), (regs).rdx = (unsigned long)(c), \
     (regs).rcx = (unsigned long)(d))

#elif defined(__aarch64__)

#define ENGINE_BASE 0xf50000000ul
/* rl_sys: mov x8, x0; mov x0, x1 … svc #0; ret. */
#define GATE_HEAD "\xe8\x03\x00\xaa\xe0\x03\x01\xaa"
#define GATE_TAIL "\x01\x00\x00\xd4\xc0\x03\x5f\xd6"
#define GATE_CALL "\x01\x00\x00\xd4"
#define GATE_BYTES 36
#define GATE_CODE \
    "\xe8\x03\x00\xaa\xe0\x03\x01\xaa\xe1\x03\x02\xaa\xe2\x03\x03\xaa\xe3\x03\x04\xaa\xe4\x03\x05\xaa\xe5\x03\x06\xaa" \
    "\x01\x00\x00\xd4\xc0\x03\x5f\xd6"
#define GATE_OF_THREE \
    "\xe8\x03\x00\xaa\xe0\x03\x01\xaa\xe1\x03\x02\xaa\xe2\x03\x03\xaa\xe3\x03\x1f\xaa\x01\x00\x00\xd4\xc0\x03\x5f\xd6"

enum {
    SYS_open = 1 << 24, SYS_creat, SYS_stat, SYS_lstat, SYS_access, SYS_readlink, SYS_mkdir, SYS_mknod, SYS_symlink, SYS_link,
    SYS_unlink, SYS_rmdir, SYS_rename, SYS_chmod, SYS_chown, SYS_lchown, SYS_pause, SYS_fork
};
#define __NR_open SYS_open
#define __NR_mkdir SYS_mkdir
#define __NR_symlink SYS_symlink
#define __NR_pause SYS_pause
#define __NR_fork SYS_fork

#define NEWER(old, new, ...) \
    case old: \
        *nr = new; \
        set_(a, (const long[6]){__VA_ARGS__}); \
        return 1
static inline void set_(long to[6], const long from[6])
{
    for (int i = 0; i < 6; i++)
        to[i] = from[i];
}
/* The call in the form that this architecture has. */
static inline int new_form(long *nr, long a[6])
{
    const long x = a[0], y = a[1], z = a[2];

    switch (*nr) {
    NEWER(SYS_open, SYS_openat, AT_FDCWD, x, y, z);
    NEWER(SYS_creat, SYS_openat, AT_FDCWD, x, O_CREAT | O_WRONLY | O_TRUNC, y);
    NEWER(SYS_stat, SYS_newfstatat, AT_FDCWD, x, y);
    NEWER(SYS_lstat, SYS_newfstatat, AT_FDCWD, x, y, AT_SYMLINK_NOFOLLOW);
    NEWER(SYS_access, SYS_faccessat, AT_FDCWD, x, y);
    NEWER(SYS_readlink, SYS_readlinkat, AT_FDCWD, x, y, z);
    NEWER(SYS_mkdir, SYS_mkdirat, AT_FDCWD, x, y);
    NEWER(SYS_mknod, SYS_mknodat, AT_FDCWD, x, y, z);
    NEWER(SYS_symlink, SYS_symlinkat, x, AT_FDCWD, y);
    NEWER(SYS_link, SYS_linkat, AT_FDCWD, x, AT_FDCWD, y);
    NEWER(SYS_unlink, SYS_unlinkat, AT_FDCWD, x);
    NEWER(SYS_rmdir, SYS_unlinkat, AT_FDCWD, x, AT_REMOVEDIR);
    NEWER(SYS_rename, SYS_renameat, AT_FDCWD, x, AT_FDCWD, y);
    NEWER(SYS_chmod, SYS_fchmodat, AT_FDCWD, x, y);
    NEWER(SYS_chown, SYS_fchownat, AT_FDCWD, x, y, z);
    NEWER(SYS_lchown, SYS_fchownat, AT_FDCWD, x, y, z, AT_SYMLINK_NOFOLLOW);
    NEWER(SYS_pause, SYS_ppoll, 0);
    NEWER(SYS_fork, SYS_clone, 17 /* SIGCHLD */);
    default: return 0;
    }
}
static inline __attribute__((always_inline)) long trap_(long nr, const long a[6])
{
    register long x8 __asm__("x8") = nr, x0 __asm__("x0") = a[0], x1 __asm__("x1") = a[1], x2 __asm__("x2") = a[2];
    register long x3 __asm__("x3") = a[3], x4 __asm__("x4") = a[4], x5 __asm__("x5") = a[5];

    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}
static inline long call_at(const void *at, long nr, long a, long b, long c)
{
    long args[6] = {a, b, c};

    new_form(&nr, args);
    register long x8 __asm__("x8") = nr, x0 __asm__("x0") = args[0], x1 __asm__("x1") = args[1], x2 __asm__("x2") = args[2];
    register long x3 __asm__("x3") = args[3];

    __asm__ volatile("blr %1" : "+r"(x0) : "r"(at), "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "x30", "memory");
    return x0;
}
#define REGISTER_IP pc
#define REGISTER_STACK sp
#define REGISTER_RESULT regs[0]
/* A call of the gate with an old number: SYS_open, whose new form has one argument more. */
#define SET_CALL(r, at, a, b, c, d) \
    ((r).pc = (unsigned long)(at), (r).sp = ((r).sp - 4096) & ~15ull, (r).regs[0] = SYS_openat, (void)(a), \
     (r).regs[1] = (unsigned long)AT_FDCWD, (r).regs[2] = (unsigned long)(b), (r).regs[3] = (unsigned long)(c), \
     (r).regs[4] = (unsigned long)(d))

#ifndef FREESTANDING
#define syscall(...) SYSCALL_(__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define SYSCALL_(nr, a, b, c, d, e, f, ...) old_syscall(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
static inline long old_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
    long args[6] = {a, b, c, d, e, f};

    new_form(&nr, args);
    return (syscall)(nr, args[0], args[1], args[2], args[3], args[4], args[5]);
}
#endif
#endif

/* Without the C library. */
static inline __attribute__((always_inline)) long raw_call(long nr, long a, long b, long c, long d, long e, long f)
{
    long args[6] = {a, b, c, d, e, f};

    new_form(&nr, args);
    return trap_(nr, args);
}

#endif
