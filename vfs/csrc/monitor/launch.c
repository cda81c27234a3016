/* Starts a program with its monitor and its heir, for rootlay.vfs.detached.nativestart: a copy of a Python process, which
 * a fork makes, takes ten times as long.
 *
 * 1. PLAN has texts, each with a NUL: directory, id, launch, socket, trouble, events; the templates (end.c) of the state
 *    at the start, the state at the end, the events of the start, the events of the end; then three lists, each with its
 *    length first: the command line of rootlay.vfs.lifecycle.monitor, that of the program, its environment. They are no
 *    arguments of this process, because every user may read those.
 * 2. REPORT is told the program's number when it runs. If it does not, for whatever reason, nothing is left of the
 *    attempt, and REPORT is told `again`: Python starts it then, and has the words for the error.
 * 3. The state is written before the program runs, as Python does: whoever kills this process leaves that to the heir. */
#include "monitor.h"

#define PROT_READ_WRITE 3
#define MAP_PRIVATE_ 2
#define MAP_NEW 0x22 /* MAP_PRIVATE, MAP_ANONYMOUS */
#define ABOVE 32
#define ENGINE_REPORT 3 /* RL_REPORT_FD */
#define SEEK_END_ 2
#define WNOHANG_ 1
#define LOOK_NS 500000000
#define PLACE_OF_PID 8 /* in the command line: python -P -m MODULE ROOT ID LAUNCH --pid PID */

struct plan {
    const char *begun, *started;
    char **program, **environment;
};

static const char again[] = "again";

static int failed(long result)
{
    return result < 0 && result > -4096;
}

static const char *take(char **at)
{
    const char *found = *at;
    *at += length(found) + 1;
    return found;
}

static char **take_list(char **at)
{
    u64 count = number(take(at), 10);
    long place = rl_rawsys(__NR_mmap, 0, (long)((count + 1) * sizeof(char *)), PROT_READ_WRITE, MAP_NEW, -1, 0);
    if (failed(place))
        return NULL;
    char **list = (char **)place;
    for (u64 i = 0; i < count; i++)
        list[i] = (char *)take(at);
    list[count] = NULL;
    return list;
}

static int read_plan(struct watch *w, struct plan *plan)
{
    long size = sys(__NR_lseek, PLAN, 0, SEEK_END_, 0, 0);
    if (size <= 0)
        return 0;
    long place = rl_rawsys(__NR_mmap, 0, size, PROT_READ_WRITE, MAP_PRIVATE_, PLAN, 0);
    if (failed(place))
        return 0;
    char *at = (char *)place;
    w->directory = take(&at);
    w->id = take(&at);
    w->launch = take(&at);
    w->socket = take(&at);
    w->trouble = take(&at);
    w->events = take(&at);
    plan->begun = take(&at);
    w->state = take(&at);
    plan->started = take(&at);
    w->event = take(&at);
    w->python = take_list(&at);
    plan->program = take_list(&at);
    plan->environment = take_list(&at);
    return w->python && plan->program && plan->environment;
}

static void report(const char *text)
{
    sys(__NR_write, REPORT, (long)text, (long)length(text), 0, 0);
}

static void give_up(void)
{
    static const char last[1] = "";
    sys(__NR_write, CHANNEL, (long)last, 1, 0, 0); /* the heir ends; there may be none */
    report(again);
    leave(0);
}

/* A pipe: its read end takes the number `place`, and is not inherited if that is 0. Above all numbers that are given. */
static int make_pipe(int place, int *read_end)
{
    int ends[2] = {-1, -1};
    if (sys(__NR_pipe2, (long)ends, O_CLOEXEC, 0, 0, 0) < 0)
        return -1;
    long end = sys(__NR_fcntl, ends[1], F_DUPFD_CLOEXEC, ABOVE, 0, 0);
    *read_end = (int)(place ? sys(__NR_dup3, ends[0], place, 0, 0, 0)
                            : sys(__NR_fcntl, ends[0], F_DUPFD_CLOEXEC, ABOVE, 0, 0));
    sys(__NR_close, ends[0], 0, 0, 0, 0);
    sys(__NR_close, ends[1], 0, 0, 0, 0);
    return *read_end < 0 ? -1 : (int)end;
}

