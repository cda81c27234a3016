/* Opening: open(2)'s forms, stdio's, and the functions that make temporary files. */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "hook.h"

long rl_open_inside(struct rl_activation *here, int dirfd, const char *path, int flags, unsigned mode)
{
    const struct rl_core *core = RL_CORE(here);
    struct rl_thread *t = rl_thread();
    struct rl_open o;
    long fd;

    o.blocked = NULL;
    fd = core->open_prepare(dirfd, path, flags, mode, 0, &o);
    if (fd < 0)
        return fd;
    if (o.done_fd >= 0)
        return core->open_finish(&o, o.done_fd);
    if (!t->native)
        t->busy = NULL; /* a FIFO may block indefinitely; the rest involves only the kernel */
    fd = open(o.real, o.flags, o.mode);
    fd = fd < 0 ? -errno : fd;
    t->busy = here->box;
    return fd;
}

/* For the engine itself, while it works for a container: its descriptors are not the program's. */
static int open_outside(int dirfd, const char *path, int flags, unsigned mode)
{
    return rl_kept(openat(dirfd, path, flags, mode));
}

static int open_at(int dirfd, const char *path, int flags, unsigned mode)
{
    RL_INSIDE(here);
    long r;

    if (!here || !path)
        return open_outside(dirfd, path, flags, mode);
    r = rl_open_inside(here, dirfd, path, flags, mode);
    if (r == -ENOENT && rl_outside(here, dirfd, path))
        return openat(dirfd, path, flags, mode);
    return (int)rl_result(r);
}

static unsigned mode_of(int flags, va_list list)
{
    return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(list, unsigned) : 0;
}

int rl_h_open(const char *path, int flags, ...)
{
    va_list list;
    unsigned mode;

    va_start(list, flags);
    mode = mode_of(flags, list);
    va_end(list);
    return open_at(AT_FDCWD, path, flags, mode);
}

int rl_h_openat(int dirfd, const char *path, int flags, ...)
{
    va_list list;
    unsigned mode;

    va_start(list, flags);
    mode = mode_of(flags, list);
    va_end(list);
    return open_at(dirfd, path, flags, mode);
}

int rl_h_open_2(const char *path, int flags) { return open_at(AT_FDCWD, path, flags, 0); }
int rl_h_openat_2(int dirfd, const char *path, int flags) { return open_at(dirfd, path, flags, 0); }
int rl_h_creat(const char *path, mode_t mode) { return open_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

/* ---- stdio ------------------------------------------------------------------------------------------ */

/* Flags of open(2) for a mode of fopen(3), or -1. */
static int flags_of(const char *mode)
{
    int flags = strchr(mode, '+') ? O_RDWR : *mode == 'r' ? O_RDONLY : O_WRONLY;

    if (*mode != 'r' && *mode != 'w' && *mode != 'a')
        return -1;
    flags |= *mode == 'w' ? O_CREAT | O_TRUNC : *mode == 'a' ? O_CREAT | O_APPEND : 0;
    for (const char *p = mode + 1; *p && *p != ','; p++)
        flags |= *p == 'x' ? O_EXCL : *p == 'e' ? O_CLOEXEC : 0;
    return flags;
}

FILE *rl_h_fopen(const char *path, const char *mode)
{
    RL_INSIDE(here);
    int flags = here && path && mode ? flags_of(mode) : -1, fd;
    FILE *file;

    if (flags < 0)
        return fopen(path, mode);
    fd = open_at(AT_FDCWD, path, flags, 0666);
    if (fd < 0)
        return NULL;
    file = fdopen(fd, mode);
    if (!file)
        close(fd);
    return file;
}

FILE *rl_h_freopen(const char *path, const char *mode, FILE *stream)
{
    RL_INSIDE(here);
    int flags = here && path && mode ? flags_of(mode) : -1, fd;
    char link[40];
    FILE *file;

    if (flags < 0)
        return freopen(path, mode, stream);
    fd = open_at(AT_FDCWD, path, flags, 0666);
    if (fd < 0) {
        int error = errno;
        fclose(stream); /* as freopen does */
        errno = error;
        return NULL;
    }
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    file = freopen(link, *mode == 'w' ? "r+" : mode, stream);
    close(fd);
    return file;
}

/* ---- temporary files: names are made here, because libc's own loop would check outside ----------------- */

static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

static char *random_part(char *template, int suffix)
{
    size_t n = strlen(template);

    if (suffix < 0 || n < 6 + (size_t)suffix || memcmp(template + n - 6 - suffix, "XXXXXX", 6) != 0)
        return NULL;
    return template + n - 6 - suffix;
}

static int fill(char *at)
{
    unsigned char bytes[6];

    if (raw_getrandom(bytes, sizeof bytes) != (ssize_t)sizeof bytes)
        return -1;
    for (int i = 0; i < 6; i++)
        at[i] = letters[bytes[i] % (sizeof letters - 1)];
    return 0;
}

int rl_h_mkostemps(char *template, int suffix, int flags)
{
    RL_INSIDE(here);
    char *at;

    if (!here)
        return mkostemps(template, suffix, flags);
    at = random_part(template, suffix);
    if (!at)
        return rl_fail(EINVAL);
    for (int i = 0; i < 1000; i++) {
        int fd = fill(at) ? -1 : open_at(AT_FDCWD, template, (flags & ~O_ACCMODE) | O_RDWR | O_CREAT | O_EXCL, 0600);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return rl_fail(EEXIST);
}

int rl_h_mkstemp(char *template) { return rl_h_mkostemps(template, 0, 0); }
int rl_h_mkostemp(char *template, int flags) { return rl_h_mkostemps(template, 0, flags); }
int rl_h_mkstemps(char *template, int suffix) { return rl_h_mkostemps(template, suffix, 0); }

char *rl_h_mkdtemp(char *template)
{
    RL_INSIDE(here);
    char *at;

    if (!here)
        return mkdtemp(template);
    at = random_part(template, 0);
    if (!at) {
        errno = EINVAL;
        return NULL;
    }
    for (int i = 0; i < 1000; i++) {
        if (fill(at))
            return NULL;
        if (rl_h_mkdir(template, 0700) == 0)
            return template;
        if (errno != EEXIST)
            return NULL;
    }
    errno = EEXIST;
    return NULL;
}
