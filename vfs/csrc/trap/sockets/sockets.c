/* AF_UNIX names are paths: translated on the way in; recvmsg.c translates them on the way back.
 *
 * 1. Calls that may block are made in the program's own context, with their address in a pass buffer.
 * 2. A name in the upper is given to the kernel through the launch file's alias, a short symbolic link: the real path
 *    of an upper hardly ever fits the 108 bytes of sun_path. For one that still does not fit, connect and send use a
 *    descriptor, /proc/self/fd/N, in a call that is made here, because the descriptor must be closed again; bind uses a
 *    short name that is changed afterwards.
 * 3. Internet addresses pass through ports.c.
 * 4. The kernel reports that short name.
 */
#include "sockets.h"

#define RL_SOCKET_MODE 0777

/* The part of a path below the upper, or NULL. */
static const char *below_upper(const char *real)
{
    const struct rl_launch_dir *dir = (const void *)((const char *)rl_launch + rl_launch->off_dirs);
    u32 n;

    if (!(rl_launch->flags & RL_LAUNCH_UPPER) || rl_launch->alias.len == 0)
        return NULL;
    n = dir->path.len;
    return memcmp(real, rl_launch_str(dir->path), n) == 0 && real[n] == '/' ? real + n : NULL;
}

long rl_socket_name(const char *name, char *out)
{
    u32 n = rl_launch->alias.len;

    if (n && rl_begins(name, rl_launch_str(rl_launch->alias)) && name[n] == '/') {
        rl_put(out, name + n);
        return rl_show_name(out);
    }
    return rl_virtual_path(name, out, RL_PATH_MAX) < 0 ? -ENOENT : rl_show_name(out);
}

static long open_path(const char *real)
{
    return k_open(real, O_PATH | O_CLOEXEC, 0);
}

/* /proc/self/fd/FD, and `name` in that directory. The address's length. */
static long by_descriptor(struct rl_address *out, int fd, const char *name)
{
    char *p = rl_put_u64(rl_put(out->path, "/proc/self/fd/"), (u64)fd, 10);

    if (*name)
        p = rl_put(rl_put(p, "/"), name);
    return 2 + (p - out->path) + 1;
}

/* The address of the real path if it fits, or 0. */
static long short_address(const char *real, struct rl_address *out)
{
    const char *inside = below_upper(real);
    size_t n = strlen(real);

    out->family = RL_AF_UNIX;
    if (inside && rl_launch->alias.len + strlen(inside) < RL_SUN_PATH)
        return 2 + (rl_put(rl_put(out->path, rl_launch_str(rl_launch->alias)), inside) - out->path) + 1;
    if (n >= RL_SUN_PATH)
        return 0;
    rl_put(out->path, real);
    return (long)(2 + n + 1);
}

static long peer_address(const char *path, struct rl_address *out, int *dir, char *real)
{
    long r = rl_access(AT_FDCWD, path, RL_W_OK, AT_EACCESS), n;

    *dir = -1;
    if (r == -EACCES)
        return r;
    r = rl_real_path(AT_FDCWD, path, 0, real, RL_BUF_BYTES / 2);
    if (r < 0 || (n = short_address(real, out)) > 0)
        return r < 0 ? r : n;
    r = open_path(real);
    if (r < 0)
        return r;
    *dir = (int)r;
    return by_descriptor(out, *dir, "");
}

/* The kernel's form of a name (/proc/net/unix) must work, too. */
long rl_socket_peer(const char *path, struct rl_address *out, int *dir, char *real)
{
    char *virtual = real + RL_BUF_BYTES / 2;
    long r = peer_address(path, out, dir, real);

    if (r == -ENOENT && rl_socket_name(path, virtual) >= 0)
        r = peer_address(virtual, out, dir, real);
    return r;
}

long rl_take_address(struct rl_call *c, u64 from, u64 bytes, struct rl_address *a)
{
    u64 n = bytes - 2;

    if (from == 0 || bytes <= 2 || bytes > sizeof *a)
        return 0; /* the kernel returns the right error */
    memset(a, 0, sizeof *a);
    if (rl_user_read(c, a, from, bytes) < 0)
        return -EFAULT;
    if (a->family != RL_AF_UNIX || a->path[0] == 0)
        return 0;
    if (n > RL_SUN_PATH)
        return -EINVAL;
    a->path[n] = 0;
    return (long)strlen(a->path);
}

