/* Functions of libc that walk directories (ftw, nftw and fts): libc's own would walk those of the machine. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "hook.h"

DIR *rl_h_opendir(const char *path);
struct dirent *rl_h_readdir(DIR *dir);
int rl_h_closedir(DIR *dir);
int rl_h_stat(const char *path, struct stat *st);
int rl_h_lstat(const char *path, struct stat *st);

typedef int compare(const void *a, const void *b);

static void free_all(struct dirent **list, size_t n)
{
    while (n)
        free(list[--n]);
    free(list);
}

int rl_h_scandir(const char *path, struct dirent ***out, int (*wanted)(const struct dirent *),
                 int (*order)(const struct dirent **, const struct dirent **))
{
    RL_INSIDE(here);
    struct dirent **list = NULL, *e;
    size_t n = 0, room = 0;
    int saved = errno;
    DIR *dir;

    if (!here || !path)
        return scandir(path, out, wanted, order);
    dir = rl_h_opendir(path);
    if (!dir)
        return -1;
    while (errno = 0, (e = rl_h_readdir(dir)) != NULL) {
        if (wanted && !wanted(e))
            continue;
        if (n == room) {
            room = room ? room * 2 : 32;
            struct dirent **more = realloc(list, room * sizeof *more); /* NOLINT(bugprone-sizeof-expression) */
            if (!more)
                break;
            list = more;
        }
        if (!(list[n] = malloc(e->d_reclen)))
            break;
        memcpy(list[n++], e, e->d_reclen);
    }
    if (errno || e) {
        saved = e ? ENOMEM : errno;
        free_all(list, n);
        rl_h_closedir(dir);
        return rl_fail(saved);
    }
    rl_h_closedir(dir);
    if (order && n)
        qsort(list, n, sizeof *list, (compare *)order); /* NOLINT(bugprone-sizeof-expression): of pointers */
    errno = saved;
    *out = list;
    return (int)n;
}

static void *open_directory(const char *path) { return rl_h_opendir(path); }
static struct dirent *next_entry(void *dir) { return rl_h_readdir(dir); }
static void close_directory(void *dir) { rl_h_closedir(dir); }

/* The newest version: 2.27 changed what it does with links that lead nowhere. */
static int native_glob(const char *pattern, int flags, int (*on_error)(const char *, int), glob_t *found)
{
    static int (*newest)(const char *, int, int (*)(const char *, int), glob_t *);

    if (!newest)
        newest = (__typeof__(newest))dlsym(RTLD_DEFAULT, "glob");
    return newest ? newest(pattern, flags, on_error, found) : GLOB_NOSPACE;
}

int rl_h_glob(const char *pattern, int flags, int (*on_error)(const char *, int), glob_t *found)
{
    RL_INSIDE(here);
    glob_t g;
    int r;

    if (!here || (flags & GLOB_ALTDIRFUNC))
        return native_glob(pattern, flags, on_error, found);
    g = *found;
    g.gl_opendir = open_directory;
    g.gl_readdir = next_entry;
    g.gl_closedir = close_directory;
    g.gl_stat = rl_h_stat;
    g.gl_lstat = rl_h_lstat;
    r = native_glob(pattern, flags | GLOB_ALTDIRFUNC, on_error, &g);
    found->gl_pathc = g.gl_pathc;
    found->gl_pathv = g.gl_pathv;
    found->gl_flags = g.gl_flags & ~GLOB_ALTDIRFUNC;
    return r;
}
