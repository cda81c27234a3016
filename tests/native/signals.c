/* Signals under an engine that lives in SIGSYS. /etc/os-release must exist. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "cases.h"
#include "machine.h"

static struct stat st;
static volatile int hits;

static int can(void) { return stat("/etc/os-release", &st) == 0; }
static void note(int sig) { (void)sig; hits++; can(); }

static void catch(int sig, void (*handler)(int), int flags, int full)
{
    struct sigaction a = {.sa_handler = handler, .sa_flags = flags};

    if (full)
        sigfillset(&a.sa_mask);
    sigaction(sig, &a, NULL);
    hits = 0;
}

/* A handler is called once after this time; no SA_RESTART. */
static void alarm_in(int us)
{
    struct itimerval t = {.it_value = {0, us}};

    setitimer(ITIMER_REAL, &t, NULL);
}

static int all_blocked(void)
{
    sigset_t all, old, now;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &old);
    int r = can();
    sigprocmask(SIG_SETMASK, NULL, &now);
    r &= sigismember(&now, SIGUSR1) && sigismember(&now, SIGSEGV);
    r &= syscall(SYS_access, (char *)8, 0) == -1 && errno == EFAULT;
    sigprocmask(SIG_SETMASK, &old, NULL);
    return r;
}

static int alternate_stack(void)
{
    stack_t ss = {.ss_sp = malloc(65536), .ss_size = 65536};

    sigaltstack(&ss, NULL);
    catch(SIGUSR1, note, SA_ONSTACK, 1);
    raise(SIGUSR1);
    return hits == 1 && can();
}

static stack_t shared;
static volatile int threads_ok;

static void *on_the_shared_stack(void *unused)
{
    volatile char mark[512];
    int r = sigaltstack(&shared, NULL) == 0;

    memset((char *)mark, 0x5a, sizeof mark);
    for (int i = 0; i < 3000 && r; i++) {
        r = access("/nowhere", F_OK) == -1 && access("/tmp/../etc/os-release", R_OK) == 0;
        for (unsigned k = 0; k < sizeof mark; k++)
            r &= mark[k] == 0x5a;
    }
    __atomic_fetch_add(&threads_ok, r, __ATOMIC_RELAXED);
    return unused;
}

/* varnishd gives all its threads the same one. */
static int one_alternate_stack_for_all_threads(void)
{
    pthread_t t[6];

    shared = (stack_t){.ss_sp = malloc(65536), .ss_size = 65536};
    threads_ok = 0;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 6; i++)
            pthread_create(&t[i], NULL, on_the_shared_stack, NULL);
        for (int i = 0; i < 6; i++)
            pthread_join(t[i], NULL);
    }
    return threads_ok == 18 && can();
}

static int bad_pointer_with_alternate_stack(void)
{
    long r = syscall(SYS_access, (char *)8, 0);

    return r == -1 && errno == EFAULT && can();
}

static void on_stack(int sig)
{
    (void)sig;
    volatile char guard[256];

    memset((char *)guard, 0x5a, sizeof guard);
    hits += syscall(SYS_access, (char *)8, 0) == -1 && errno == EFAULT;
    for (unsigned i = 0; i < sizeof guard; i++)
        if (guard[i] != 0x5a)
            hits = -100;
}

static int bad_pointer_on_the_alternate_stack(void)
{
    catch(SIGUSR1, on_stack, SA_ONSTACK, 1);
    raise(SIGUSR1);
    return hits == 1;
}

/* The classic SIGSTKSZ: the frames of two signals and a handler have to fit. */
static int old_alternate_stack(void)
{
#ifdef __aarch64__
    enum { CLASSIC = 16384 };
#else
    enum { CLASSIC = 8192 };
#endif
    stack_t ss = {.ss_sp = malloc(CLASSIC), .ss_size = CLASSIC}, old;

    sigaltstack(&ss, &old);
    catch(SIGUSR1, note, SA_ONSTACK, 1);
    raise(SIGUSR1);
    sigaltstack(&old, NULL);
    return hits == 1 && can();
}

static sigjmp_buf back;
static void jump(int sig) { (void)sig; can(); siglongjmp(back, 1); }

static int longjmp_out_of_a_handler(void)
{
    signal(SIGALRM, jump);
    for (volatile int i = 0; i < 200; i++)
        if (!sigsetjmp(back, 1)) {
            raise(SIGALRM);
            return 0;
        }
    return can();
}

static int longjmp_out_of_a_call(void)
{
    signal(SIGALRM, jump);
    for (volatile int i = 0; i < 100; i++)
        if (!sigsetjmp(back, 1)) {
            alarm_in(2000);
            for (;;)
                can();
        }
    return can();
}

