/* System calls made by hand: every register kept, refusals, bad pointers, foreign entry points. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cases.h"
#include "machine.h"

static long raw(long nr, long a, long b, long c)
{
    return raw_call(nr, a, b, c, 0, 0, 0);
}

static long raw4(long nr, long a, long b, long c, long d)
{
    return raw_call(nr, a, b, c, d, 0, 0);
}

#ifdef __x86_64__
/* All registers but rax, rcx and r11 come back as they were, and so does the red zone. */
static int registers_are_kept(void)
{
    long r, ok;

    __asm__ volatile(
        "subq $256, %%rsp\n"
        "movq $0x1111, %%rbx\n movq $0x2222, %%r8\n movq $0x3333, %%r9\n movq $0x4444, %%r10\n"
        "movq $0x5555, %%r12\n movq $0x6666, %%r13\n movq $0x7777, %%r14\n movq $0x8888, %%r15\n"
        "movq $0x9999, -8(%%rsp)\n movq $0xaaaa, -120(%%rsp)\n"
        "syscall\n xorl %%ecx, %%ecx\n"
        "cmpq $0x1111, %%rbx\n jne 1f\n cmpq $0x2222, %%r8\n jne 1f\n cmpq $0x3333, %%r9\n jne 1f\n"
        "cmpq $0x4444, %%r10\n jne 1f\n cmpq $0x5555, %%r12\n jne 1f\n cmpq $0x6666, %%r13\n jne 1f\n"
        "cmpq $0x7777, %%r14\n jne 1f\n cmpq $0x8888, %%r15\n jne 1f\n"
        "cmpq $0x9999, -8(%%rsp)\n jne 1f\n cmpq $0xaaaa, -120(%%rsp)\n jne 1f\n"
        "movl $1, %%ecx\n 1: addq $256, %%rsp\n"
        : "=a"(r), "=c"(ok)
        : "a"(SYS_access), "D"("/etc/os-release"), "S"(0)
        : "r11", "rbx", "r8", "r9", "r10", "r12", "r13", "r14", "r15", "memory");
    return r == 0 && ok == 1;
}
#else
/* All registers but x0 come back as they were, and so do vector registers and the condition flags. */
static int registers_are_kept(void)
{
    static const char *path = "/etc/os-release";
    long r, bad;

    __asm__ volatile(
        "mov x9, #1009\n mov x10, #1010\n mov x11, #1011\n mov x12, #1012\n mov x13, #1013\n mov x14, #1014\n mov x15, #1015\n"
        "mov x16, #1016\n mov x17, #1017\n mov x20, #1020\n mov x28, #1028\n mov x30, #1030\n mov x6, #1006\n mov x7, #1007\n"
        "fmov d3, x9\n fmov d31, x10\n mov x0, #-100\n mov x1, %2\n mov x2, #4\n mov x3, #1003\n mov x8, #48\n cmp x9, x10\n svc #0\n"
        "mov x19, #0\n csinc x19, x19, x19, lo\n mov x26, x0\n"
        ".irp n,3,6,7,9,10,11,12,13,14,15,16,17,20,28,30\n sub x0, x\\n, #1000\n sub x0, x0, #\\n\n orr x19, x19, x0\n .endr\n"
        "fmov x0, d3\n sub x0, x0, #1009\n orr x19, x19, x0\n fmov x0, d31\n sub x0, x0, #1010\n orr x19, x19, x0\n"
        "sub x2, x2, #4\n orr x19, x19, x2\n sub x8, x8, #48\n orr x19, x19, x8\n mov %0, x26\n mov %1, x19\n"
        : "=r"(r), "=r"(bad) : "r"(path)
        : "x0", "x1", "x2", "x3", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", "x19", "x20",
          "x26", "x28", "x30", "d3", "d31", "cc", "memory");
    return r == 0 && bad == 0;
}
#endif

