/* Call sites that the engine may patch: what a `syscall` instruction promises has to hold on, patched or not.
 * /etc/os-release must exist. Also, for test_engine_patch.py: `site NAME` prints the first byte of a site's code. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cases.h"
#include "machine.h"

#ifdef __x86_64__
#define ACCESS SYS_access
#define FIRST 0 /* the byte of a site that says whether it is patched */
#else
#define ACCESS SYS_faccessat
#define FIRST 3
#endif
#define TIMES 20 /* enough for a patch, and then some */

/* access(path, mode) at sites of every kind; 21 is __NR_access. */
long plain_site(const char *path, long mode);
long crossing_site(const char *path, long mode);
long shared_site(const char *path, long mode, long nr);
long checked_site(const char *path, long mode, long *bad);
long red_zone_site(const char *path, long mode);
/* Hidden: by way of the GOT, labels that are not global would all be one (aarch64). */
#define HIDDEN __attribute__((visibility("hidden")))
extern const unsigned char plain_code[] HIDDEN, crossing_code[] HIDDEN, shared_code[] HIDDEN;
#ifdef __x86_64__
__asm__(".text\n.p2align 6\nplain_site:\nplain_code: mov $21, %eax\n syscall\n ret\n"
        ".p2align 6\n.fill 13, 1, 0x90\ncrossing_site:\ncrossing_code: mov $21, %eax\n syscall\n ret\n"
        ".p2align 6\nshared_site: push %rdx\n push %rdx\nshared_code: mov 8(%rsp), %rax\n syscall\n pop %rdx\n pop %rdx\n ret\n"
        /* every register but rax, rcx and r11 has a value of its own, and keeps it */
        ".p2align 6\nchecked_site: push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n push %rdx\n"
        " mov $1001, %ebx\n mov $1002, %ebp\n mov $1003, %r12d\n mov $1004, %r13d\n mov $1005, %r14d\n mov $1006, %r15d\n"
        " mov $1007, %edx\n mov $1008, %r10d\n mov $1009, %r8d\n mov $1010, %r9d\n"
        " movq %rbx, %xmm3\n movq %rbp, %xmm15\n mov $21, %eax\n syscall\n"
        " xor %ecx, %ecx\n mov %rsp, %r11\n sub $1001, %rbx\n or %rbx, %rcx\n sub $1002, %rbp\n or %rbp, %rcx\n"
        " sub $1003, %r12\n or %r12, %rcx\n sub $1004, %r13\n or %r13, %rcx\n sub $1005, %r14\n or %r14, %rcx\n"
        " sub $1006, %r15\n or %r15, %rcx\n sub $1007, %rdx\n or %rdx, %rcx\n sub $1008, %r10\n or %r10, %rcx\n"
        " sub $1009, %r8\n or %r8, %rcx\n sub $1010, %r9\n or %r9, %rcx\n"
        " movq %xmm3, %rbx\n sub $1001, %rbx\n or %rbx, %rcx\n movq %xmm15, %rbx\n sub $1002, %rbx\n or %rbx, %rcx\n"
        " pop %rdx\n mov %rcx, (%rdx)\n pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n ret\n"
        ".p2align 6\nred_zone_site: movq $77, -8(%rsp)\n movq $78, -128(%rsp)\n mov $21, %eax\n syscall\n"
        " cmpq $77, -8(%rsp)\n jne 1f\n cmpq $78, -128(%rsp)\n jne 1f\n ret\n1: mov $1, %eax\n ret\n");
