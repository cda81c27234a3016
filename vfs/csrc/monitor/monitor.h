/* The monitor of a detached program, and its heir (docs/robustness.md, *Monitors*). And the process that waits for the
 * first request of a session (await.c).
 *
 * 1. There are two processes for each detached program. The *monitor* is its parent: it relays its output to the log
 *    and records its end. The *heir* is the monitor's parent, or its child after the first takeover; it holds the same
 *    descriptors and does nothing else.
 * 2. When either dies, the other continues and makes a new partner. So neither output nor, after the death of the first
 *    monitor, the exit code is lost: orphans go to the heir (PR_SET_CHILD_SUBREAPER).
 * 3. What is not simple is done by Python, which this program becomes by an execve: restarts, health checks, removal,
 *    input, and hydration. Descriptors have fixed numbers for that.
 * 4. No memory is allocated. */
#ifndef RL_MONITOR_H
#define RL_MONITOR_H

#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/poll.h>
#include <linux/prctl.h>
#include <linux/types.h>
#include <stddef.h>

#include "../../../store/csrc/abi.h"
#include "../core/base/rawsys.h"

/* rootlay.vfs.detached.heir has the same numbers. */
enum { OUT = 10, ERR, HYDRATE, LOG, INDEX, LIFELINE, CHANNEL, SINK, ATTACH, FDS_END };
#define HEIR_CHANNEL 3
/* Of a start (launch.c), as rootlay.vfs.detached.nativestart has them: what is to be done, and who is told. */
#define PLAN 3
#define REPORT FDS_END
#define MESSAGE_BYTES 65536

#define SIGCHLD_BIT (1ull << 16)
#define SIG_DFL_ 0
#define SIG_IGN_ 1
#define SIGPIPE_ 13
#define SIGXFSZ_ 25
#define RLIMIT_MARK 10 /* RLIMIT_LOCKS: docs/adr/0013 */

extern char **environment;

static inline long sys(long nr, long a, long b, long c, long d, long e)
{
    return rl_rawsys(nr, a, b, c, d, e, 0);
}

/* ---- text.c ------------------------------------------------------------------------------------ */

size_t length(const char *s);
int same(const char *a, const char *b);
int begins(const char *s, const char *prefix);
char *put(char *out, const char *text); /* returns the end; writes the NUL */
char *put_number(char *out, u64 v);
u64 number(const char *s, u32 base);
void *memcpy(void *d, const void *s, size_t n);
void *memset(void *d, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);

/* ---- process.c --------------------------------------------------------------------------------- */

u64 now_ns(void);
int children(void); /* a descriptor that is readable when a child has ended; SIGCHLD is blocked */
void leave(int code) __attribute__((noreturn));
/* Become another program, with the words of `list` and the `more`, up to a NULL. Returns only if that is impossible. */
void become(char **list, const char *const *more);
long fork_child(void);
#define WORDS_MAX 512
u32 split_words(char *text, const char *end, char **words); /* each has a NUL. Their number; a NULL follows them */
void ignore_signals(void); /* the terminal's, and SIGTERM and SIGPIPE */
void handle_signal(int number, u64 handler); /* SIG_DFL_ or SIG_IGN_ */
void close_from(int first);
int open_channel(void); /* to an heir, as CHANNEL: the heir's end, or -1 */
void add_heir(const char *self, int channel) __attribute__((noreturn)); /* become the heir at this end of a channel */
int send_state(char **list); /* to CHANNEL: the descriptors, and the words that take over */
void make_heir(const char *self, char **list);

/* ---- tidy.c ------------------------------------------------------------------------------------ */

void tidy(const char *path);

/* ---- heir.c, watch.c, launch.c, await.c, sessions.c, end.c ------------------------------------------------ */

struct watch {
    const char *self;
    long pid;
    const char *directory, *id, *launch, *socket, *trouble, *state, *event, *events; /* two templates, see end.c */
    u64 begun_ns;
    char **python; /* the command line of rootlay.vfs.lifecycle.monitor */
    int children;
    long hydrator; /* its process, or 0 */
};

void be_heir(void) __attribute__((noreturn));
void watch(struct watch *w) __attribute__((noreturn));
void start_hydrator(struct watch *w);
/* Start a program as PLAN says, with its heir, and watch it. */
void launch(struct watch *w) __attribute__((noreturn));
/* Wait for the end of the process whose pidfd is standard input, and of all programs of the container `id`; then remove
 * `directory`. */
void tidy_after(const struct watch *w) __attribute__((noreturn));
/* The words after `await`. Standard input is the life line. */
void await_session(char **words) __attribute__((noreturn));
/* Make a process that waits for each session that standard input names. */
void serve_sessions(void) __attribute__((noreturn));
int simple_end(const struct watch *w); /* no part of Python is needed */
void record_start(struct watch *w, const char *state);
void note_start(const struct watch *w, const char *event);
void record_end(const struct watch *w, u32 code);
u64 mark_of_container(const struct watch *w);
int has_programs(const struct watch *w);
void forget_session(const struct watch *w);

/* struct iovec and struct msghdr of sendmsg(2). */
struct part {
    void *base;
    size_t bytes;
};
struct message {
    void *name;
    u32 name_bytes, pad;
    struct part *parts;
    size_t count;
    void *control;
    size_t control_bytes;
    int flags;
};

#endif
