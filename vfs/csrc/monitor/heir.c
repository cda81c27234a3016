/* The heir: holds the descriptors of a monitor, and takes its place when it dies.
 *
 * A message has a count, as many numbers of descriptors, and the words that take over, each with a NUL; the descriptors
 * themselves come with it. A message of one byte is the monitor's last. */
#include "monitor.h"

#define SCRATCH_FD 64 /* received descriptors wait above, until their places are free */
#define MSG_FLAGS 0x40000000 /* MSG_CMSG_CLOEXEC */
#define WNOHANG_ 1
#define WEXITED_ 4
#define WNOWAIT_ 0x1000000

static char text[MESSAGE_BYTES];
static char *words[WORDS_MAX];
static int control[64];

/* Ended children, without the monitor's program: its exit code is for the process that takes over. */
static void reap(void)
{
    int info[32]; /* siginfo: the process is the fifth number */
    for (;;) {
        info[4] = 0;
        if (sys(__NR_waitid, 0, 0, (long)info, WEXITED_ | WNOHANG_ | WNOWAIT_, 0) < 0 || !info[4])
            return;
        long pid = info[4];
        for (char **w = words; *w; w++)
            if (same(*w, "--pid") && w[1] && (long)number(w[1], 10) == pid)
                return; /* it stays, and hides others for the moment until the takeover */
        sys(__NR_wait4, pid, 0, WNOHANG_, 0, 0);
    }
}

static void place(const u8 *numbers, u32 count, const int *fds)
{
    int waiting[FDS_END];
    for (u32 i = 0; i < count; i++) {
        waiting[i] = (int)sys(__NR_fcntl, fds[i], F_DUPFD, SCRATCH_FD, 0, 0);
        sys(__NR_close, fds[i], 0, 0, 0, 0);
    }
    for (int fd = OUT; fd < FDS_END; fd++)
        sys(__NR_close, fd, 0, 0, 0, 0);
    for (u32 i = 0; i < count; i++) {
        sys(__NR_dup3, waiting[i], numbers[i], 0, 0, 0);
        sys(__NR_close, waiting[i], 0, 0, 0, 0);
    }
}

static void take_over(void)
{
    static const char *const nothing[] = {NULL};
    sys(__NR_close, HEIR_CHANNEL, 0, 0, 0, 0);
    if (words[0])
        become(words, nothing);
    leave(125);
}

static void listen(void)
{
    struct part part = {text, sizeof text - 1};
    struct message m = {NULL, 0, 0, &part, 1, control, sizeof control, 0};
    long n = sys(__NR_recvmsg, HEIR_CHANNEL, (long)&m, MSG_FLAGS, 0, 0);
    if (n == -EINTR || n == -EAGAIN)
        return;
    if (n <= 0)
        take_over();
    if (n == 1)
        leave(0);
    u32 count = (u8)text[0];
    if (count >= FDS_END || (count && m.control_bytes < 16 + 4u * count))
        return;
    place((u8 *)text + 1, count, control + 4);
    text[n] = 0;
    split_words(text + 1 + count, text + n, words);
}

void be_heir(void)
{
    struct pollfd at[2];
    char infos[128 * 4];
    sys(__NR_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    sys(__NR_fcntl, HEIR_CHANNEL, F_SETFD, FD_CLOEXEC, 0, 0);
    at[0] = (struct pollfd){HEIR_CHANNEL, POLLIN, 0};
    at[1] = (struct pollfd){children(), POLLIN, 0};
    for (;;) {
        if (sys(__NR_ppoll, (long)at, 2, 0, 0, 0) <= 0)
            continue;
        if (at[1].revents) {
            sys(__NR_read, at[1].fd, (long)infos, sizeof infos, 0, 0);
            reap();
        }
        if (at[0].revents)
            listen();
    }
}