#else
/* Here `crossing` sets the number some instructions before the call. 48 is __NR_faccessat. */
#define AT_PATH " mov x2, x1\n mov x1, x0\n mov x0, #-100\n"
__asm__(".text\n.p2align 6\nplain_site:" AT_PATH "plain_code: mov x8, #48\n svc #0\n ret\n"
        ".p2align 6\ncrossing_site: mov x2, x1\n mov w8, #48\n mov x1, x0\ncrossing_code: mov x0, #-100\n svc #0\n ret\n"
        ".p2align 6\nshared_site: mov x8, x2\n mov x2, x1\n mov x1, x0\n mov x0, #-100\nshared_code: mov x5, x6\n svc #0\n ret\n"
        /* every register but x0 has a value of its own, and keeps it */
        ".p2align 6\nchecked_site: stp x19, x20, [sp, #-96]!\n stp x21, x22, [sp, #16]\n stp x27, x28, [sp, #32]\n"
        " stp x29, x30, [sp, #48]\n str x2, [sp, #64]\n" AT_PATH
        " .irp n,3,4,5,6,7,9,10,11,12,13,14,15,16,17,19,20,21,22,27,28,29,30\n mov x\\n, #1000+\\n\n .endr\n"
        " fmov d3, x9\n fmov d31, x10\n cmp x9, x10\n mov x8, #48\n svc #0\n"
        " str x0, [sp, #72]\n mov x2, #0\n csinc x2, x2, x2, lo\n"
        " .irp n,3,4,5,6,7,9,10,11,12,13,14,15,16,17,19,20,21,22,27,28,29,30\n sub x0, x\\n, #1000\n sub x0, x0, #\\n\n orr x2, x2, x0\n"
        " .endr\n sub x8, x8, #48\n orr x2, x2, x8\n fmov x0, d3\n sub x0, x0, #1009\n orr x2, x2, x0\n fmov x0, d31\n"
        " sub x0, x0, #1010\n orr x2, x2, x0\n ldr x0, [sp, #64]\n str x2, [x0]\n ldr x0, [sp, #72]\n"
        " ldp x29, x30, [sp, #48]\n ldp x27, x28, [sp, #32]\n ldp x21, x22, [sp, #16]\n ldp x19, x20, [sp], #96\n ret\n"
        /* this architecture has no red zone */
        ".p2align 6\nred_zone_site: str x0, [sp, #-16]!\n" AT_PATH " mov x8, #48\n svc #0\n add sp, sp, #16\n ret\n");
#endif

static const char *there = "/etc/os-release";

static int answers(void)
{
    int r = 1;

    for (int i = 0; i < TIMES; i++) {
        r &= plain_site(there, R_OK) == 0 && plain_site("/nowhere", R_OK) == -ENOENT;
        r &= crossing_site(there, R_OK) == 0 && crossing_site("/nowhere", R_OK) == -ENOENT;
    }
    return r;
}

static int registers_are_kept(void)
{
    long bad = 0;
    int r = 1;

    for (int i = 0; i < TIMES; i++)
        r &= checked_site(there, R_OK, &bad) == 0 && bad == 0 && checked_site("/nowhere", 0, &bad) == -ENOENT && bad == 0;
    return r;
}

static int red_zone_is_kept(void)
{
    int r = 1;

    for (int i = 0; i < TIMES; i++)
        r &= red_zone_site(there, R_OK) == 0;
    return r;
}

static int shared_site_keeps_other_calls(void)
{
    int r = 1;

    for (int i = 0; i < TIMES; i++) {
        r &= shared_site(there, R_OK, ACCESS) == 0 && shared_site(NULL, 0, SYS_getppid) == getppid();
        r &= shared_site("/nowhere", R_OK, ACCESS) == -ENOENT && shared_site(NULL, 0, 100000) == -ENOSYS &&
             shared_site(NULL, 0, -1) == -ENOSYS;
    }
    return r;
}

static int bad_pointers(void)
{
    sigset_t all, old;
    int r = 1;

    for (int i = 0; i < TIMES; i++)
        r &= plain_site((char *)8, R_OK) == -EFAULT && syscall(SYS_lstat, there, 8) == -1 && errno == EFAULT;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &old);
    r &= plain_site((char *)8, R_OK) == -EFAULT && plain_site(there, R_OK) == 0;
    sigprocmask(SIG_SETMASK, &old, NULL);
    return r && plain_site((char *)8, R_OK) == -EFAULT;
}

static sigjmp_buf back;
static void jump(int sig) { (void)sig; siglongjmp(back, 1); }