static int suspend_with_a_mask(void)
{
    sigset_t s;

    catch(SIGALRM, note, 0, 0);
    sigfillset(&s);
    sigdelset(&s, SIGALRM);
    alarm_in(20000);
    return sigsuspend(&s) == -1 && errno == EINTR && hits == 1;
}

static int ppoll_with_a_mask(void)
{
    struct timespec t = {1, 0};
    sigset_t s;

    catch(SIGALRM, note, 0, 0);
    sigfillset(&s);
    sigdelset(&s, SIGALRM);
    alarm_in(20000);
    return ppoll(NULL, 0, &t, &s) == -1 && errno == EINTR && hits == 1;
}

static int pselect_with_a_mask(void)
{
    struct timespec t = {1, 0};
    sigset_t s;

    catch(SIGALRM, note, 0, 0);
    sigfillset(&s);
    sigdelset(&s, SIGALRM);
    alarm_in(20000);
    return pselect(0, NULL, NULL, NULL, &t, &s) == -1 && errno == EINTR && hits == 1;
}

static int epoll_with_a_mask(void)
{
    int e = epoll_create1(EPOLL_CLOEXEC), r;
    struct epoll_event ev;
    sigset_t s;

    catch(SIGALRM, note, 0, 0);
    sigfillset(&s);
    sigdelset(&s, SIGALRM);
    alarm_in(20000);
    r = epoll_pwait(e, &ev, 1, 1000, &s) == -1 && errno == EINTR && hits == 1;
    close(e);
    return r;
}

static int mask_is_restored_after_ppoll(void)
{
    sigset_t s, now;
    struct timespec t = {0, 1000};

    sigfillset(&s);
    ppoll(NULL, 0, &t, &s);
    sigprocmask(SIG_SETMASK, NULL, &now);
    return !sigismember(&now, SIGUSR2);
}

static int fifo_open_is_interrupted(void)
{
    catch(SIGALRM, note, 0, 0);
    unlink("/tmp/fifo-a");
    mkfifo("/tmp/fifo-a", 0600);
    alarm_in(50000);
    int f = open("/tmp/fifo-a", O_RDONLY), e = errno;
    unlink("/tmp/fifo-a");
    return f == -1 && e == EINTR && hits == 1;
}

static int fifo_open_restarts(void)
{
    catch(SIGALRM, note, SA_RESTART, 0);
    unlink("/tmp/fifo-b");
    mkfifo("/tmp/fifo-b", 0600);
    pid_t p = fork();
    if (p == 0) {
        usleep(150000);
        _exit(open("/tmp/fifo-b", O_WRONLY) < 0);
    }
    alarm_in(30000);
    int f = open("/tmp/fifo-b", O_RDONLY), status;
    waitpid(p, &status, 0);
    close(f);
    unlink("/tmp/fifo-b");
    return f >= 0 && hits == 1 && status == 0;
}

static int signal_descriptor(void)
{
    struct signalfd_siginfo i;
    sigset_t s;

    sigemptyset(&s);
    sigaddset(&s, SIGUSR1);
    sigprocmask(SIG_BLOCK, &s, NULL);
    int f = signalfd(-1, &s, SFD_CLOEXEC);
    raise(SIGUSR1);
    int r = read(f, &i, sizeof i) == sizeof i && i.ssi_signo == SIGUSR1;
    close(f);
    sigprocmask(SIG_UNBLOCK, &s, NULL);
    return r;
}

static int own_sigsys_handler(void)
{
    struct sigaction old;

    catch(SIGSYS, note, 0, 0);
    int r = can();
    sigaction(SIGSYS, NULL, &old);
    r = r && old.sa_handler == note && hits == 0;
    raise(SIGSYS);
    return r && hits == 1;
}

/* Does the action of `sig`, read back, hold each signal of its mask up to 31, or none, as `full` says? */
static int mask_is(int sig, int full)
{
    struct sigaction a;

    sigaction(sig, NULL, &a);
    for (int other = 1; other < 32; other++)
        if (sigismember(&a.sa_mask, other) != (full && other != SIGKILL && other != SIGSTOP))
            return 0;
    return 1;
}

/* valgrind sets one for each signal and holds that against what it reads. */
static int masks_of_actions_are_kept(void)
{
    const int signals[] = {SIGUSR1, SIGSYS, SIGSEGV, SIGBUS, SIGRTMAX};
    int r = 1;

    for (unsigned i = 0; i < 5; i++)
        for (int round = 0; round < 12; round++) { /* patched in the end */
            struct sigaction a = {.sa_handler = note}, old;

            sigfillset(&a.sa_mask);
            sigaction(signals[i], &a, NULL);
            r &= mask_is(signals[i], 1);
            sigemptyset(&a.sa_mask);
            sigaction(signals[i], &a, &old);
            r &= sigismember(&old.sa_mask, SIGSYS) && mask_is(signals[i], 0);
        }
    return r && can();
}

