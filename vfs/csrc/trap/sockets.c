/* AF_UNIX names are paths: translated on the way in, and back in getsockname and getpeername.
 *
 * 1. Calls that may block are made in the program's own context, their address in a pass buffer.
 * 2. A name in the upper is given to the kernel by way of the launch file's alias, a short symbolic
 *    link: the real path of an upper hardly ever fits the 108 bytes of sun_path. What does not fit
 *    all the same is reached through a descriptor of its directory: /proc/self/fd/N/name. The calls
 *    that need that are made here: the descriptor must be closed again.
 * 3. Internet addresses pass through ports.c.
 * 4. Names that accept, recvfrom and recvmsg report are left as they are, and so are those of sockets
 *    that were bound by way of rule 2.
 */
#include "engine.h"
#include "syscalls.h"

#define RL_AF_UNIX 1
#define RL_SUN_PATH 108
#define RL_SOCKET_MODE 0777
#define RL_O_PATH_DIR 012200000 /* O_PATH | O_DIRECTORY | O_CLOEXEC */
#define RL_ADDRESS_MAX 128      /* struct sockaddr_storage */

struct rl_address {
    u16 family;
    char path[RL_ADDRESS_MAX - 2];
};

struct rl_message {
    u64 name;
    u32 name_bytes, pad;
    u64 vectors, vector_count, control, control_bytes;
    u32 flags, pad2;
};

/* The upper's part of a path in it, or NULL. */
static const char *below_upper(const char *real)
{
    const struct rl_launch_dir *dir = (const void *)((const char *)rl_launch + rl_launch->off_dirs);
    u32 n;

    if (!(rl_launch->flags & RL_LAUNCH_UPPER) || rl_launch->alias.len == 0)
        return NULL;
    n = dir->path.len;
    return memcmp(real, rl_launch_str(dir->path), n) == 0 && real[n] == '/' ? real + n : NULL;
}

/* A name that the kernel reports, as the program calls it: length, or -ENOENT. */
static long virtual_name(const char *name, char *out)
{
    u32 n = rl_launch->alias.len;

    if (n && rl_text_starts(name, rl_launch_str(rl_launch->alias)) && name[n] == '/') {
        rl_put_text(out, name + n);
        return (long)strlen(out);
    }
    return rl_virtual_path(name, out, RL_PATH_MAX);
}

/* The translated address; `dir` is a descriptor to close afterwards, or -1. Returns its length. */
static long translate(const char *path, int create, struct rl_address *out, int *dir, char *real)
{
    long r = rl_real_path(RL_AT_FDCWD, path, 0, create, real, RL_BUF_BYTES / 2);
    size_t n, name;
    const char *inside;
    char *p;

    *dir = -1;
    if (r < 0)
        return r;
    out->family = RL_AF_UNIX;
    n = strlen(real);
    inside = below_upper(real);
    if (inside && rl_launch->alias.len + strlen(inside) < RL_SUN_PATH) {
        p = rl_put_text(rl_put_text(out->path, rl_launch_str(rl_launch->alias)), inside);
        return 2 + (p - out->path) + 1;
    }
    if (n < RL_SUN_PATH) {
        rl_put_text(out->path, real);
        return (long)(2 + n + 1);
    }
    for (name = n; real[name - 1] != '/'; name--)
        ;
    real[name - 1] = 0;
    r = rl_sys3(__NR_open, (long)(name == 1 ? "/" : real), RL_O_PATH_DIR, 0);
    real[name - 1] = '/';
    if (r < 0)
        return r;
    *dir = (int)r;
    p = rl_put_text(rl_put_number(rl_put_text(out->path, "/proc/self/fd/"), (u64)r, 10), "/");
    if ((size_t)(p - out->path) + (n - name) >= RL_SUN_PATH) {
        rl_sys1(__NR_close, *dir);
        *dir = -1;
        return -ENAMETOOLONG;
    }
    p = rl_put_text(p, real + name);
    return 2 + (p - out->path) + 1;
}

/* The same for the name of somebody to talk to. A name that recvfrom or accept reported is a real
 * path (rule 4): an answer to it must find its way. */
static long translate_peer(const char *path, struct rl_address *out, int *dir, char *real)
{
    char *virtual = real + RL_BUF_BYTES / 2;
    long r = translate(path, 0, out, dir, real);

    if (r == -ENOENT && virtual_name(path, virtual) >= 0)
        r = translate(virtual, 0, out, dir, real);
    return r;
}

/* Reads an address. Length of the path when it names a file, 0 when there is nothing to translate. */
static long take_address(struct rl_call *c, u64 from, u64 bytes, struct rl_address *a)
{
    u64 n = bytes - 2;

    if (from == 0 || bytes <= 2 || bytes > sizeof *a)
        return 0; /* the kernel says what is wrong with it */
    memset(a, 0, sizeof *a);
    if (rl_guest_read(c, a, from, bytes) < 0)
        return -EFAULT;
    if (a->family != RL_AF_UNIX || a->path[0] == 0)
        return 0;
    if (n > RL_SUN_PATH)
        return -EINVAL;
    a->path[n] = 0;
    return (long)strlen(a->path);
}