/* More often than there are slots, out of calls of the quick kind and of the other. */
static int longjmp_out_of_patched_calls(void)
{
    struct itimerval t = {.it_value = {0, 300}};
    volatile int n = 0;

    signal(SIGALRM, jump);
    close(open("/tmp/patch-x", O_CREAT | O_WRONLY, 0600));
    while (n++ < 300) {
        if (sigsetjmp(back, 1))
            continue;
        setitimer(ITIMER_REAL, &t, NULL);
        for (;;) {
            if (plain_site(there, R_OK) || plain_site("/nowhere", R_OK) != -ENOENT || chmod("/tmp/patch-x", 0600))
                return 0;
        }
    }
    signal(SIGALRM, SIG_DFL);
    unlink("/tmp/patch-x");
    return plain_site(there, R_OK) == 0;
}

static int hits;
static void count(int sig) { (void)sig; hits += plain_site(there, R_OK) == 0 && access("/nowhere", 0) == -1; }

static int signals_during_patched_calls(void)
{
    struct itimerval t = {.it_value = {0, 200}, .it_interval = {0, 200}}, off = {0};
    struct sigaction a = {.sa_handler = count, .sa_flags = SA_RESTART};
    struct stat st;
    int r = 1;

    sigaction(SIGALRM, &a, NULL);
    hits = 0;
    setitimer(ITIMER_REAL, &t, NULL);
    for (int i = 0; i < 5000; i++)
        r &= plain_site(there, R_OK) == 0 && stat("/etc", &st) == 0 && chdir("/etc") == 0 && access("os-release", R_OK) == 0;
    setitimer(ITIMER_REAL, &off, NULL);
    return r && hits > 0 && chdir("/") == 0;
}

/* A mask that is set by a patched call is the program's own afterwards. */
static int masks(void)
{
    sigset_t set, now;
    int r = 1;

    for (int i = 0; i < TIMES; i++) {
        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        sigaddset(&set, SIGSYS);
        sigprocmask(SIG_BLOCK, &set, NULL);
        sigprocmask(SIG_BLOCK, NULL, &now);
        r &= sigismember(&now, SIGUSR1) && !sigismember(&now, SIGUSR2) && plain_site(there, R_OK) == 0;
        sigprocmask(SIG_UNBLOCK, &set, NULL);
        sigprocmask(SIG_BLOCK, NULL, &now);
        r &= !sigismember(&now, SIGUSR1);
    }
    return r;
}

/* Code in a page that the program may write stays writable. */
static int writable_code(void)
{
#ifdef __x86_64__
    static const unsigned char code[] = {0xb8, 21, 0, 0, 0, 0x0f, 0x05, 0xc3};
#else
    static const unsigned code[] = {0xaa0103e2, 0xaa0003e1, 0x92800c60, 0xd2800608, 0xd4000001, 0xd65f03c0}; /* as plain_site */
#endif
    unsigned char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int r = 1;

    if (page == MAP_FAILED)
        return 1;
    memcpy(page, code, sizeof code);
    __builtin___clear_cache((char *)page, (char *)page + sizeof code);
    for (int i = 0; i < TIMES; i++) {
        r &= ((long (*)(const char *, long))page)(there, R_OK) == 0;
        page[100] = (unsigned char)i;
    }
    munmap(page, 4096);
    return r;
}

static int children_of_every_kind(void)
{
    int r = 1, status;

    for (int i = 0; i < TIMES; i++) {
        pid_t p = i & 1 ? fork() : vfork();

        if (p == 0)
            _exit(plain_site(there, R_OK) != 0);
        waitpid(p, &status, 0);
        r &= status == 0;
    }
    return r;
}

