/* Paths that are not the container's business. */
#define _GNU_SOURCE
#include <string.h>

#include "hook.h"

/* Could the path mean something else than its text says: `..`, `.` or an empty component? */
static int needs_cleaning(const char *path)
{
    for (const char *p = path; (p = strchr(p, '/')) != NULL; p++)
        if (p[1] == '/' || (p[1] == '.' && (p[2] == '/' || p[2] == 0 || (p[2] == '.' && (p[3] == '/' || p[3] == 0)))))
            return 1;
    return 0;
}

/* By its text alone, into out[RL_PATH_MAX]. 0: too long. */
static size_t clean(const char *path, char *out)
{
    size_t n = 0;

    while (*path) {
        size_t k = strcspn(path, "/");

        if (k == 2 && path[0] == '.' && path[1] == '.') {
            while (n && out[n - 1] != '/')
                n--;
            n -= n > 0;
        } else if (k && !(k == 1 && path[0] == '.')) {
            if (n + k + 2 > RL_PATH_MAX)
                return 0;
            out[n++] = '/';
            memcpy(out + n, path, k);
            n += k;
        }
        path += k;
        path += *path == '/';
    }
    out[n] = 0;
    return n;
}

int rl_through(const struct rl_inside *here, const char *path)
{
    const struct rl_box *box = here->box;
    char text[RL_PATH_MAX];
    size_t n;

    if (path[0] != '/')
        return 0;
    if (needs_cleaning(path)) {
        if (!clean(path, text))
            return 0;
        path = text;
    }
    n = strlen(path);
    for (u32 i = 0; i < box->throughs; i++) {
        const struct rl_prefix *p = &box->through[i];

        if (n >= p->len && !memcmp(path, p->path, p->len) && (path[p->len] == '/' || !path[p->len]))
            return p->writable ? RL_THROUGH_WRITE : RL_THROUGH_READ;
    }
    return 0;
}

int rl_outside(const struct rl_inside *here, int dirfd, const char *path)
{
    char link[40], real[PATH_MAX], name[RL_PATH_MAX];
    ssize_t n;

    if (dirfd < 0 || path[0] == '/')
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", dirfd);
    n = readlink(link, real, sizeof real - 1);
    if (n < 0)
        return 0;
    real[n] = 0;
    return real[0] != '/' || RL_CORE(here)->virtual_path(real, name, sizeof name) == -ENOENT;
}

/* A directory that leads to the interpreter's files is there, though the image may not have it. */
int rl_leads_through(const struct rl_inside *here, const char *path)
{
    size_t n = strlen(path);

    while (n > 1 && path[n - 1] == '/')
        n--;
    for (u32 i = 0; path[0] == '/' && i < here->box->throughs; i++) {
        const struct rl_prefix *p = &here->box->through[i];
        if (!p->writable && p->len > n && p->path[n] == '/' && !memcmp(p->path, path, n))
            return 1;
    }
    return 0;
}

/* Makes such directories on the way of a path, as the user inside may: something is to be made there, or listed.
 * Returns whether one was made. */
int rl_make_way(const struct rl_inside *here, const char *path)
{
    char way[RL_PATH_MAX];
    int made = 0;
    size_t n = strlen(path);

    if (path[0] != '/' || n >= sizeof way)
        return 0;
    memcpy(way, path, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if (path[i] && path[i] != '/')
            continue;
        way[i] = 0;
        if (!rl_leads_through(here, way))
            break;
        made |= RL_CORE(here)->mkdir(AT_FDCWD, way, 0755) == 0;
        way[i] = path[i];
    }
    return made;
}
