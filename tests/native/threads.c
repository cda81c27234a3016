/* Threads: small stacks, forks beside them, cancellation. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cases.h"
#include "machine.h"

static int bad;
static void *hammer(void *arg)
{
    struct stat s;

    (void)arg;
    for (int i = 0; i < 2000; i++) {
        int f = open("/etc/os-release", O_RDONLY);

        if (stat("/etc/os-release", &s) || f < 0 || access("/nowhere", F_OK) == 0)
            __atomic_fetch_add(&bad, 1, __ATOMIC_SEQ_CST);
        close(f);
    }
    return NULL;
}

static int threads_with_small_stacks(void)
{
    pthread_t t[16];
    pthread_attr_t a;

    pthread_attr_init(&a);
    pthread_attr_setstacksize(&a, 16384);
    for (int i = 0; i < 16; i++)
        if (pthread_create(&t[i], &a, hammer, NULL))
            return 0;
    for (int i = 0; i < 16; i++)
        pthread_join(t[i], NULL);
    return bad == 0;
}

static void *idle(void *arg) { for (;;) { struct stat s; stat("/etc/os-release", &s); if (*(volatile int *)arg) return NULL; } }

static int fork_while_threads_are_in_calls(void)
{
    volatile int stop = 0;
    pthread_t t[4];
    int r = 1, status;

    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, idle, (void *)&stop);
    for (int i = 0; i < 100; i++) {
        pid_t p = fork();
        if (p == 0)
            _exit(access("/etc/os-release", R_OK) != 0);
        waitpid(p, &status, 0);
        r &= status == 0;
    }
    stop = 1;
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    return r;
}

static int cancelled(void *(*body)(void *))
{
    pthread_t t;
    void *result;
    struct timespec ts;

    pthread_create(&t, NULL, body, NULL);
    usleep(50000);
    pthread_cancel(t);
    clock_gettime(CLOCK_REALTIME, &ts);
    ts.tv_sec += 2;
    return pthread_timedjoin_np(t, &result, &ts) == 0 && result == PTHREAD_CANCELED;
}

static void *read_forever(void *arg)
{
    int p[2];
    char ch;

    (void)arg;
    return pipe(p) == 0 && read(p[0], &ch, 1) == 0 ? NULL : NULL;
}
static void *open_fifo(void *arg) { (void)arg; (void)!open("/tmp/fifo-c", O_RDONLY); return NULL; }

static int cancel_a_read(void) { return cancelled(read_forever); }

static int cancel_a_fifo_open(void)
{
    unlink("/tmp/fifo-c");
    mkfifo("/tmp/fifo-c", 0600);
    int r = cancelled(open_fifo);
    unlink("/tmp/fifo-c");
    return r;
}

/* Calls made at a cancellable site (other threads exist) whose pointers the engine leaves alone. */
static int sends_beside_a_thread(void)
{
    int pair[2], u = socket(AF_INET, SOCK_DGRAM, 0), r;
    struct iovec v = {"x", 1};
    struct mmsghdr m = {.msg_hdr = {.msg_iov = &v, .msg_iovlen = 1}};
    pthread_t t;
    char ch;

    pthread_create(&t, NULL, read_forever, NULL);
    r = socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0 && sendmmsg(pair[0], &m, 1, 0) == 1 && read(pair[1], &ch, 1) == 1;
    r &= sendmsg(pair[0], &m.msg_hdr, 0) == 1 && read(pair[1], &ch, 1) == 1;
    r &= connect(u, NULL, 0) == -1 && connect(u, (void *)8, 16) == -1 && errno == EFAULT;
    r &= sendto(pair[0], "x", 1, 0, (void *)&ch, 1) == -1;
    pthread_cancel(t);
    pthread_join(t, NULL);
    close(pair[0]);
    close(pair[1]);
    close(u);
    return r;
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        CASE(threads_with_small_stacks), CASE(fork_while_threads_are_in_calls), CASE(cancel_a_read),
        CASE(cancel_a_fifo_open), CASE(sends_beside_a_thread), END_OF_CASES};
    return run_cases(cases, argc, argv);
}
