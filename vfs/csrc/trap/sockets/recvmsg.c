/* Socket calls that return a name or an identity: accept, recvfrom, recvmsg, recvmmsg, getsockname, getpeername.
 *
 * 1. The kernel puts addresses into a buffer of ours; the program gets them translated.
 * 2. A call is first made here without waiting. If nothing has arrived and it is to wait, it waits in the program's own
 *    context (resume.c), and is made again when data has arrived.
 * 3. If no translation can be needed, the call itself waits, at the program's own site: it remains a cancellation
 *    point. One that waits by rule 2 is cancelled only when data has arrived.
 * 4. recvmmsg, whose time-out is for the whole call, waits in the kernel, with the program's buffers; names are
 *    translated there when it has returned.
 * 5. Internet addresses pass through ports.c, or, in a container that has an address of its own, addressname.c.
 */
#include "sockets.h"

#define RL_SO_PASSCRED 16
#define RL_SO_DOMAIN 39
#define RL_MSG_WAITALL 0x100
#define RL_MSG_WAITFORONE 0x10000

static long option(int fd, int name) { return rl_socket_option(fd, RL_SOL_SOCKET, name); }

static int waits(int fd)
{
    long flags = rl_sys3(__NR_fcntl, fd, F_GETFL, 0);

    return flags >= 0 && !(flags & O_NONBLOCK);
}

/* Nothing has arrived: `special` says that the data may need a translation. */
static long wait_for(struct rl_call *c, u32 flags, int special)
{
    int fd = (int)c->arg[0];
    u64 look[6] = {(u64)fd, (u64)rl_pass_buffer(), 1, RL_MSG_PEEK, 0, 0};

    if (flags & RL_MSG_DONTWAIT || !waits(fd))
        return -EAGAIN;
    return special ? rl_resume_then(c, __NR_recvfrom, look, 0, 1) : rl_resume_unchanged(c);
}

static int has_special_names(int fd)
{
    return rl_launch->ports || rl_has_address() || option(fd, RL_SO_DOMAIN) == RL_AF_UNIX;
}

static enum rl_end end_of(long nr)
{
    switch (nr) {
    case __NR_getsockname: return RL_END_LOCAL;
    case __NR_getpeername:
    case __NR_accept:
    case __NR_accept4: return RL_END_PEER;
    default: return RL_END_SENDER;
    }
}

/* An address that the kernel has reported in `a`, as the program sees it. Its length. */
static u32 translate(struct rl_call *c, int fd, struct rl_address *a, u32 bytes)
{
    char *name = (char *)c->slot->buf;

    if (bytes > 2 && a->family == RL_AF_UNIX && a->path[0]) {
        if (rl_socket_name(a->path, name) >= 0 && strlen(name) < RL_SUN_PATH) {
            memset(a->path, 0, sizeof a->path);
            rl_put(a->path, name);
            return (u32)(2 + strlen(name) + 1);
        }
    } else if (bytes > 2 && a->family == RL_AF_UNIX) {
        bytes = rl_abstract_name(a, bytes);
    } else if (bytes > 2 && rl_has_address()) {
        bytes = rl_address_name(fd, a, bytes, end_of(c->nr));
    } else if (bytes > 2) {
        rl_port_name(fd, a, bytes);
    }
    return bytes;
}

/* The same, into the program's memory at `to`, which has `room` bytes. Its length, or -EFAULT. */
static long give(struct rl_call *c, int fd, struct rl_address *a, u32 bytes, u64 to, u32 room)
{
    bytes = translate(c, fd, a, bytes);
    return rl_user_write(c, to, a, room < bytes ? room : bytes) < 0 ? -EFAULT : (long)bytes;
}

static long take_room(struct rl_call *c, u64 from, u32 *room)
{
    if (rl_user_read(c, room, from, sizeof *room) < 0)
        return -EFAULT;
    return (i32)*room < 0 ? -EINVAL : 0;
}