/* Go's way: an alternate stack for signals, and calls made on a stack of 2 KiB. */
static int goroutine_stack(void)
{
    char *stack = mmap(NULL, 3 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stack_t ss = {.ss_sp = malloc(32768), .ss_size = 32768}, off = {.ss_flags = SS_DISABLE};
    long r, sum = 0;

    mprotect(stack + 4096, 4096, PROT_READ | PROT_WRITE);
    memset(stack + 4096, 0x5a, 4096);
    sigaltstack(&ss, NULL);
    for (int i = 0; i < 300; i++) {
#ifdef __x86_64__
        __asm__ volatile("movq %%rsp, %%rbx\n movq %1, %%rsp\n syscall\n movq %%rbx, %%rsp\n"
                         : "=a"(r) : "r"(stack + 8192 - 64), "0"(SYS_access), "D"("/etc/os-release"), "S"(0)
                         : "rcx", "r11", "rbx", "memory");
#else
        /* As Go's sites, it has the number from memory, and another instruction than a move of a register before it. */
        __asm__ volatile("mov x19, sp\n mov sp, %1\n mov x8, %3\n mov x0, #-100\n mov x1, %2\n mov x2, #0\n svc #0\n"
                         "mov sp, x19\n mov %0, x0\n"
                         : "=r"(r) : "r"(stack + 8192 - 64), "r"("/etc/os-release"), "r"((long)SYS_faccessat)
                         : "x0", "x1", "x2", "x8", "x19", "memory");
#endif
        sum += r;
    }
    sigaltstack(&off, NULL);
    for (int i = 0; i < 4096 - 64; i++)
        if (stack[4096 + i] != 0x5a)
            return 0;
    return sum == 0;
}

/* Registers, too, for a call that is made in the program's own context. */
static int registers_are_kept_by_a_resumed_call(void)
{
    unsigned long mask = 0;
    struct timespec t = {0, 1000};
#ifdef __x86_64__
    register long r10 __asm__("r10") = (long)&mask;
    register long r8 __asm__("r8") = 8;
    register long r9 __asm__("r9") = 0x3333;
    long r, d = 0, s = 0, x = (long)&t;

    __asm__ volatile("syscall" : "=a"(r), "+D"(d), "+S"(s), "+d"(x), "+r"(r10), "+r"(r8), "+r"(r9)
                     : "0"(SYS_ppoll) : "rcx", "r11", "memory");
    return r == 0 && d == 0 && s == 0 && x == (long)&t && r10 == (long)&mask && r8 == 8 && r9 == 0x3333;
#else
    register long x0 __asm__("x0") = 0, x1 __asm__("x1") = 0, x2 __asm__("x2") = (long)&t, x3 __asm__("x3") = (long)&mask;
    register long x4 __asm__("x4") = 8, x5 __asm__("x5") = 0x3333, x8 __asm__("x8") = SYS_ppoll, x16 __asm__("x16") = 0x16;
    register long x30 __asm__("x30") = 0x30;
    register double d9 __asm__("d9") = 2.5, d31 __asm__("d31") = 1.5;

    __asm__ volatile("svc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3), "+r"(x4), "+r"(x5), "+r"(x8), "+r"(x16), "+r"(x30),
                     "+w"(d9), "+w"(d31) : : "memory");
    return x0 == 0 && x1 == 0 && x2 == (long)&t && x3 == (long)&mask && x4 == 8 && x5 == 0x3333 && x8 == SYS_ppoll &&
           x16 == 0x16 && x30 == 0x30 && d9 == 2.5 && d31 == 1.5;
#endif
}

static int bad_pointers(void)
{
    struct stat st;
    char *edge = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int r = 1;

    munmap(edge + 4096, 4096);
    memset(edge, 'a', 4096);
    r &= raw(SYS_access, 8, 0, 0) == -EFAULT;
    r &= raw(SYS_access, (long)(edge + 4090), 0, 0) == -EFAULT;
    r &= raw(SYS_access, (long)0xdead000000000000, 0, 0) == -EFAULT;
    r &= raw(SYS_stat, (long)"/etc/os-release", 8, 0) == -EFAULT;
    r &= raw(SYS_stat, (long)"/etc/os-release", (long)(edge + 4000), 0) == -EFAULT;
    r &= raw(SYS_getcwd, 8, 100, 0) == -EFAULT;
    r &= raw(SYS_readlink, 8, (long)edge, 100) == -EFAULT;
    r &= raw(SYS_getcwd, (long)edge, 1, 0) == -ERANGE;
    return r && stat("/etc/os-release", &st) == 0;
}

static int path_ending_at_a_page(void)
{
    char *edge = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const char path[] = "/etc/os-release";

    munmap(edge + 4096, 4096);
    memcpy(edge + 4096 - sizeof path, path, sizeof path);
    return raw(SYS_access, (long)(edge + 4096 - sizeof path), 0, 0) == 0;
}

static int refused_calls(void)
{
    int r = 1;

    r &= raw(SYS_clone3, 0, 0, 0) == -ENOSYS;
    r &= raw(425, 8, 0, 0) == -ENOSYS && raw(426, 0, 0, 0) == -ENOSYS && raw(427, 0, 0, 0) == -ENOSYS;
    r &= raw(SYS_mount, 0, 0, 0) == -EPERM && raw(SYS_umount2, 0, 0, 0) == -EPERM;
    r &= raw(SYS_pivot_root, 0, 0, 0) == -EPERM;
    r &= raw(SYS_open_by_handle_at, 0, 0, 0) == -EPERM;
    r &= raw(SYS_fanotify_init, 0, 0, 0) == -ENOSYS && raw(SYS_fanotify_mark, 0, 0, 0) == -ENOSYS;
    r &= raw(SYS_unshare, CLONE_NEWNS | CLONE_NEWUSER, 0, 0) == -EPERM;
    r &= raw(SYS_socket, AF_NETLINK, SOCK_RAW, 9 /* NETLINK_AUDIT */) == -EPROTONOSUPPORT;
    r &= close(raw(SYS_socket, AF_NETLINK, SOCK_RAW, 0)) == 0;
    r &= raw(SYS_kill, -1, 0, 0) == -EPERM && raw(SYS_kill, getpid(), 0, 0) == 0;
    r &= raw(SYS_seccomp, 0, 0, 0) == -EINVAL;
    r &= raw(SYS_prctl, PR_SET_SECCOMP, 2, 0) == -EINVAL;
    r &= raw(SYS_prctl, 59, 0, 0) == -EINVAL;
    return r;
}

static int unknown_numbers(void)
{
    return raw(400, 0, 0, 0) == -ENOSYS && raw(480, 0, 0, 0) == -ENOSYS && raw(511, 0, 0, 0) == -ENOSYS &&
           raw(512, 0, 0, 0) == -ENOSYS && raw(100000, 0, 0, 0) == -ENOSYS && raw(-1, 0, 0, 0) == -ENOSYS &&
           raw(0x40000000 + 4, (long)"/etc/os-release", 0, 0) == -ENOSYS;
}

/* open("/etc/hostname") through int 0x80 must not reach the host. */
static int i386_entry(void)
{
    char *low = mmap((void *)0x10000, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    int status;

    if (low == MAP_FAILED)
        return 0;
    strcpy(low, "/etc/passwd");
    pid_t p = fork();
    if (p == 0) {
        long r;

#ifdef __x86_64__
        __asm__ volatile("int $0x80" : "=a"(r) : "0"(5), "b"(low), "c"(0), "d"(0) : "memory");
#else
        r = -ENOSYS; /* code of 32 bits cannot be entered from here */
#endif
        _exit((int)r >= 0);
    }
    waitpid(p, &status, 0);
    return !WIFEXITED(status) || WEXITSTATUS(status) == 0;
}

static int engine_memory_is_guarded(void)
{
    long engine = ENGINE_BASE;

    return raw(SYS_munmap, engine, 4096, 0) == -EINVAL && raw(SYS_mprotect, engine, 4096, 7) == -EINVAL &&
           access("/etc/os-release", R_OK) == 0;
}

static int identity(void)
{
    int r = getuid() == 0 && geteuid() == 0 && getgid() == 0, status;

    pid_t p = fork();
    if (p == 0) {
        uid_t a, b, c;
        int ok = setresgid(5, 5, 5) == 0 && setresuid(1000, 2000, 3000) == 0;

        getresuid(&a, &b, &c);
        ok &= a == 1000 && b == 2000 && c == 3000 && getuid() == 1000 && geteuid() == 2000 && getegid() == 5;
        ok &= setuid(0) == -1 && errno == EPERM && seteuid(3000) == 0 && setuid(7) == -1;
        _exit(!ok);
    }
    waitpid(p, &status, 0);
    return r && status == 0;
}

struct caps {
    unsigned effective, permitted, inheritable;
};
#define SETGID_BIT (1u << 6)

/* As name servers and setpriv leave root: with some capabilities in hand, until the next exec. */
static int capabilities_kept(void)
{
    struct {
        unsigned version;
        int pid;
    } head = {0x20080522, 0};
    struct caps none[2] = {{0, 0, 0}, {0, 0, 0}}, want[2] = {{SETGID_BIT, SETGID_BIT, 0}, {0, 0, 0}}, got[2];
    int status, keep;

    for (keep = 0; keep < 2; keep++) {
        pid_t p = fork();
        if (p == 0) {
            int ok = prctl(PR_SET_KEEPCAPS, keep) == 0 && prctl(PR_GET_KEEPCAPS) == keep && setresuid(7, 7, 7) == 0;

            ok &= setgroups(0, NULL) == -1 && errno == EPERM;
            ok &= syscall(SYS_capget, &head, got) == 0 && got[0].effective == 0 && !!got[0].permitted == keep;
            ok &= (syscall(SYS_capset, &head, want) == 0) == keep && (setgroups(0, NULL) == 0) == keep;
            ok &= (setresgid(8, 8, 8) == 0) == keep && setresuid(0, 0, 0) == -1;
            ok &= syscall(SYS_capset, &head, none) == 0 && setresgid(9, 9, 9) == -1;
            ok &= syscall(SYS_capset, &head, want) == -1 && errno == EPERM;
            _exit(!ok);
        }
        waitpid(p, &status, 0);
        if (status)
            return 0;
    }
    return 1;
}

static int unix_sockets(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "/tmp/sock-a"}, b;
    socklen_t n = sizeof b;
    struct stat st;
    int s = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0), r = 1;

    unlink(a.sun_path);
    umask(022);
    r &= connect(c, (void *)&a, sizeof a) == -1 && errno == ENOENT;
    r &= bind(s, (void *)&a, sizeof a) == 0 && listen(s, 1) == 0;
    r &= bind(c, (void *)&a, sizeof a) == -1 && errno == EADDRINUSE;
    r &= stat(a.sun_path, &st) == 0 && st.st_mode == (S_IFSOCK | 0755) && st.st_uid == 0;
    r &= connect(c, (void *)&a, sizeof a) == 0;
    memset(&b, 0, sizeof b);
    r &= getsockname(s, (void *)&b, &n) == 0 && strcmp(b.sun_path, a.sun_path) == 0;
    n = sizeof b;
    r &= getpeername(c, (void *)&b, &n) == 0 && strcmp(b.sun_path, a.sun_path) == 0;
    close(s);
    close(c);
    unlink(a.sun_path);
    return r;
}

