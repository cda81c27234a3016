/* AF_UNIX names are paths: translated on the way in, and back in getsockname and getpeername.
 *
 * A real path hardly ever fits the 108 bytes of sun_path: the upper is named through the launch file's alias, a short
 * symbolic link, which is made here when it is needed (most activations bind no socket); a path that still does not fit
 * is named through a descriptor of its directory. accept, recvfrom and recvmsg, which the trap engine translates, are
 * not hooked: they report a peer's real name. An answer to it arrives (translate_peer()), but for a name through a
 * descriptor.
 */
#define _GNU_SOURCE
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "hook.h"

#define REAL_BYTES (RL_PATH_MAX + 512)
#define PATH_OFFSET offsetof(struct sockaddr_un, sun_path)

struct translated {
    struct sockaddr_un address;
    socklen_t bytes;
    int dir; /* to close afterwards; -1: none */
};

/* The path of an address; NULL: it names no file, or one that is not the container's. */
static const char *path_of(const struct rl_activation *here, const struct sockaddr *address, socklen_t bytes,
                           char out[static sizeof(struct sockaddr_un)])
{
    if (!here || !address || bytes <= PATH_OFFSET || bytes > sizeof(struct sockaddr_un) ||
        address->sa_family != AF_UNIX || !((const struct sockaddr_un *)address)->sun_path[0])
        return NULL;
    memcpy(out, ((const struct sockaddr_un *)address)->sun_path, bytes - PATH_OFFSET);
    out[bytes - PATH_OFFSET] = 0;
    return out;
}