static int bad;
static void *hammer(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3000; i++)
        if (plain_site(there, R_OK) || crossing_site("/nowhere", 0) != -ENOENT || shared_site(there, 0, ACCESS))
            __atomic_fetch_add(&bad, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

/* The sites are patched while others run through them. */
static int threads(void)
{
    pthread_attr_t a;
    pthread_t t[8];

    pthread_attr_init(&a);
    pthread_attr_setstacksize(&a, 16384);
    for (int i = 0; i < 8; i++)
        if (pthread_create(&t[i], &a, hammer, NULL))
            return 0;
    for (int i = 0; i < 8; i++)
        pthread_join(t[i], NULL);
    return bad == 0;
}

/* Names and positions of a listing, in buffers of `size` bytes; "" when it goes wrong. */
static char *listing(int dir, size_t size)
{
    static char text[2][8192];
    static int turn;
    char buf[4096], *out = text[turn++ & 1];
    long n;

    *out = 0;
    lseek(dir, 0, SEEK_SET);
    while ((n = syscall(SYS_getdents64, dir, buf, size)) > 0)
        for (long at = 0; at < n; at += *(unsigned short *)(buf + at + 16))
            sprintf(out + strlen(out), "%s %llu %d\n", buf + at + 19, *(unsigned long long *)(buf + at), buf[at + 18]);
    if (n < 0)
        *out = 0;
    return out;
}

/* A small directory is listed in one go, on the program's own stack. */
static int listings(void)
{
    char buf[4096];
    int dir = open("/etc", O_RDONLY | O_DIRECTORY), r = 1;

    for (int i = 0; i < TIMES; i++) {
        r &= strstr(listing(dir, 4096), "os-release ") && strcmp(listing(dir, 4096), listing(dir, 48)) == 0;
        r &= syscall(SYS_getdents64, dir, buf, 4096) == 0; /* it stays at its end */
        lseek(dir, 0, SEEK_SET);
        r &= syscall(SYS_getdents64, dir, 8L, 4096) == -1 && errno == EFAULT;
        r &= syscall(SYS_getdents64, dir, buf, 8) == -1 && errno == EINVAL;
        r &= syscall(SYS_getdents64, dir, buf, 4096) > 0;
    }
    r &= !strstr(listing(dir, 4096), "made ") && close(open("/etc/made", O_CREAT | O_WRONLY, 0600)) == 0;
    r &= strstr(listing(dir, 4096), "made ") && strcmp(listing(dir, 4096), listing(dir, 48)) == 0;
    r &= unlink("/etc/made") == 0 && !strstr(listing(dir, 4096), "made ");
    return r & (close(dir) == 0);
}

static int show_site(const char *name)
{
    const unsigned char *code = !strcmp(name, "plain") ? plain_code : !strcmp(name, "crossing") ? crossing_code : shared_code;
    long r = 0;

    for (int i = 0; i < TIMES; i++)
        r |= code == plain_code ? plain_site(there, 0) : code == crossing_code ? crossing_site(there, 0)
                                                                              : shared_site(there, 0, ACCESS);
    printf("%02x\n", code[FIRST]);
    return r != 0;
}

/* Where the kernel lets no memory become code (PR_SET_MDWE), calls go on trapping; and so in what is executed next. */
static int no_new_code_is_allowed(void)
{
    int status;
    pid_t pid;
    unsigned char before = plain_code[FIRST]; /* other cases may have patched it */

    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        if (prctl(65 /* PR_SET_MDWE */, 1, 0, 0, 0) < 0)
            _exit(errno == EINVAL ? 0 : 1); /* before Linux 6.3 */
        if (mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
            _exit(2);
        if (!answers() || plain_code[FIRST] != before || !freopen("/dev/null", "w", stdout))
            _exit(3);
        execl("/proc/self/exe", "patches", "answers", NULL);
        _exit(4);
    }
    return waitpid(pid, &status, 0) == pid && status == 0;
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        CASE(threads), CASE(listings), CASE(answers), CASE(registers_are_kept), CASE(red_zone_is_kept), CASE(shared_site_keeps_other_calls),
        CASE(longjmp_out_of_patched_calls), CASE(signals_during_patched_calls), CASE(masks), CASE(writable_code),
        CASE(children_of_every_kind), CASE(bad_pointers), CASE(no_new_code_is_allowed), END_OF_CASES};

    if (argc == 3 && !strcmp(argv[1], "site"))
        return show_site(argv[2]);
    return run_cases(cases, argc, argv);
}