static int datagram_sockets(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "/tmp/sock-b"};
    int s = socket(AF_UNIX, SOCK_DGRAM, 0), c = socket(AF_UNIX, SOCK_DGRAM, 0), r;
    struct iovec v = {"two", 3};
    struct msghdr m = {.msg_name = &a, .msg_namelen = sizeof a, .msg_iov = &v, .msg_iovlen = 1};
    char buf[8];

    unlink(a.sun_path);
    r = bind(s, (void *)&a, sizeof a) == 0;
    r &= sendto(c, "one", 3, 0, (void *)&a, sizeof a) == 3 && read(s, buf, 8) == 3 && !memcmp(buf, "one", 3);
    r &= sendmsg(c, &m, 0) == 3 && read(s, buf, 8) == 3 && !memcmp(buf, "two", 3);
    close(s);
    close(c);
    unlink(a.sun_path);
    return r;
}

/* The server answers to whatever name recvfrom gave it. */
static int datagram_answers(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "/tmp/sock-c"}, from;
    struct sockaddr_un b = {.sun_family = AF_UNIX, .sun_path = "/tmp/sock-d"};
    int s = socket(AF_UNIX, SOCK_DGRAM, 0), c = socket(AF_UNIX, SOCK_DGRAM, 0), r;
    socklen_t n = sizeof from;
    char buf[8];

    unlink(a.sun_path);
    unlink(b.sun_path);
    r = bind(s, (void *)&a, sizeof a) == 0 && bind(c, (void *)&b, sizeof b) == 0;
    r &= sendto(c, "ask", 3, 0, (void *)&a, sizeof a) == 3;
    r &= recvfrom(s, buf, 8, 0, (void *)&from, &n) == 3;
    r &= sendto(s, "answer", 6, 0, (void *)&from, n) == 6 && read(c, buf, 8) == 6;
    close(s);
    close(c);
    unlink(a.sun_path);
    unlink(b.sun_path);
    return r;
}