/* Another user may have made a link of that name first: only one of ours, which leads to the upper, is accepted. */
static int has_alias(const char *alias, const char *upper)
{
    char text[REAL_BYTES];
    struct stat st;
    ssize_t n = -1;

    for (int i = 0; i < 2 && n < 0; i++) {
        if (i && symlink(upper, alias) != 0)
            return 0;
        n = readlink(alias, text, sizeof text);
    }
    return n == (ssize_t)strlen(upper) && !memcmp(text, upper, (size_t)n) && raw_fstatat(AT_FDCWD, alias, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           st.st_uid == geteuid();
}

/* The part of a real path below the upper, to which the alias leads; NULL: it is not below it. */
static const char *below_upper(const struct rl_activation *here, const char *real)
{
    const char *alias = RL_CORE(here)->alias(), *upper = RL_CORE(here)->upper();
    size_t n = strlen(upper);

    return *alias && n && !strncmp(real, upper, n) && real[n] == '/' && has_alias(alias, upper) ? real + n : NULL;
}

static int put_address(struct translated *t, const char *start, const char *end)
{
    size_t n = strlen(start), m = strlen(end);

    if (n + m >= sizeof t->address.sun_path)
        return 0;
    memcpy(t->address.sun_path, start, n);
    memcpy(t->address.sun_path + n, end, m + 1);
    t->bytes = (socklen_t)(PATH_OFFSET + n + m + 1);
    return 1;
}

/* `create`: its result is the argument for name_end(). */
static long translate(const struct rl_activation *here, const char *path, int create, struct translated *t, char *real)
{
    long r = create ? RL_CORE(here)->name_begin(path, real, REAL_BYTES)
                    : RL_CORE(here)->real_path(AT_FDCWD, path, 0, real, REAL_BYTES);
    const char *inside;
    char link[40], *name;

    t->dir = -1;
    t->bytes = 0;
    memset(&t->address, 0, sizeof t->address);
    t->address.sun_family = AF_UNIX;
    if (r < 0)
        return r;
    inside = below_upper(here, real);
    if ((inside && put_address(t, RL_CORE(here)->alias(), inside)) || put_address(t, real, ""))
        return r;
    name = strrchr(real, '/');
    *name = 0;
    t->dir = open(*real ? real : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    *name = '/';
    if (t->dir >= 0)
        snprintf(link, sizeof link, "/proc/self/fd/%d", t->dir);
    if (t->dir >= 0 && put_address(t, link, name))
        return r;
    if (create)
        RL_CORE(here)->name_end(real, r, 0);
    if (t->dir < 0)
        return -errno;
    close(t->dir);
    t->dir = -1;
    return -ENAMETOOLONG;
}

/* A name that the kernel reports, as the program knows it: its length, or -ENOENT. */
static long virtual_name(const struct rl_activation *here, const char *name, char *out)
{
    const char *alias = RL_CORE(here)->alias();
    size_t n = strlen(alias);

    if (n && !strncmp(name, alias, n) && name[n] == '/')
        return (long)strlen(strcpy(out, name + n));
    return RL_CORE(here)->virtual_path(name, out, RL_PATH_MAX);
}

/* The address of a peer. A name that recvfrom or accept reported is a real path: an answer to it must work. */
static long translate_peer(const struct rl_activation *here, const char *path, struct translated *t, char *real)
{
    char name[RL_PATH_MAX];
    long r = translate(here, path, 0, t, real);

    if (r == -ENOENT && virtual_name(here, path, name) >= 0)
        r = translate(here, name, 0, t, real);
    return r;
}

static void finish(struct translated *t)
{
    int saved = errno;

    if (t->dir >= 0)
        close(t->dir);
    errno = saved;
}

int rl_h_bind(int fd, const struct sockaddr *address, socklen_t bytes)
{
    RL_INSIDE(here);
    char name[sizeof(struct sockaddr_un)], real[REAL_BYTES];
    const char *path = path_of(here, address, bytes, name);
    struct translated t;
    long r;
    int done, error;

    if (!path)
        return bind(fd, address, bytes);
    r = translate(here, path, 1, &t, real);
    if (r < 0)
        return (int)rl_result(r);
    done = bind(fd, (const struct sockaddr *)&t.address, t.bytes);
    error = errno;
    RL_CORE(here)->name_end(real, r, done == 0);
    errno = error;
    finish(&t);
    return done;
}

/* Translates the address of a peer. 1: it is in *t, 0: it stays as it is, or -errno. The core is not busy during the
 * rest of the call, which may block for long. */
static long prepare_peer(const struct rl_activation *here, const struct sockaddr *address, socklen_t bytes,
                         struct translated *t)
{
    char name[sizeof(struct sockaddr_un)], real[REAL_BYTES];
    const char *path = path_of(here, address, bytes, name);
    long r = path ? translate_peer(here, path, t, real) : 0;

    if (here && r >= 0)
        rl_thread()->busy = NULL;
    return r < 0 ? r : path != NULL;
}

int rl_h_connect(int fd, const struct sockaddr *address, socklen_t bytes)
{
    RL_INSIDE(here);
    struct translated t;
    long r = prepare_peer(here, address, bytes, &t);
    int done;

    if (r <= 0)
        return r ? (int)rl_result(r) : connect(fd, address, bytes);
    done = connect(fd, (const struct sockaddr *)&t.address, t.bytes);
    finish(&t);
    return done;
}

ssize_t rl_h_sendto(int fd, const void *data, size_t n, int flags, const struct sockaddr *address, socklen_t bytes)
{
    RL_INSIDE(here);
    struct translated t;
    long r = prepare_peer(here, address, bytes, &t);
    ssize_t done;

    if (r <= 0)
        return r ? rl_result(r) : sendto(fd, data, n, flags, address, bytes);
    done = sendto(fd, data, n, flags, (const struct sockaddr *)&t.address, t.bytes);
    finish(&t);
    return done;
}

ssize_t rl_h_sendmsg(int fd, const struct msghdr *message, int flags)
{
    RL_INSIDE(here);
    struct translated t;
    long r = prepare_peer(here, message ? message->msg_name : NULL, message ? message->msg_namelen : 0, &t);
    struct msghdr other;
    ssize_t done;

    if (r <= 0)
        return r ? rl_result(r) : sendmsg(fd, message, flags);
    other = *message;
    other.msg_name = &t.address;
    other.msg_namelen = t.bytes;
    done = sendmsg(fd, &other, flags);
    finish(&t);
    return done;
}

static int give_name(int fd, struct sockaddr *address, socklen_t *bytes,
                     int (*ask)(int, __SOCKADDR_ARG, socklen_t *restrict))
{
    RL_INSIDE(here);
    struct sockaddr_storage full;
    struct sockaddr_un *local = (struct sockaddr_un *)&full;
    socklen_t n = sizeof full, room;
    char name[RL_PATH_MAX];

    if (!here || !address || !bytes)
        return ask(fd, address, bytes);
    memset(&full, 0, sizeof full);
    if (ask(fd, (struct sockaddr *)&full, &n) != 0)
        return -1;
    if (local->sun_family == AF_UNIX && n > PATH_OFFSET && local->sun_path[0] &&
        virtual_name(here, local->sun_path, name) >= 0 && strlen(name) < sizeof local->sun_path) {
        strcpy(local->sun_path, name);
        n = (socklen_t)(PATH_OFFSET + strlen(name) + 1);
    }
    room = *bytes;
    memcpy(address, &full, room < n ? room : n);
    *bytes = n;
    return 0;
}

int rl_h_getsockname(int fd, struct sockaddr *address, socklen_t *bytes)
{
    return give_name(fd, address, bytes, getsockname);
}

int rl_h_getpeername(int fd, struct sockaddr *address, socklen_t *bytes)
{
    return give_name(fd, address, bytes, getpeername);
}