/* Binds to a name that is too long, through a short one next to it. */
static long bind_renamed(int socket, struct rl_address *a, char *real)
{
    static u32 counter;
    char name[64], *p = rl_put_u64(rl_put(name, ".wh..wh.t.s"), (u64)rl_sys0(__NR_gettid), 10);
    size_t last = strlen(real);
    long dir, r;

    rl_put_u64(rl_put(p, "."), __atomic_fetch_add(&counter, 1, __ATOMIC_RELAXED), 10);
    while (real[last - 1] != '/')
        last--;
    real[last - 1] = 0;
    dir = open_path(last == 1 ? "/" : real);
    real[last - 1] = '/';
    if (dir < 0)
        return dir;
    r = rl_sys3(__NR_bind, socket, (long)a, by_descriptor(a, (int)dir, name));
    if (r == 0) {
        r = rl_sys(__NR_renameat2, dir, (long)name, dir, (long)(real + last), RENAME_NOREPLACE, 0);
        if (r < 0)
            rl_sys3(__NR_unlinkat, dir, (long)name, 0);
    }
    rl_sys1(__NR_close, dir);
    return r == -EEXIST ? -EADDRINUSE : r;
}

long rl_do_bind(struct rl_call *c)
{
    struct rl_address a, real;
    char *buf = (char *)c->slot->buf;
    int fd = (int)c->arg[0];
    long n = rl_take_address(c, c->arg[1], (u32)c->arg[2], &a), r, lock;

    if (n < 0)
        return n;
    if (n == 0) {
        int here = rl_launch->ports && c->arg[1] && (u32)c->arg[2] > 2 && (u32)c->arg[2] <= sizeof a &&
                   rl_port_bind(fd, &a, (u32)c->arg[2]);

        return rl_sys3(__NR_bind, fd, here ? (long)&a : (long)c->arg[1], (int)c->arg[2]);
    }
    lock = rl_name_begin(a.path, buf, RL_BUF_BYTES / 2);
    if (lock < 0)
        return lock;
    n = short_address(buf, &real);
    r = n ? rl_sys3(__NR_bind, fd, (long)&real, n) : bind_renamed(fd, &real, buf);
    if (rl_name_end(buf, lock, r == 0) >= 0 && r == 0) /* made under the kernel's mask, which is 0 */
        rl_chmod(AT_FDCWD, a.path, RL_SOCKET_MODE & ~rl_me.umask, 0);
    return r;
}

/* The call again with argument `at` (and its length after it) replaced. */
static long with_address(struct rl_call *c, u32 at)
{
    struct rl_address a, *real = (struct rl_address *)rl_pass_buffer();
    u64 arg[6];
    long n = rl_take_address(c, c->arg[at], (u32)c->arg[at + 1], &a), r;
    int dir = -1;

    if (n < 0)
        return n;
    memcpy(arg, c->arg, sizeof arg);
    if (n > 0) {
        n = rl_socket_peer(a.path, real, &dir, (char *)c->slot->buf);
        if (n < 0)
            return n;
        arg[at] = (u64)real;
        arg[at + 1] = (u64)n;
    } else if (c->arg[at] && (u32)c->arg[at + 1] <= sizeof a && (u32)c->arg[at + 1] > 2) {
        memcpy(real, &a, sizeof a);
        rl_port_peer((int)c->arg[0], real, (u32)c->arg[at + 1]);
        arg[at] = (u64)real;
    }
    if (dir < 0)
        return rl_resume(c, c->nr, arg);
    r = rl_sys(c->nr, (long)arg[0], (long)arg[1], (long)arg[2], (long)arg[3], (long)arg[4], (long)arg[5]);
    rl_sys1(__NR_close, dir);
    return r;
}

long rl_do_connect(struct rl_call *c) { return with_address(c, 1); }
long rl_do_sendto(struct rl_call *c) { return with_address(c, 4); }
