/* Directories: streams of merged listings, the working directory, canonical names.
 *
 * A stream opened inside is one of ours. It begins as libc's does, with the descriptor, so that code which was compiled
 * to read it there finds it; the second word, a lock of 0 to 2 in libc's, distinguishes the two. While one is open the
 * hooks stay in place (rl_open_streams), so libc never sees it.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "hook.h"

#define STREAM_MAGIC 0x524c4449
#define STREAM_BYTES 32768

struct stream {
    int fd;
    u32 magic;
    struct rl_container *box;
    size_t at, bytes;
    long position; /* of the entry that readdir returns next */
    int ended;
    char buffer[STREAM_BYTES] __attribute__((aligned(16)));
};

static int streams; /* that are open; any thread, atomically */

int rl_open_streams(void)
{
    return __atomic_load_n(&streams, __ATOMIC_SEQ_CST);
}

static struct stream *own(DIR *dir)
{
    struct stream *s = (struct stream *)dir;
    return s && s->magic == STREAM_MAGIC ? s : NULL;
}

static DIR *make_stream(struct rl_activation *here, int fd)
{
    struct stream *s = malloc(sizeof *s);

    if (!s)
        return NULL;
    s->fd = fd;
    s->magic = STREAM_MAGIC;
    s->box = here->box;
    s->at = s->bytes = 0;
    s->position = 0;
    s->ended = 0;
    __atomic_add_fetch(&streams, 1, __ATOMIC_SEQ_CST);
    return (DIR *)s;
}

DIR *rl_h_opendir(const char *path)
{
    RL_INSIDE(here);
    DIR *dir;
    long fd;

    if (!here || !path)
        return opendir(path);
    fd = rl_open_inside(here, AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC, 0);
    if (fd < 0) {
        errno = (int)-fd;
        return NULL;
    }
    dir = make_stream(here, (int)fd);
    if (!dir)
        close((int)fd);
    return dir;
}

DIR *rl_h_fdopendir(int fd)
{
    RL_INSIDE(here);
    struct stat st;
    int flags;

    if (!here || rl_outside(here, fd, "."))
        return fdopendir(fd);
    flags = fcntl(fd, F_GETFL);
    if (raw_fstat(fd, &st) < 0 || flags < 0)
        return NULL;
    if (!S_ISDIR(st.st_mode) || (flags & O_PATH)) {
        errno = flags & O_PATH ? EBADF : ENOTDIR;
        return NULL;
    }
    return make_stream(here, fd);
}

static long refill(struct stream *s)
{
    struct rl_thread *t = rl_thread();
    long n;

    t->busy = s->box; /* whatever the caller's current context is */
    __asm__ volatile("" ::: "memory");
    n = s->box->core->getdents64(s->fd, s->buffer, sizeof s->buffer);
    t->busy = NULL;
    s->at = 0;
    s->bytes = n > 0 ? (size_t)n : 0;
    return n;
}

struct dirent *rl_h_readdir(DIR *dir)
{
    struct stream *s = own(dir);
    struct dirent *e;

    if (!s)
        return readdir(dir);
    if (s->at >= s->bytes) {
        long n = s->ended ? 0 : refill(s);
        if (n <= 0) {
            s->ended = n == 0;
            if (n < 0 && n != -ENOENT) /* removed meanwhile: libc reports that as the end */
                errno = (int)-n;
            return NULL;
        }
    }
    e = (struct dirent *)(s->buffer + s->at);
    s->at += e->d_reclen;
    s->position = e->d_off;
    return e;
}

int rl_h_readdir_r(DIR *dir, struct dirent *entry, struct dirent **result)
{
    int saved = errno;
    struct dirent *e;

    errno = 0;
    e = rl_h_readdir(dir);
    *result = NULL;
    if (!e && errno)
        return errno;
    errno = saved;
    if (e) {
        memcpy(entry, e, e->d_reclen < sizeof *entry ? e->d_reclen : sizeof *entry);
        *result = entry;
    }
    return 0;
}

