/* AF_UNIX names are paths: translated on the way in; recvmsg.c translates them on the way back.
 *
 * 1. Calls that may block are made in the program's own context, with their address in a pass buffer.
 * 2. A name in the upper is given to the kernel through the launch file's alias, a short symbolic link: the real path
 *    of an upper hardly ever fits the 108 bytes of sun_path. For one that still does not fit, and for a relative one
 *    that the kernel does not find from its working directory, connect and send use a descriptor, /proc/self/fd/N, in a
 *    call that is made here, because the descriptor must be closed again; bind uses a short name that is changed
 *    afterwards.
 * 3. Internet addresses pass through ports.c, or, in a container that has an address of its own, through address.c.
 * 4. The kernel reports that short name.
 */
#include "sockets.h"

#define RL_SOCKET_MODE 0777
#define PEER_TRIES 100 /* of a relative name whose directory is moved all the time */
#define RL_IPPROTO_IP 0
#define RL_IP_PKTINFO 8

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
    for (u32 tries = PEER_TRIES; tries; tries--) {
        r = rl_real_path(AT_FDCWD, path, 0, real, RL_BUF_BYTES / 2);
        if (r < 0 || *path == '/' || !below_upper(real))
            break;
        /* Of a directory of the image that was the working directory before the upper had it: while another process
         * moves it, a path is soon wrong. */
        n = open_path(real);
        if (n >= 0) {
            *dir = (int)n;
            out->family = RL_AF_UNIX;
            return by_descriptor(out, *dir, "");
        }
        if (n != -ENOENT)
            return n;
    }
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

/* ---- abstract names: a prefix makes them the container's own ------------------------------------- */
/* Not those of a container that got its address while programs ran: what these have bound has to be found. */

#define PREFIX_BYTES 4
#define AUTOBIND_BYTES 8 /* the kernel's own choice: unique, and known to the program without a prefix */

static int is_abstract(const struct rl_address *a, u32 bytes)
{
    return a->family == RL_AF_UNIX && bytes > 3 && a->path[0] == 0 && !(rl_launch->flags & RL_LAUNCH_PLAIN_NAMES);
}

static void prefix_of(char out[PREFIX_BYTES])
{
    memcpy(out, rl_launch->address, PREFIX_BYTES);
    out[0] = 'r';
}

u32 rl_abstract_add(struct rl_address *a, u32 bytes)
{
    if (!is_abstract(a, bytes) || bytes == AUTOBIND_BYTES || bytes + PREFIX_BYTES > 2 + RL_SUN_PATH)
        return bytes;
    memmove(a->path + 1 + PREFIX_BYTES, a->path + 1, bytes - 3);
    prefix_of(a->path + 1);
    return bytes + PREFIX_BYTES;
}