struct handle {
    unsigned bytes;
    int type;
    unsigned char data[128];
    int mount;
};

static long handle_of(const char *path, int flags, struct handle *h)
{
    *h = (struct handle){.bytes = sizeof h->data};
    return syscall(SYS_name_to_handle_at, AT_FDCWD, path, h, &h->mount, flags);
}

static int same(const struct handle *a, const struct handle *b)
{
    return a->bytes && a->bytes == b->bytes && a->type == b->type && a->mount == b->mount &&
           memcmp(a->data, b->data, a->bytes) == 0;
}

/* A handle is a file's for life, whatever it is called and in whichever layer its content is; it opens nothing. */
static int file_handles(void)
{
    struct handle before, h, other;
    int f, r = handle_of("/etc/os-release", 0, &before) == 0 && handle_of("/etc/../etc/os-release", 0, &h) == 0;

    r &= same(&before, &h) && handle_of("/etc/passwd", 0, &other) == 0 && !same(&before, &other);
    f = open("/etc/os-release", O_WRONLY | O_APPEND);
    r &= write(f, "\n", 1) == 1 && handle_of("/etc/os-release", 0, &h) == 0 && same(&before, &h);
    r &= rename("/etc/os-release", "/etc/renamed") == 0 && symlink("renamed", "/etc/os-release") == 0;
    r &= handle_of("/etc/os-release", 0, &h) == 0 && !same(&before, &h);
    r &= handle_of("/etc/os-release", AT_SYMLINK_FOLLOW, &h) == 0 && same(&before, &h);
    h = (struct handle){.bytes = sizeof h.data};
    r &= syscall(SYS_name_to_handle_at, f, "", &h, &h.mount, AT_EMPTY_PATH) == 0 && same(&before, &h);
    r &= syscall(SYS_open_by_handle_at, AT_FDCWD, &h, O_RDONLY) == -1 && errno == EPERM;
    h.bytes = 1;
    r &= syscall(SYS_name_to_handle_at, f, "", &h, &h.mount, AT_EMPTY_PATH) == -1 && errno == EOVERFLOW;
    r &= h.bytes == before.bytes && rename("/etc/renamed", "/etc/os-release") == 0;
    h.bytes = 129;
    r &= syscall(SYS_name_to_handle_at, AT_FDCWD, "/", &h, &h.mount, 0) == -1 && errno == EINVAL;
    r &= syscall(SYS_name_to_handle_at, AT_FDCWD, "/", 8, &h.mount, 0) == -1 && errno == EFAULT;
    close(f);
    return r;
}