int rl_h_closedir(DIR *dir)
{
    struct stream *s = own(dir);
    int fd;

    if (!s)
        return closedir(dir);
    fd = s->fd;
    s->magic = 0;
    free(s);
    __atomic_sub_fetch(&streams, 1, __ATOMIC_SEQ_CST);
    return close(fd);
}

int rl_h_dirfd(DIR *dir)
{
    struct stream *s = own(dir);
    return s ? s->fd : dirfd(dir);
}

long rl_h_telldir(DIR *dir)
{
    struct stream *s = own(dir);
    return s ? s->position : telldir(dir);
}

void rl_h_seekdir(DIR *dir, long position)
{
    struct stream *s = own(dir);

    if (!s) {
        seekdir(dir, position);
        return;
    }
    lseek(s->fd, position, SEEK_SET);
    s->at = s->bytes = 0;
    s->position = position;
    s->ended = 0;
}

void rl_h_rewinddir(DIR *dir)
{
    if (own(dir))
        rl_h_seekdir(dir, 0);
    else
        rewinddir(dir);
}

ssize_t rl_h_getdents64(int fd, void *buffer, size_t bytes)
{
    RL_INSIDE(here);
    return here ? rl_result(RL_CORE(here)->getdents64(fd, buffer, bytes)) : raw_getdents64(fd, buffer, bytes);
}

/* ---- the working directory --------------------------------------------------------------------------- */

int rl_h_chdir(const char *path)
{
    RL_INSIDE(here);

    if (!here || !path)
        return chdir(path);
    return (int)rl_result(RL_CORE(here)->chdir(path));
}

int rl_h_fchdir(int fd)
{
    RL_INSIDE(here);
    return here ? (int)rl_result(RL_CORE(here)->fchdir(fd)) : fchdir(fd);
}

char *rl_h_getcwd(char *out, size_t size)
{
    RL_INSIDE(here);
    char text[RL_PATH_MAX];
    long r;

    if (!here)
        return getcwd(out, size);
    if (out && !size) {
        errno = EINVAL;
        return NULL;
    }
    r = RL_CORE(here)->getcwd(text, sizeof text);
    if (r < 0 || (out && (size_t)r > size) || (!out && size && (size_t)r > size)) {
        errno = r < 0 ? (int)-r : ERANGE;
        return NULL;
    }
    if (!out && !(out = malloc(size > (size_t)r ? size : (size_t)r)))
        return NULL;
    return memcpy(out, text, (size_t)r);
}

char *rl_h_getcwd_chk(char *out, size_t size, size_t room) { return rl_h_getcwd(out, size < room ? size : room); }
char *rl_h_get_current_dir_name(void) { return rl_h_getcwd(NULL, 0); }

/* ---- canonical names --------------------------------------------------------------------------------- */

/* An O_PATH descriptor's name inside is the canonical one. */
char *rl_h_realpath(const char *path, char *out)
{
    RL_INSIDE(here);
    char real[RL_PATH_MAX + 512], name[RL_PATH_MAX];
    long r;

    if (!here || !path)
        return realpath(path, out);
    r = *path ? rl_open_inside(here, AT_FDCWD, path, O_PATH | O_CLOEXEC, 0) : -ENOENT;
    if (r >= 0) {
        rl_fd_name((int)r, real, sizeof real);
        close((int)r);
        r = RL_CORE(here)->virtual_path(real, name, sizeof name);
    }
    if (r < 0) {
        errno = (int)-r;
        return NULL;
    }
    if (!out && !(out = malloc(PATH_MAX)))
        return NULL;
    return strcpy(out, name);
}

char *rl_h_realpath_chk(const char *path, char *out, size_t room) { (void)room; return rl_h_realpath(path, out); }
char *rl_h_canonicalize_file_name(const char *path) { return rl_h_realpath(path, NULL); }