static void be_program(const struct plan *plan, int out, int err, int heard)
{
    const char code = 125;
    long null = sys(__NR_openat, AT_FDCWD, (long)"/dev/null", O_RDONLY | O_CLOEXEC, 0, 0);
    sys(__NR_setsid, 0, 0, 0, 0, 0);
    if (null >= 0)
        sys(__NR_dup3, null, 0, 0, 0, 0);
    sys(__NR_dup3, out, 1, 0, 0, 0);
    sys(__NR_dup3, err, 2, 0, 0, 0);
    sys(__NR_dup3, heard, ENGINE_REPORT, 0, 0, 0);
    close_from(ENGINE_REPORT + 1);
    handle_signal(SIGPIPE_, SIG_DFL_);
    handle_signal(SIGXFSZ_, SIG_DFL_);
    sys(__NR_execve, (long)plan->program[0], (long)plan->program, (long)plan->environment, 0, 0);
    sys(__NR_write, ENGINE_REPORT, (long)&code, 1, 0, 0);
    leave(125);
}

/* Whether the program runs: the engine has closed its report without an exit code as the last byte. It may need a file
 * for that: then a hydrator starts, which may also end before the next request. */
static int has_started(struct watch *w, int heard)
{
    static char said[4096];
    char last = '\n';
    int listener = HYDRATE;
    for (;;) {
        long limit[2] = {0, LOOK_NS};
        struct pollfd at[2];
        at[0] = (struct pollfd){heard, POLLIN, 0};
        at[1] = (struct pollfd){w->hydrator ? -1 : listener, POLLIN, 0};
        if (sys(__NR_ppoll, (long)at, 2, w->hydrator ? (long)limit : 0, 0, 0) < 0)
            continue;
        if (w->hydrator && sys(__NR_wait4, w->hydrator, 0, WNOHANG_, 0, 0) != 0)
            w->hydrator = 0;
        if (at[1].revents & POLLNVAL)
            listener = -1; /* no file of the container can be missing */
        else if (at[1].revents)
            start_hydrator(w);
        if (!at[0].revents)
            continue;
        long n = sys(__NR_read, heard, (long)said, sizeof said, 0, 0);
        if (n == 0 || (n < 0 && n != -EINTR))
            return last == '\n';
        if (n > 0)
            last = said[n - 1];
    }
}

static int is_marked(const struct watch *w)
{
    u64 limit[2] = {0, 0};
    return sys(__NR_prlimit64, w->pid, RLIMIT_MARK, 0, (long)limit, 0) == 0 && limit[1] == mark_of_container(w);
}

static void start_program(struct watch *w, const struct plan *plan)
{
    static const char *const resume[] = {"resume", NULL};
    static char pid[24];
    int heard = -1, ignored;
    send_state(w->python); /* the heir knows what to do from now on */
    int out = make_pipe(OUT, &ignored), err = make_pipe(ERR, &ignored), told = make_pipe(0, &heard);
    long child = out < 0 || err < 0 || told < 0 ? -1 : fork_child();
    if (child < 0)
        give_up();
    if (child == 0)
        be_program(plan, out, err, told);
    w->pid = child;
    sys(__NR_close, out, 0, 0, 0, 0);
    sys(__NR_close, err, 0, 0, 0, 0);
    sys(__NR_close, told, 0, 0, 0, 0);
    sys(__NR_fcntl, OUT, F_SETFL, O_NONBLOCK, 0, 0);
    sys(__NR_fcntl, ERR, F_SETFL, O_NONBLOCK, 0, 0);
    put_number(pid, (u64)child);
    w->python[PLACE_OF_PID] = pid;
    record_start(w, plan->begun);
    send_state(w->python);
    if (!has_started(w, heard)) {
        sys(__NR_wait4, child, 0, 0, 0, 0);
        give_up();
    }
    sys(__NR_close, heard, 0, 0, 0, 0);
    note_start(w, plan->started);
    report(pid);
    sys(__NR_close, REPORT, 0, 0, 0, 0);
    if (!is_marked(w))
        become(w->python, resume);
}

void launch(struct watch *w)
{
    struct plan plan;
    int channel;
    w->hydrator = 0;
    sys(__NR_fcntl, REPORT, F_SETFD, FD_CLOEXEC, 0, 0);
    handle_signal(SIGPIPE_, SIG_IGN_); /* who waits for an end, or for a report, may have been killed */
    handle_signal(SIGXFSZ_, SIG_IGN_);
    if (!read_plan(w, &plan))
        give_up();
    close_from(REPORT + 1);
    for (int fd = PLAN; fd < OUT; fd++)
        sys(__NR_close, fd, 0, 0, 0, 0);
    sys(__NR_setsid, 0, 0, 0, 0, 0);
    long pid = fork_child();
    if (pid > 0)
        leave(0); /* its parent does not wait for the program */
    if (pid < 0 || (channel = open_channel()) < 0 || (pid = fork_child()) < 0)
        give_up();
    if (pid > 0)
        add_heir(w->self, channel);
    sys(__NR_close, channel, 0, 0, 0, 0);
    start_program(w, &plan);
    watch(w);
}
