/* Waits in the place of a hydrator until a program asks for a file, and then becomes it.
 *
 * 1. Most sessions of a hydrated image ask for nothing: no Python starts for them.
 * 2. The life line (standard input) is closed when the owner exits or starts no more programs. The session's files are
 *    removed when no program is left, unless the owner has removed them itself.
 * 3. Where the marks of processes are not ours to read, Python searches for programs (rootlay.vfs.run.processes). */
#include "monitor.h"

#define IDLE_S 1
#define SETTLE_NS 200000000

/* What the owner's caller has left open. */
static void close_others(int listener)
{
    int first = 3;
    if (listener > first && sys(__NR_close_range, first, listener - 1, 0, 0, 0) < 0)
        for (int fd = first; fd < listener; fd++)
            sys(__NR_close, fd, 0, 0, 0, 0);
    if (listener >= first)
        first = listener + 1;
    close_from(first);
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

static void await_request(const struct watch *w, int listener)
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

void await_session(char **words)
{
    struct watch w;
    w.directory = words[1];
    w.id = words[2];
    w.launch = words[3];
    w.socket = words[4];
    w.trouble = words[5];
    w.python = words + 6; /* the command line of rootlay.vfs.run.hydrator */
    await_request(&w, same(words[0], "-") ? -1 : (int)number(words[0], 10));
    leave(0);
}
