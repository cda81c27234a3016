/* Makes a process that waits (await.c) for each session of a Python process: a fork of this small process takes a tenth
 * of the time of a start from there (rootlay.vfs.run.livesession).
 *
 * A message has the words after `await`, each with a NUL, and two descriptors: the life line, which is told the new
 * process's number, and the session's listening socket. LISTENER is the number that the socket has then; `-`: there is
 * none. This process ends when its maker has closed the other end of its standard input. */
#include "monitor.h"

#define MSG_FLAGS 0x40000000 /* MSG_CMSG_CLOEXEC */
#define SIGCHLD_ 17
#define WORDS_MIN 8 /* up to the first word of Python's command line, and that */

static char text[MESSAGE_BYTES];
static char *words[WORDS_MAX];
static int control[16] __attribute__((aligned(8))); /* length (8 bytes), level, type, the descriptors */

static void be_waiter(int lifeline, int listener)
{
    char pid[24];
    size_t n = (size_t)(put_number(pid, (u64)sys(__NR_getpid, 0, 0, 0, 0, 0)) - pid);
    handle_signal(SIGCHLD_, SIG_DFL_); /* for what it becomes */
    sys(__NR_write, lifeline, (long)pid, (long)n, 0, 0);
    sys(__NR_dup3, lifeline, 0, 0, 0, 0);
    if (listener >= 0 && !same(words[0], "-"))
        sys(__NR_dup3, listener, (long)number(words[0], 10), 0, 0, 0);
    await_session(words);
}

void serve_sessions(void)
{
    ignore_signals();
    handle_signal(SIGCHLD_, SIG_IGN_); /* the kernel collects the children */
    sys(__NR_setsid, 0, 0, 0, 0, 0);
    close_from(3);
    for (;;) {
        struct part part = {text, sizeof text - 1};
        struct message m = {NULL, 0, 0, &part, 1, control, sizeof control, 0};
        long n = sys(__NR_recvmsg, 0, (long)&m, MSG_FLAGS, 0, 0);
        if (n == -EINTR)
            continue;
        if (n <= 0)
            leave(0);
        long count = m.control_bytes < 16 ? 0 : (long)(*(size_t *)control - 16) / 4;
        int lifeline = count > 0 ? control[4] : -1, listener = count > 1 ? control[5] : -1;
        text[n] = 0;
        if (split_words(text, text + n, words) >= WORDS_MIN && lifeline >= 0 && fork_child() <= 0)
            be_waiter(lifeline, listener); /* also if no process can be made: its maker starts another one of these */
        for (int i = 0; i < count && i < 12; i++)
            sys(__NR_close, control[4 + i], 0, 0, 0, 0);
    }
}
