/* The names of sockets of a container that has an address of its own, as its programs expect them.
 *
 * 1. How a port was bound decides: the table says 0.0.0.0, 127.0.0.1, :: or ::1 (address.c).
 * 2. "Every address" is shown for a socket without a peer. With a peer it is the address that the client has used:
 *    127.0.0.1 if the other end is 127.0.0.1, ::1 if it is the second address, else the container's own.
 * 3. Names of sockets of other containers get their ports back from the tables of those.
 */
#include "sockets.h"

static const u8 loopback4[4] = {127, 0, 0, 1};

enum kind { OTHER, OWN, SECOND, LOOPBACK };

struct name {
    struct rl_inet *a;
    u8 *v4; /* in it, or NULL */
    enum kind kind;
    u32 port; /* the kernel's */
};

static struct name parse(void *address, u64 bytes)
{
    struct name n = {rl_as_inet(address, bytes), NULL, OTHER, 0};
    u8 six[4];

    if (!n.a)
        return n;
    if (n.a->family == RL_AF_INET)
        n.v4 = n.a->v4;
    else if (memcmp(n.a->six.v6, rl_mapped, sizeof rl_mapped) == 0)
        n.v4 = n.a->six.v6 + sizeof rl_mapped;
    n.port = rl_port_number(n.a);
    if (!n.v4)
        return n;
    rl_own_six(six);
    n.kind = rl_is_own(n.v4) ? OWN : memcmp(n.v4, six, 4) == 0 ? SECOND : memcmp(n.v4, loopback4, 4) == 0 ? LOOPBACK : OTHER;
    return n;
}

/* The entry of the port inside, for a port that the kernel knows. */
static struct rl_port_entry bound(long protocol, const struct name *n)
{
    struct rl_port_entry e = rl_port_of(rl_launch->address, protocol, n->port);

    return e.inside ? rl_port_of(rl_launch->address, protocol, e.inside) : e;
}

/* The other end of a connected socket; `bytes` is 0 if there is none. */
static struct name other_end(int fd, enum rl_end end, struct rl_address *room)
{
    u32 bytes = sizeof *room;

    memset(room, 0, sizeof *room);
    if (rl_sys3(end == RL_END_LOCAL ? __NR_getpeername : __NR_getsockname, fd, (long)room, (long)&bytes) < 0)
        bytes = 0;
    return parse(room, bytes);
}

static void show_loopback(struct name *n, enum kind kind)
{
    if (kind == SECOND && n->a->family == RL_AF_INET6)
        memcpy(n->a->six.v6, rl_loopback6, sizeof rl_loopback6);
    else if (kind != OTHER)
        memcpy(n->v4, loopback4, sizeof loopback4);
}

static void show_any(struct name *n, u8 form)
{
    if (n->a->family == RL_AF_INET6 && (form == RL_FORM_DUAL || n->kind == SECOND))
        memset(n->a->six.v6, 0, sizeof n->a->six.v6);
    else if (n->v4)
        memset(n->v4, 0, 4);
}

/* The container's address as the end of a socket that is bound to every address. */
static void show_used(int fd, struct name *n, long protocol, u8 form, enum rl_end end)
{
    struct rl_address room;
    struct name other = other_end(fd, end, &room);
    enum kind kind = other.kind;

    if (!other.a || rl_port_number(other.a) == 0) { /* no peer */
        if (end == RL_END_LOCAL)
            show_any(n, form);
        return;
    }
    u8 theirs = kind == OWN ? bound(protocol, &other).form : 0;

    if (end == RL_END_SENDER && (kind == OTHER || theirs == RL_FORM_ANY || theirs == RL_FORM_DUAL))
        /* not connected: most often by loopback */
        kind = form == RL_FORM_DUAL && n->a->family == RL_AF_INET6 ? SECOND : LOOPBACK;
    else if (kind == OWN)
        kind = theirs == RL_FORM_LOOPBACK ? LOOPBACK : OTHER;
    show_loopback(n, kind);
}

static void show_own(int fd, struct name *n, long protocol, enum rl_end end)
{
    struct rl_port_entry e = bound(protocol, n);
    u8 form = n->kind == SECOND ? e.form6 : e.form, plain = form & (u8)~RL_FORM_PUBLISHED;

    if (n->kind == OWN && !plain && end == RL_END_PEER) /* closed in the meantime */
        plain = RL_FORM_ANY;
    if (plain == RL_FORM_ANY || plain == RL_FORM_DUAL)
        show_used(fd, n, protocol, plain, end);
    else if (n->kind == SECOND || plain == RL_FORM_LOOPBACK)
        show_loopback(n, n->kind == SECOND ? SECOND : LOOPBACK);
}

/* A published port is bound elsewhere: on every address of the machine, or the one where it is published. */
static void show_published(int fd, struct name *n, long protocol, enum rl_end end)
{
    struct rl_port_entry back = rl_port_of(rl_launch->address, protocol, n->port), e;
    struct rl_address room;

    if (!back.inside)
        return;
    e = rl_port_of(rl_launch->address, protocol, back.inside);
    if (!((e.form | e.form6) & RL_FORM_PUBLISHED))
        return;
    if (end != RL_END_LOCAL && n->kind != LOOPBACK)
        return; /* a port of another machine */
    rl_set_port(n->a, back.inside);
    if (end == RL_END_LOCAL && e.at[0] && !other_end(fd, end, &room).a)
        show_any(n, e.form & (u8)~RL_FORM_PUBLISHED);
}

u32 rl_address_name(int fd, struct rl_address *address, u32 bytes, enum rl_end end)
{
    struct name n = parse(address, bytes);
    long protocol;
    u32 inside;

    if (!n.a)
        return bytes;
    if (n.kind == OTHER && n.v4 && rl_is_container(n.v4)) {
        inside = rl_port_of(n.v4, rl_socket_protocol(fd), n.port).inside;
        if (inside)
            rl_set_port(n.a, inside);
    } else if (n.kind == OWN || n.kind == SECOND) {
        protocol = rl_socket_protocol(fd);
        inside = rl_port_of(rl_launch->address, protocol, n.port).inside;
        show_own(fd, &n, protocol, end);
        if (inside)
            rl_set_port(n.a, inside);
    } else if (rl_launch->ports) {
        show_published(fd, &n, rl_socket_protocol(fd), end);
    }
    return bytes;
}
