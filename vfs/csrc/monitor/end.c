/* Start and end of a program: its state, its events, and those that wait for the end. */
#include "monitor.h"

#define MARK_DIGITS 15
#define NAME_BYTES 4400

struct dirent {
    u64 ino, off;
    __u16 bytes;
    u8 type;
    char name[];
};

static char listing[32768] __attribute__((aligned(8)));

static const char *in_directory(const struct watch *w, const char *name)
{
    static char path[NAME_BYTES];
    if (length(w->directory) + length(name) + 2 > sizeof path)
        return "";
    put(put(put(path, w->directory), "/"), name);
    return path;
}

static int exists(const char *path)
{
    return sys(__NR_faccessat, AT_FDCWD, (long)path, 0, 0, 0) == 0;
}

int simple_end(const struct watch *w)
{
    /* One with an address has names in the files of others (rootlay.store.networks.members). */
    return !exists(in_directory(w, "supervised")) && !exists(in_directory(w, "address")) && !exists(w->trouble);
}

/* The template with its numbers: \1 the time in ns, \2 the exit code, \3 how long it ran, in s, \4 the time in s,
 * \5 the program, \6 the time of its start in ns, \7 this process. */
static size_t fill(char *out, size_t size, const char *template, const struct watch *w, u64 time_ns, u32 code)
{
    u64 lasted_s = time_ns > w->begun_ns ? (time_ns - w->begun_ns) / 1000000000ull : 0;
    u64 self = (u64)sys(__NR_getpid, 0, 0, 0, 0, 0);
    u64 v[] = {0, time_ns, code, lasted_s, time_ns / 1000000000ull, (u64)w->pid, w->begun_ns, self};
    char *p = out;
    for (; *template && p + 32 < out + size; template ++) {
        if (*template > 0 && *template < 8)
            p = put_number(p, v[(int)*template]);
        else
            *p++ = *template;
    }
    *p = 0;
    return (size_t)(p - out);
}

static void write_state(const struct watch *w, const char *text, size_t n)
{
    static char temporary[NAME_BYTES];
    char name[48];
    put(put_number(put(name, ".state.json."), (u64)sys(__NR_getpid, 0, 0, 0, 0, 0)), ".monitor");
    put(temporary, in_directory(w, name));
    long fd = sys(__NR_openat, AT_FDCWD, (long)temporary, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600, 0);
    long r = fd < 0 ? fd : sys(__NR_write, fd, (long)text, (long)n, 0, 0);
    if (fd >= 0)
        sys(__NR_close, fd, 0, 0, 0, 0);
    const char *path = in_directory(w, "state.json");
    if (r == (long)n) {
        rl_rawsys(__NR_renameat2, AT_FDCWD, (long)temporary, AT_FDCWD, (long)path, 0, 0);
        return;
    }
    if (fd >= 0)
        sys(__NR_unlinkat, AT_FDCWD, (long)temporary, 0, 0, 0);
    fd = sys(__NR_openat, AT_FDCWD, (long)path, O_WRONLY | O_CLOEXEC, 0, 0); /* a full disk: in place, as Python does */
    if (fd >= 0) {
        r = sys(__NR_write, fd, (long)text, (long)n, 0, 0);
        sys(__NR_ftruncate, fd, (long)n, 0, 0, 0);
        sys(__NR_close, fd, 0, 0, 0, 0);
    }
}

static void tell(const struct watch *w, u32 code)
{
    char text[16];
    size_t n = (size_t)(put_number(text, code) - text);
    long fd = sys(__NR_openat, AT_FDCWD, (long)w->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, 0), bytes;
    while (fd >= 0 && (bytes = sys(__NR_getdents64, fd, (long)listing, sizeof listing, 0, 0)) > 0)
        for (long at = 0; at < bytes;) {
            struct dirent *d = (struct dirent *)(listing + at);
            at += d->bytes;
            if (!begins(d->name, "wait-"))
                continue;
            const char *path = in_directory(w, d->name);
            long fifo = sys(__NR_openat, AT_FDCWD, (long)path, O_WRONLY | O_NONBLOCK | O_CLOEXEC, 0, 0);
            if (fifo >= 0) {
                sys(__NR_write, fifo, (long)text, (long)n, 0, 0);
                sys(__NR_close, fifo, 0, 0, 0, 0);
            }
            sys(__NR_unlinkat, AT_FDCWD, (long)path, 0, 0, 0);
        }
    if (fd >= 0)
        sys(__NR_close, fd, 0, 0, 0, 0);
}

static void append_event(const struct watch *w, const char *text, size_t n)
{
    long fd = sys(__NR_openat, AT_FDCWD, (long)w->events, O_CREAT | O_APPEND | O_WRONLY | O_CLOEXEC, 0600, 0);
    if (fd >= 0) {
        sys(__NR_write, fd, (long)text, (long)n, 0, 0);
        sys(__NR_close, fd, 0, 0, 0, 0);
    }
}

static char text[65536];

void record_start(struct watch *w, const char *state)
{
    w->begun_ns = now_ns();
    write_state(w, text, fill(text, sizeof text, state, w, w->begun_ns, 0));
}

void note_start(const struct watch *w, const char *event)
{
    if (*event)
        append_event(w, text, fill(text, sizeof text, event, w, w->begun_ns, 0));
}

void record_end(const struct watch *w, u32 code)
{
    u64 now = now_ns();
    write_state(w, text, fill(text, sizeof text, w->state, w, now, code));
    if (*w->event)
        append_event(w, text, fill(text, sizeof text, w->event, w, now, code));
    tell(w, code);
}

u64 mark_of_container(const struct watch *w)
{
    char digits[MARK_DIGITS + 1];
    memcpy(digits, w->id, MARK_DIGITS);
    digits[MARK_DIGITS] = 0;
    return number(digits, 16);
}

int has_programs(const struct watch *w)
{
    u64 limit[2] = {0, 0}, mark = mark_of_container(w);
    int found = 0;
    long fd = sys(__NR_openat, AT_FDCWD, (long)"/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, 0), bytes;
    while (fd >= 0 && !found && (bytes = sys(__NR_getdents64, fd, (long)listing, sizeof listing, 0, 0)) > 0)
        for (long at = 0; at < bytes && !found;) {
            struct dirent *d = (struct dirent *)(listing + at);
            at += d->bytes;
            if (d->name[0] < '1' || d->name[0] > '9')
                continue;
            found = sys(__NR_prlimit64, (long)number(d->name, 10), RLIMIT_MARK, 0, (long)limit, 0) == 0 &&
                    limit[1] == mark;
        }
    if (fd >= 0)
        sys(__NR_close, fd, 0, 0, 0, 0);
    return found;
}

/* The session's file in `launched/` (rootlay.store.containers.containers, rule 5): <containers>/launched/<id>-<token>. */
static const char *noted(const struct watch *w)
{
    static char path[NAME_BYTES + 160];
    const char *token = w->launch + length(w->directory) + sizeof "/launch-" - 1;
    size_t parent = length(w->directory) - length(w->id);
    if (length(w->directory) > NAME_BYTES || length(w->launch) < length(w->directory) + sizeof "/launch-" ||
        length(token) > 64)
        return "";
    memcpy(path, w->directory, parent);
    put(put(put(put(path + parent, "launched/"), w->id), "-"), token);
    return path;
}

void forget_session(const struct watch *w)
{
    const char *paths[] = {w->launch, w->socket, w->trouble, noted(w)};
    for (int i = 0; i < 4; i++)
        sys(__NR_unlinkat, AT_FDCWD, (long)paths[i], 0, 0, 0);
}