static long give_with_length(struct rl_call *c, int fd, struct rl_address *a, u32 bytes, u64 to, u64 length, u32 room)
{
    long r = give(c, fd, a, bytes, to, room);

    bytes = (u32)r;
    return r < 0 ? r : rl_user_write(c, length, &bytes, sizeof bytes);
}

static long own_or_peer(struct rl_call *c)
{
    struct rl_address a;
    u32 room, bytes = sizeof a;
    long r = take_room(c, c->arg[2], &room);

    if (r < 0)
        return r;
    memset(&a, 0, sizeof a);
    r = rl_sys3(c->nr, (int)c->arg[0], (long)&a, (long)&bytes);
    return r < 0 ? r : give_with_length(c, (int)c->arg[0], &a, bytes, c->arg[1], c->arg[2], room);
}

long rl_do_getsockname(struct rl_call *c) { return own_or_peer(c); }
long rl_do_getpeername(struct rl_call *c) { return own_or_peer(c); }

long rl_do_accept(struct rl_call *c)
{
    int fd = (int)c->arg[0];
    struct rl_address a;
    u32 room, bytes = sizeof a;
    u64 arg[6];
    long r, fresh;

    if (c->arg[1] == 0 || !has_special_names(fd) || take_room(c, c->arg[2], &room) < 0)
        return rl_resume_unchanged(c);
    memcpy(arg, c->arg, sizeof arg);
    if (waits(fd)) {
        arg[1] = arg[2] = 0;
        return rl_resume_accept(c, arg);
    }
    memset(&a, 0, sizeof a);
    fresh = rl_sys4(c->nr, fd, (long)&a, (long)&bytes, (long)arg[3]);
    if (fresh < 0)
        return fresh;
    r = give_with_length(c, (int)fresh, &a, bytes, arg[1], arg[2], room);
    if (r < 0)
        rl_sys1(__NR_close, fresh);
    return r < 0 ? r : fresh;
}

long rl_do_recvfrom(struct rl_call *c)
{
    struct rl_address a;
    u32 room, bytes = sizeof a, flags = (u32)c->arg[3];
    int fd = (int)c->arg[0];
    long n, r;

    if (c->arg[4] == 0 || take_room(c, c->arg[5], &room) < 0 || flags & RL_MSG_WAITALL)
        return rl_resume_unchanged(c);
    memset(&a, 0, sizeof a);
    n = rl_sys(__NR_recvfrom, fd, (long)c->arg[1], (long)c->arg[2], flags | RL_MSG_DONTWAIT, (long)&a, (long)&bytes);
    if (n == -EAGAIN)
        return wait_for(c, flags, has_special_names(fd));
    if (n < 0)
        return n;
    r = give_with_length(c, fd, &a, bytes, c->arg[4], c->arg[5], room);
    return r < 0 ? r : n;
}

/* One message, into the program's struct msghdr at `at`. Bytes, or -errno. */
static long receive(struct rl_call *c, u64 at, u32 flags, struct rl_message *asked)
{
    struct rl_message m;
    struct rl_address a;
    long n, r = 0;

    if (rl_user_read(c, &m, at, sizeof m) < 0)
        return -EFAULT;
    *asked = m;
    if (m.name) {
        memset(&a, 0, sizeof a);
        m.name = (u64)&a;
        m.name_bytes = sizeof a;
    }
    n = rl_sys3(__NR_recvmsg, (int)c->arg[0], (long)&m, flags | RL_MSG_DONTWAIT);
    if (n < 0)
        return n;
    if (asked->name) {
        r = give(c, (int)c->arg[0], &a, m.name_bytes, asked->name, asked->name_bytes);
        m.name_bytes = (u32)r;
        m.name = asked->name;
    }
    if (r >= 0 && m.control_bytes)
        r = rl_credentials_received(c, m.control, m.control_bytes);
    return r < 0 || rl_user_write(c, at, &m, sizeof m) < 0 ? -EFAULT : n;
}