u32 rl_abstract_name(struct rl_address *a, u32 bytes)
{
    char prefix[PREFIX_BYTES];

    prefix_of(prefix);
    if (!rl_has_address() || !is_abstract(a, bytes) || bytes <= 3 + PREFIX_BYTES ||
        memcmp(a->path + 1, prefix, PREFIX_BYTES) != 0)
        return bytes;
    memmove(a->path + 1, a->path + 1 + PREFIX_BYTES, bytes - 3 - PREFIX_BYTES);
    return bytes - PREFIX_BYTES;
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

/* A name that is not a file's. */
static long bind_other(struct rl_call *c, int fd, struct rl_address *a)
{
    u32 bytes = (u32)c->arg[2];

    if (c->arg[1] == 0 || bytes <= 2 || bytes > sizeof *a)
        return rl_sys3(__NR_bind, fd, (long)c->arg[1], (int)bytes);
    if (rl_has_address())
        return a->family == RL_AF_UNIX ? rl_sys3(__NR_bind, fd, (long)a, rl_abstract_add(a, bytes))
                                       : rl_address_bind(fd, a, bytes);
    return rl_sys3(__NR_bind, fd, rl_port_bind(fd, a, bytes) ? (long)a : (long)c->arg[1], (int)bytes);
}

long rl_do_bind(struct rl_call *c)
{
    struct rl_address a, real;
    char *buf = (char *)c->slot->buf;
    int fd = (int)c->arg[0];
    long n = rl_take_address(c, c->arg[1], (u32)c->arg[2], &a), r, lock;

    if (n < 0)
        return n;
    if (n == 0)
        return bind_other(c, fd, &a);
    lock = rl_name_begin(a.path, buf, RL_BUF_BYTES / 2);
    if (lock < 0)
        return lock;
    n = short_address(buf, &real);
    r = n ? rl_sys3(__NR_bind, fd, (long)&real, n) : bind_renamed(fd, &real, buf);
    if (rl_name_end(buf, lock, r == 0) >= 0 && r == 0) /* made under the kernel's mask, which is 0 */
        rl_chmod(AT_FDCWD, a.path, RL_SOCKET_MODE & ~rl_me.umask, 0);
    return r;
}

u32 rl_other_peer(int fd, struct rl_address *a, u32 bytes, u8 source[4])
{
    memset(source, 0, 4);
    if (!rl_has_address()) {
        rl_port_peer(fd, a, bytes);
        if (rl_launch->addresses.len)
            rl_container_peer(fd, a, bytes);
    } else if (a->family == RL_AF_UNIX) {
        bytes = rl_abstract_add(a, bytes);
    } else {
        bytes = rl_address_peer(fd, a, bytes, source);
    }
    return bytes;
}

struct rl_source_control rl_source_control(const u8 source[4])
{
    struct rl_source_control c = {.head = {sizeof c - sizeof c.pad, RL_IPPROTO_IP, RL_IP_PKTINFO}};

    memcpy(c.source, source, sizeof c.source);
    return c;
}

/* In a pass buffer: sendto() as a sendmsg() that says which source it has. */
struct with_source {
    struct rl_address to;
    struct rl_message m;
    u64 vector[2];
    struct rl_source_control control;
};

static long send_from(struct rl_call *c, struct with_source *s, u32 bytes, const u8 source[4])
{
    u64 arg[6] = {c->arg[0], (u64)&s->m, c->arg[3], 0, 0, 0};

    s->vector[0] = c->arg[1];
    s->vector[1] = c->arg[2];
    s->control = rl_source_control(source);
    s->m = (struct rl_message){.name = (u64)&s->to, .name_bytes = bytes, .vectors = (u64)s->vector, .vector_count = 1,
                               .control = (u64)&s->control, .control_bytes = sizeof s->control};
    return rl_resume(c, __NR_sendmsg, arg);
}

/* The call again with argument `at` (and its length after it) replaced. */
static long with_address(struct rl_call *c, u32 at)
{
    struct rl_address a, *real = (struct rl_address *)rl_pass_buffer();
    u64 arg[6];
    u8 source[4];
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
        arg[at + 1] = rl_other_peer((int)c->arg[0], real, (u32)c->arg[at + 1], source);
        arg[at] = (u64)real;
        if (source[0] && c->nr == __NR_connect)
            rl_address_source((int)c->arg[0], real, source);
        else if (source[0] && rl_socket_protocol((int)c->arg[0]) == RL_PORT_UDP)
            return send_from(c, (struct with_source *)real, (u32)arg[at + 1], source);
    }
    if (dir < 0)
        return rl_resume(c, c->nr, arg);
    r = rl_sys(c->nr, (long)arg[0], (long)arg[1], (long)arg[2], (long)arg[3], (long)arg[4], (long)arg[5]);
    rl_sys1(__NR_close, dir);
    return r;
}

long rl_do_connect(struct rl_call *c) { return with_address(c, 1); }
long rl_do_sendto(struct rl_call *c) { return with_address(c, 4); }