/* docs/gate.md: a process may be given limits by any of its own numbers, and by no other. */
static int limits_by_number(void)
{
    struct rlimit now, few = {100, 200}, was;
    pid_t child;
    int r;

    r = raw4(SYS_prlimit64, getpid(), RLIMIT_NOFILE, (long)&few, (long)&was) == 0 && getrlimit(RLIMIT_NOFILE, &now) == 0;
    r &= now.rlim_cur == 100 && now.rlim_max == 200;
    few.rlim_cur = 50;
    r &= raw4(SYS_prlimit64, 0, RLIMIT_NOFILE, (long)&few, (long)&was) == 0 && was.rlim_cur == 100;
    r &= raw4(SYS_prlimit64, gettid(), RLIMIT_NOFILE, 8, 0) == -EFAULT;
    r &= raw4(SYS_prlimit64, getpid(), 999, (long)&few, 0) == -EINVAL;
    if ((child = fork()) == 0)
        for (;;)
            pause();
    r &= raw4(SYS_prlimit64, child, RLIMIT_NOFILE, 0, (long)&was) == 0 && was.rlim_cur == 50;
    r &= raw4(SYS_prlimit64, child, RLIMIT_NOFILE, (long)&few, 0) == -EPERM;
    r &= raw4(SYS_sched_setaffinity, child, 8, (long)&(unsigned long){-1ul}, 0) == 0;
    int nicer = getpriority(PRIO_PROCESS, 0) + 1;
    r &= setpriority(PRIO_PROCESS, child, nicer) == 0 && setpriority(PRIO_PROCESS, 0, nicer) == 0;
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    r &= raw4(SYS_prlimit64, child, RLIMIT_NOFILE, (long)&few, 0) == -ESRCH;
    return r;
}