/* May a message received with these requests (`asked`) need a translation? */
static int is_special(struct rl_call *c, const struct rl_message *asked)
{
    int fd = (int)c->arg[0];

    return (asked->name && has_special_names(fd)) ||
           (asked->control && (option(fd, RL_SO_PASSCRED) == 1 || rl_anything_watched()));
}

long rl_do_recvmsg(struct rl_call *c)
{
    struct rl_message asked;
    u32 flags = (u32)c->arg[2];
    long n;

    if (flags & RL_MSG_WAITALL)
        return rl_resume_unchanged(c);
    n = receive(c, c->arg[1], flags, &asked);
    return n == -EAGAIN ? wait_for(c, flags, is_special(c, &asked)) : n;
}

/* Received messages, in place: names with room for any, and senders. How many, or -EFAULT. */
static long translate_many(struct rl_call *c)
{
    struct rl_message_of_many *many = (void *)c->arg[1];
    u32 count = (u32)c->arg[2];
    struct rl_address a;
    struct rl_message m;

    for (u32 i = 0; i < count; i++) {
        u32 bytes;

        if (rl_user_read(c, &m, (u64)&many[i].m, sizeof m) < 0)
            return -EFAULT;
        bytes = m.name_bytes < sizeof a ? m.name_bytes : sizeof a;
        if (m.name && bytes) {
            long n;

            memset(&a, 0, sizeof a);
            if (rl_user_read(c, &a, m.name, bytes) < 0 || (n = give(c, (int)c->arg[0], &a, bytes, m.name, sizeof a)) < 0)
                return -EFAULT;
            m.name_bytes = (u32)n;
        }
        if (m.control_bytes && rl_credentials_received(c, m.control, m.control_bytes) < 0)
            return -EFAULT;
        if (rl_user_write(c, (u64)&many[i].m, &m, sizeof m) < 0)
            return -EFAULT;
    }
    return count;
}

/* Room for the longest name that the kernel may report: it can be translated in place. */
static u32 room_for_any(int fd)
{
    switch (option(fd, RL_SO_DOMAIN)) {
    case RL_AF_UNIX: return 2 + RL_SUN_PATH;
    case RL_AF_INET: return 16;
    default: return 28; /* struct sockaddr_in6 */
    }
}

/* Names that may be truncated: as many messages as have arrived, through a buffer of ours. */
static long receive_ready(struct rl_call *c, u32 count)
{
    struct rl_message_of_many *many = (void *)c->arg[1];
    u32 flags = (u32)c->arg[3], i, bytes;
    struct rl_message asked;
    long n = 0;

    for (i = 0; i < count; i++) {
        n = receive(c, (u64)&many[i].m, flags & ~(u32)RL_MSG_WAITFORONE, &asked);
        bytes = (u32)n;
        if (n < 0 || (n = rl_user_write(c, (u64)&many[i].bytes, &bytes, sizeof bytes)) < 0)
            break;
    }
    return i ? (long)i : n == -EAGAIN ? wait_for(c, flags, 1) : n;
}

/* The kernel waits, counts the time and is interrupted (rl_resume_many). */
long rl_do_recvmmsg(struct rl_call *c)
{
    u32 count = (u32)c->arg[2] < RL_MOST_MESSAGES ? (u32)c->arg[2] : RL_MOST_MESSAGES;
    const struct rl_message_of_many *many = (const void *)c->arg[1];
    struct rl_message asked;
    int special = 0, roomy = 1;
    u32 room;

    if ((c->arg[0] & ~0xffffffffull) == RL_CAME_MARK)
        return translate_many(c);
    room = room_for_any((int)c->arg[0]);
    for (u32 i = 0; i < count; i++) {
        if (rl_user_read(c, &asked, (u64)&many[i].m, sizeof asked) < 0)
            break;
        special |= is_special(c, &asked);
        roomy &= asked.name == 0 || asked.name_bytes >= room;
    }
    return !special ? rl_resume_unchanged(c) : roomy ? rl_resume_many(c) : receive_ready(c, count);
}