static sigjmp_buf fault_back;
static volatile int code;
static void fault(int sig, siginfo_t *i, void *u) { (void)u; code = i->si_code * 100 + sig; siglongjmp(fault_back, 1); }

static int own_segv_handler(void)
{
    struct sigaction a = {.sa_sigaction = fault, .sa_flags = SA_SIGINFO | SA_ONSTACK}, old;
    volatile int r = 1;

    sigaction(SIGSEGV, &a, NULL);
    for (volatile int i = 0; i < 3; i++) {
        code = 0;
        if (!sigsetjmp(fault_back, 1))
            *(volatile int *)16 = 1;
        r &= code == SEGV_MAPERR * 100 + SIGSEGV;
        r &= syscall(SYS_access, (char *)8, 0) == -1 && errno == EFAULT;
    }
    sigaction(SIGSEGV, NULL, &old);
    return r && old.sa_sigaction == fault && can();
}

static int unhandled_fault_kills(void)
{
    int status;
    pid_t p = fork();

    if (p == 0) {
        signal(SIGSEGV, SIG_DFL);
        *(volatile int *)16 = 1;
        _exit(0);
    }
    waitpid(p, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

static int sent_segv_kills(void)
{
    int status;
    pid_t p = fork();

    if (p == 0) {
        signal(SIGSEGV, SIG_DFL);
        raise(SIGSEGV);
        _exit(0);
    }
    waitpid(p, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

static int once_only_handler(void)
{
    struct sigaction a = {.sa_handler = note, .sa_flags = SA_RESETHAND}, old;

    sigaction(SIGSEGV, &a, NULL);
    hits = 0;
    raise(SIGSEGV);
    sigaction(SIGSEGV, NULL, &old);
    return hits == 1 && old.sa_handler == SIG_DFL;
}

#ifdef __GLIBC__ /* musl has no contexts */
static ucontext_t outside, inside;
static int inside_ok;
static void coroutine(void) { inside_ok = can(); }

static int small_stack_coroutine(void)
{
    char *stack = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stack_t off = {.ss_flags = SS_DISABLE};
    int status;

    mprotect(stack, 4096, PROT_NONE);
    pid_t p = fork();
    if (p == 0) {
        sigaltstack(&off, NULL);
        for (int i = 0; i < 200; i++) {
            getcontext(&inside);
            inside.uc_stack.ss_sp = stack + 4096;
            inside.uc_stack.ss_size = 12288;
            inside.uc_link = &outside;
            makecontext(&inside, coroutine, 0);
            swapcontext(&outside, &inside);
        }
        _exit(!inside_ok);
    }
    waitpid(p, &status, 0);
    return status == 0;
}

#else
static int small_stack_coroutine(void) { return 1; }
#endif

static int storm(void)
{
    struct itimerval t = {.it_value = {0, 200}, .it_interval = {0, 200}}, off = {0};
    volatile int r = 1;

    catch(SIGALRM, note, SA_RESTART | SA_ONSTACK, 0);
    setitimer(ITIMER_REAL, &t, NULL);
    for (int i = 0; i < 5000; i++)
        r &= can() && access("/nowhere", F_OK) == -1 && errno == ENOENT;
    setitimer(ITIMER_REAL, &off, NULL);
    return r && hits > 0;
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        CASE(all_blocked), CASE(alternate_stack), CASE(one_alternate_stack_for_all_threads),
        CASE(bad_pointer_with_alternate_stack), CASE(bad_pointer_on_the_alternate_stack), CASE(old_alternate_stack),
        CASE(longjmp_out_of_a_handler), CASE(longjmp_out_of_a_call), CASE(suspend_with_a_mask),
        CASE(ppoll_with_a_mask), CASE(pselect_with_a_mask), CASE(epoll_with_a_mask), CASE(mask_is_restored_after_ppoll),
        CASE(fifo_open_is_interrupted), CASE(fifo_open_restarts), CASE(signal_descriptor), CASE(own_sigsys_handler), CASE(masks_of_actions_are_kept),
        CASE(own_segv_handler), CASE(unhandled_fault_kills), CASE(sent_segv_kills), CASE(once_only_handler),
        CASE(small_stack_coroutine), CASE(storm), END_OF_CASES};

    return run_cases(cases, argc, argv);
}