static int arguments_without_a_right(void)
{
    int f = open("/etc/os-release", O_RDONLY), two[2], flags = 0, r = 1;
    long got = ioctl(f, _IOR('f', 1, long), &flags);

    r &= got == 0 || errno == ENOTTY; /* tells, where the file system can */
    r &= ioctl(f, _IOW('f', 2, long), &flags) == -1 && errno == ENOTTY;
    r &= fcntl(f, F_SETLEASE, F_RDLCK) == -1 && errno == EINVAL && fcntl(f, F_GETLEASE) == F_UNLCK;
    r &= socketpair(AF_UNIX, SOCK_STREAM, 0, two) == 0 && close(two[0]) == 0 && close(two[1]) == 0;
    r &= socket(40 /* AF_VSOCK */, SOCK_STREAM, 0) == -1 && errno == EAFNOSUPPORT;
    r &= close(socket(AF_INET6, SOCK_DGRAM, 0)) == 0 || errno == EAFNOSUPPORT;
    r &= raw(SYS_keyctl, 0, 0, 0) == -ENOSYS && raw(SYS_syslog, 3, 0, 0) == -EPERM;
    close(f);
    return r;
}

#ifdef SYS_getdents
#define old_or_new_getdents(f, buf, n) syscall(SYS_getdents, f, buf, n)
#define NAME_AT 18
#else
#define old_or_new_getdents(f, buf, n) syscall(SYS_getdents64, f, buf, n)
#define NAME_AT 19
#endif
static int old_getdents(void)
{
    char buf[4096];
    int f = open("/etc", O_RDONLY | O_DIRECTORY), found = 0;
    long n;

    while ((n = old_or_new_getdents(f, buf, sizeof buf)) > 0)
        for (long at = 0; at < n; at += *(unsigned short *)(buf + at + 16))
            found += strcmp(buf + at + NAME_AT, "os-release") == 0;
    close(f);
    return n == 0 && found == 1;
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        CASE(registers_are_kept), CASE(registers_are_kept_by_a_resumed_call), CASE(goroutine_stack), CASE(bad_pointers),
        CASE(path_ending_at_a_page), CASE(refused_calls), CASE(unknown_numbers), CASE(i386_entry),
        CASE(engine_memory_is_guarded), CASE(identity), CASE(capabilities_kept),
        CASE(unix_sockets), CASE(datagram_sockets), CASE(datagram_answers), CASE(old_getdents), CASE(file_handles),
        CASE(limits_by_number), CASE(arguments_without_a_right),
        END_OF_CASES};

    return run_cases(cases, argc, argv);
}
