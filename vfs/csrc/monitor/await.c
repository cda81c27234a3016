/* Waits in the place of a hydrator until a program asks for a file, and then becomes it.
 *
 * 1. Most sessions of a hydrated image ask for nothing: no Python starts for them.
 * 2. The life line (standard input) is closed when the owner exits or starts no more programs. The session's files are
 *    removed when no program is left, unless the owner has removed them itself.
 * 3. Where the marks of processes are not ours to read, Python searches for programs (rootlay.vfs.run.processes). */
#include "monitor.h"

#define SIG_IGN_ 1
#define RLIMIT_MARK 10 /* RLIMIT_LOCKS: docs/adr/0013 */
#define IDLE_S 1
#define SETTLE_NS 200000000

struct action {
    u64 handler, flags, restorer, mask;
};

static void ignore_signals(void)
{
    static const int numbers[] = {1, 2, 3, 13, 15}; /* HUP, INT, QUIT, PIPE, TERM */
    struct action a = {SIG_IGN_, 0, 0, 0};
    u64 none = 0;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sys(__NR_rt_sigaction, numbers[i], (long)&a, 0, 8, 0);
    sys(__NR_rt_sigprocmask, 2 /* SIG_SETMASK */, (long)&none, 0, 8, 0);
}

/* What the owner's caller has left open. */
static void close_others(int listener)
{
    int first = 3;
    if (listener > first && sys(__NR_close_range, first, listener - 1, 0, 0, 0) < 0)
        for (int fd = first; fd < listener; fd++)
            sys(__NR_close, fd, 0, 0, 0, 0);
    if (listener >= first)
        first = listener + 1;
    if (sys(__NR_close_range, first, ~0u, 0, 0, 0) < 0)
        for (int fd = first; fd < 1024; fd++)
            sys(__NR_close, fd, 0, 0, 0, 0);
}

static int has_session(const struct watch *w)
{
    return sys(__NR_faccessat, AT_FDCWD, (long)w->launch, 0, 0, 0) == 0;
}

static int marks_are_known(void)
{
    u64 limit[2] = {0, 0};
    return sys(__NR_prlimit64, 0, RLIMIT_MARK, 0, (long)limit, 0) == 0 && limit[1] == ~0ull;
}

static void hydrate(const struct watch *w)
{
    static const char *const nothing[] = {NULL};
    become(w->python, nothing);
    leave(125);
}

void tidy_after(const struct watch *w)
{
    struct pollfd at = {0, POLLIN, 0};
    int quiet = 0;
    ignore_signals();
    sys(__NR_chdir, (long)"/", 0, 0, 0, 0);
    while (!at.revents)
        sys(__NR_ppoll, (long)&at, 1, 0, 0, 0);
    while (has_programs(w) || !quiet++) {
        long limit[2] = {0, SETTLE_NS};
        sys(__NR_ppoll, 0, 0, (long)limit, 0, 0);
    }
    tidy(w->directory);
    leave(0);
}

void await_request(const struct watch *w, int listener)
{
    struct pollfd at[2];
    int quiet = 0;
    at[0] = (struct pollfd){listener, POLLIN, 0}; /* a negative one is ignored */
    at[1] = (struct pollfd){0, POLLIN, 0};
    ignore_signals();
    sys(__NR_setsid, 0, 0, 0, 0, 0);
    close_others(listener);
    while (!at[1].revents) {
        if (sys(__NR_ppoll, (long)at, 2, 0, 0, 0) < 0)
            at[0].revents = at[1].revents = 0;
        if (at[0].revents)
            hydrate(w);
    }
    sys(__NR_chdir, (long)"/", 0, 0, 0, 0);
    if (has_session(w) && !marks_are_known())
        hydrate(w);
    while (has_session(w)) {
        long limit[2] = {IDLE_S, 0};
        if (has_programs(w))
            quiet = 0;
        else if (quiet++)
            forget_session(w);
        else
            limit[0] = 0, limit[1] = SETTLE_NS;
        if (sys(__NR_ppoll, (long)at, 1, (long)limit, 0, 0) > 0)
            hydrate(w);
    }
    leave(0);
}