long rl_do_bind(struct rl_call *c)
{
    struct rl_address a, real;
    struct rl_attr attr;
    char *buf = (char *)c->slot->buf;
    long n = take_address(c, c->arg[1], (u32)c->arg[2], &a), r;
    int dir;

    if (n < 0)
        return n;
    if (n == 0) {
        int here = rl_launch->ports && c->arg[1] && (u32)c->arg[2] > 2 && (u32)c->arg[2] <= sizeof a &&
                   rl_port_bind((int)c->arg[0], &a, (u32)c->arg[2]);

        return rl_sys3(__NR_bind, (int)c->arg[0], here ? (long)&a : (long)c->arg[1], (int)c->arg[2]);
    }
    if (rl_stat(RL_AT_FDCWD, a.path, RL_AT_SYMLINK_NOFOLLOW, &attr) == 0)
        return -EADDRINUSE;
    n = translate(a.path, 1, &real, &dir, buf);
    if (n < 0)
        return n;
    r = rl_sys3(__NR_bind, (int)c->arg[0], (long)&real, n);
    if (r == 0 && rl_created(buf) >= 0) /* made under the kernel's mask, which is 0 */
        rl_chmod(RL_AT_FDCWD, a.path, RL_SOCKET_MODE & ~rl_me.umask, 0);
    if (dir >= 0)
        rl_sys1(__NR_close, dir);
    return r;
}

/* The call again with argument `at` (and its length behind it) replaced. */
static long with_address(struct rl_call *c, u32 at)
{
    struct rl_address a, *real = (struct rl_address *)rl_pass_buffer();
    u64 arg[6];
    long n = take_address(c, c->arg[at], (u32)c->arg[at + 1], &a), r;
    int dir = -1;

    if (n < 0)
        return n;
    memcpy(arg, c->arg, sizeof arg);
    if (n > 0) {
        n = translate_peer(a.path, real, &dir, (char *)c->slot->buf);
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

long rl_do_sendmsg(struct rl_call *c)
{
    struct rl_message *m = (struct rl_message *)rl_pass_buffer();
    struct rl_address a, *real = (struct rl_address *)(m + 1);
    u64 arg[6];
    long n, r;
    int dir = -1;

    memcpy(arg, c->arg, sizeof arg);
    if (rl_guest_read(c, m, c->arg[1], sizeof *m) < 0)
        return -EFAULT;
    n = take_address(c, m->name, m->name_bytes, &a);
    if (n > 0) {
        n = translate_peer(a.path, real, &dir, (char *)c->slot->buf);
        m->name = (u64)real;
        m->name_bytes = (u32)n;
    } else if (n == 0 && m->name && m->name_bytes > 2 && m->name_bytes <= sizeof a &&
               rl_port_peer((int)c->arg[0], &a, m->name_bytes)) {
        memcpy(real, &a, sizeof a);
        m->name = (u64)real;
    }
    if (n < 0)
        return n;
    arg[1] = (u64)m;
    if (dir < 0)
        return rl_resume(c, c->nr, arg);
    r = rl_sys3(__NR_sendmsg, (int)arg[0], (long)m, (long)arg[2]);
    rl_sys1(__NR_close, dir);
    return r;
}

/* Many messages: as they are when none names a file (DNS resolvers), else refused; programs then
 * send them one by one. */
long rl_do_sendmmsg(struct rl_call *c)
{
    struct {
        struct rl_message m;
        u32 sent, pad;
    } one;
    struct rl_address a;

    for (u32 i = 0; i < (u32)c->arg[2] && i < 1024; i++) {
        long n;

        if (rl_guest_read(c, &one, c->arg[1] + i * sizeof one, sizeof one) < 0)
            break; /* the kernel sends those before it */
        n = take_address(c, one.m.name, one.m.name_bytes, &a);
        if (n == 0 && one.m.name && one.m.name_bytes > 2 && one.m.name_bytes <= sizeof a)
            n = rl_port_peer((int)c->arg[0], &a, one.m.name_bytes);
        if (n != 0)
            return n < 0 ? n : -ENOSYS;
    }
    return rl_resume(c, c->nr, c->arg);
}

/* getsockname, getpeername: a name below a layer becomes what the program calls it. */
static long give_address(struct rl_call *c)
{
    struct rl_address a;
    char *name = (char *)c->slot->buf;
    u32 room, bytes = sizeof a;
    long r;

    if (rl_guest_read(c, &room, c->arg[2], sizeof room) < 0)
        return -EFAULT;
    if ((i32)room < 0)
        return -EINVAL;
    memset(&a, 0, sizeof a);
    r = rl_sys3(c->nr, (int)c->arg[0], (long)&a, (long)&bytes);
    if (r < 0)
        return r;
    if (a.family == RL_AF_UNIX && bytes > 2 && a.path[0]) {
        if (virtual_name(a.path, name) >= 0 && strlen(name) < RL_SUN_PATH) {
            memset(a.path, 0, sizeof a.path);
            rl_put_text(a.path, name);
            bytes = (u32)(2 + strlen(name) + 1);
        }
    }
    rl_port_name((int)c->arg[0], &a, bytes);
    if (rl_guest_write(c, c->arg[1], &a, room < bytes ? room : bytes) < 0)
        return -EFAULT;
    return rl_guest_write(c, c->arg[2], &bytes, sizeof bytes);
}

long rl_do_getsockname(struct rl_call *c) { return give_address(c); }
long rl_do_getpeername(struct rl_call *c) { return give_address(c); }
