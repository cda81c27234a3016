/* A container's own address in 127.0.0.0/8: what its programs bind, and where they connect to. Naming, not isolation.
 *
 * 1. 0.0.0.0, 127.0.0.1, :: and a socket for IPv4 go to the container's address; ::1, and :: of a socket for IPv6 alone,
 *    go to a second one (rl_own_six), as IPv4 addresses in IPv6: there is only one ::1.
 * 2. "Every address" with port 0 is left as it is: the kernel's choice is unique on the machine, and such a socket can
 *    also send to other machines.
 * 3. A published port is bound where it is published (ports.c), and peers connect there.
 * 4. A port below 1024 is bound as another one: 64512 higher, or a free one. So is one that another process of the
 *    machine has on every address. How and where a port is bound is in the table of the address (porttable.c).
 * 5. Loopback is the container's if it has bound the port, else the machine's; always the container's in an internal
 *    network.
 * 6. The source of a connection says which address the client has used: 127.0.0.1 (the kernel's choice), the second
 *    address for ::1, and the container's own for all other containers. addressname.c relies on that. connect() binds
 *    the socket; a datagram has it as IP_PKTINFO, so that the socket can still send elsewhere.
 */
#include <asm/fcntl.h>

#include "sockets.h"

#define RL_IPPROTO_IP 0
#define RL_IP_BIND_ADDRESS_NO_PORT 24
#define HIGH_PORTS 64512
#define CLOSED_PORT 1 /* no program can bind it */
#define RL_SO_REUSEADDR 2
#define RL_SO_TYPE 3
#define RL_SO_REUSEPORT 15

static const u8 loopback4[4] = {127, 0, 0, 1};

/* The IPv4 address in it, or NULL. */
static u8 *v4_of(struct rl_inet *a)
{
    if (a->family == RL_AF_INET)
        return a->v4;
    return memcmp(a->six.v6, rl_mapped, sizeof rl_mapped) == 0 ? a->six.v6 + sizeof rl_mapped : NULL;
}

static void set_v4(struct rl_inet *a, const u8 v4[4])
{
    if (a->family == RL_AF_INET6)
        memcpy(a->six.v6, rl_mapped, sizeof rl_mapped);
    memcpy(a->family == RL_AF_INET6 ? a->six.v6 + sizeof rl_mapped : a->v4, v4, 4);
}

static long set_option(int fd, int level, int name, i32 value)
{
    return rl_sys(__NR_setsockopt, fd, level, name, (long)&value, sizeof value, 0);
}

/* ---- bind --------------------------------------------------------------------------------------- */

struct place {
    u8 form;   /* RL_FORM_*; 0: an address that is not ours to change */
    u8 second; /* in the second address */
    u8 alone;  /* a socket for IPv6 alone */
    u8 wrong;  /* which cannot have an IPv4 address */
};

static struct place place_of(int fd, struct rl_inet *a)
{
    struct place p = {0};
    u8 *v4 = v4_of(a);

    if (a->family == RL_AF_INET6)
        p.alone = rl_socket_option(fd, RL_IPPROTO_IPV6, RL_IPV6_V6ONLY) == 1;
    if (v4) {
        p.form = rl_inet_is_any(a) ? RL_FORM_ANY : memcmp(v4, loopback4, 4) == 0 ? RL_FORM_LOOPBACK
                 : rl_is_own(v4)                                                 ? RL_FORM_OWN
                                                                                 : 0;
        p.wrong = p.alone && p.form;
    } else if (rl_inet_is_any(a)) {
        p.form = p.alone ? RL_FORM_ANY : RL_FORM_DUAL;
        p.second = p.alone;
    } else if (memcmp(a->six.v6, rl_loopback6, sizeof rl_loopback6) == 0) {
        p.form = RL_FORM_LOOPBACK;
        p.second = 1;
    }
    return p;
}

/* The port that the kernel has chosen. */
static u32 chosen_port(int fd)
{
    struct rl_address got = {.family = 0};
    u32 bytes = sizeof got;

    return rl_sys3(__NR_getsockname, fd, (long)&got, (long)&bytes) < 0 ? 0 : rl_port_number((struct rl_inet *)&got);
}

/* `inside`: 0 if it is the same as outside. */
static void note(long protocol, u32 inside, u32 real, struct place p, const u8 *at)
{
    struct rl_port_entry *e = rl_own_port(protocol, inside ? inside : real), *back = rl_own_port(protocol, real);

    if (!e)
        return;
    e->real = (u16)real;
    memset(e->at, 0, sizeof e->at);
    if (at)
        memcpy(e->at, at, sizeof e->at);
    back->inside = (u16)(real == inside ? 0 : inside); /* 0 as well: the same */
    __atomic_store_n(p.second ? &e->form6 : &e->form, p.form, __ATOMIC_RELEASE);
}

static long bind_published(int fd, struct rl_inet *a, u32 bytes, struct place p, const struct rl_launch_port *map)
{
    u32 inside = rl_port_number(a);
    long r;

    rl_set_port(a, map->outside);
    rl_port_publish(fd, a, map);
    r = rl_sys3(__NR_bind, fd, (long)a, bytes);
    p.form |= RL_FORM_PUBLISHED;
    if (r == 0)
        note((long)map->protocol, inside, map->outside, p, map->family == 4 ? map->addr : NULL);
    return r;
}

/* A socket for both families, and one for IPv6 alone, conflict, though they get different addresses here. 0, or
 * -EADDRINUSE; 0 also if the table speaks of a socket that is closed, which it then forgets. */
static long check_conflict(int fd, const struct rl_inet *a, long protocol, struct place p)
{
    struct rl_port_entry *e = rl_own_port(protocol, rl_port_number(a));
    struct rl_address other = {.family = 0};
    struct rl_inet *there = (struct rl_inet *)&other;
    u8 where[4], *form;
    long probe, r;

    if (!e || !(p.second ? e->form == RL_FORM_DUAL : p.form == RL_FORM_DUAL && e->form6))
        return 0;
    form = p.second ? &e->form : &e->form6;
    rl_own_six(where);
    there->family = RL_AF_INET;
    rl_set_port(there, e->real);
    set_v4(there, p.second ? rl_launch->address : where);
    probe = rl_sys3(__NR_socket, RL_AF_INET, rl_socket_option(fd, RL_SOL_SOCKET, RL_SO_TYPE) | O_CLOEXEC, 0);
    if (probe < 0)
        return 0;
    for (int name = RL_SO_REUSEADDR; name <= RL_SO_REUSEPORT; name += RL_SO_REUSEPORT - RL_SO_REUSEADDR)
        set_option((int)probe, RL_SOL_SOCKET, name, (i32)rl_socket_option(fd, RL_SOL_SOCKET, name));
    r = rl_sys3(__NR_bind, probe, (long)there, 16);
    rl_sys1(__NR_close, probe);
    if (r == 0)
        *form = 0;
    return r == -EADDRINUSE ? r : 0;
}

/* Another process of the machine has this port on every address. */
static int is_taken_outside(int fd, const struct rl_inet *a)
{
    static const u8 unused[4] = {127, 255, 255, 254};
    struct rl_inet probed = {.family = RL_AF_INET};
    long probe = rl_sys3(__NR_socket, RL_AF_INET, rl_socket_option(fd, RL_SOL_SOCKET, RL_SO_TYPE) | O_CLOEXEC, 0), r;

    if (probe < 0)
        return 0;
    memcpy(probed.port, a->port, sizeof probed.port);
    set_v4(&probed, unused);
    r = rl_sys3(__NR_bind, probe, (long)&probed, 16);
    rl_sys1(__NR_close, probe);
    return r == -EADDRINUSE;
}

/* Binds to the port, or to the one in its place; notes which. */
static long bind_port(int fd, struct rl_inet *a, u32 bytes, struct place p)
{
    long protocol = rl_socket_protocol(fd), r;
    u32 inside = rl_port_number(a);
    int low = inside && inside < RL_FIRST_FREE_PORT;
    struct rl_port_entry *e = rl_own_port(protocol, inside);
    u32 before = e && inside && e->real != inside ? e->real : 0;

    r = check_conflict(fd, a, protocol, p);
    if (r < 0)
        return r;
    rl_set_port(a, before ? before : low ? inside + HIGH_PORTS : inside);
    r = rl_sys3(__NR_bind, fd, (long)a, bytes);
    if (r == -EADDRINUSE && !before && inside && (low || is_taken_outside(fd, a))) {
        rl_set_port(a, 0);
        r = rl_sys3(__NR_bind, fd, (long)a, bytes);
    }
    if (r == 0)
        note(protocol, inside, rl_port_number(a) ? rl_port_number(a) : chosen_port(fd), p, NULL);
    return r;
}

long rl_address_bind(int fd, struct rl_address *address, u32 bytes)
{
    struct rl_inet *a = rl_as_inet(address, bytes);
    struct place p = a ? place_of(fd, a) : (struct place){0};
    const struct rl_launch_port *map;
    u8 where[4];
    long r;

    if (p.wrong)
        return -EINVAL;
    if (!p.form)
        return rl_sys3(__NR_bind, fd, (long)address, bytes);
    if (rl_port_number(a) == 0 && p.form != RL_FORM_LOOPBACK && p.form != RL_FORM_OWN) {
        r = rl_sys3(__NR_bind, fd, (long)address, bytes);
        if (r == 0)
            note(rl_socket_protocol(fd), 0, chosen_port(fd), p, NULL);
        return r;
    }
    map = p.form == RL_FORM_ANY || p.form == RL_FORM_DUAL ? rl_port_published(fd, a) : NULL;
    if (map)
        return bind_published(fd, a, bytes, p, map);
    memcpy(where, rl_launch->address, sizeof where);
    if (p.second)
        rl_own_six(where);
    if (p.alone)
        set_option(fd, RL_IPPROTO_IPV6, RL_IPV6_V6ONLY, 0);
    set_v4(a, where);
    r = bind_port(fd, a, bytes, p);
    if (r < 0 && p.alone)
        set_option(fd, RL_IPPROTO_IPV6, RL_IPV6_V6ONLY, 1);
    return r;
}

/* ---- connect, send ------------------------------------------------------------------------------ */

struct peer {
    int fd;
    struct rl_inet *a;
    long protocol;
    u8 source[4]; /* the address that the peer is to see; 0: the kernel's choice */
};

/* Nothing listens at a port that the table does not have. But a socket that sends gets a port from the kernel. */
static int is_closed(const struct peer *p, u8 form) { return !form && p->protocol == RL_PORT_TCP; }

/* A socket with an address of the container cannot send to ::1 itself. */
static int is_bound_here(const struct peer *p)
{
    struct rl_address own = {.family = 0};
    struct rl_inet *a = (struct rl_inet *)&own;
    u32 bytes = sizeof own;
    u8 *v4, six[4];

    rl_own_six(six);
    if (rl_sys3(__NR_getsockname, p->fd, (long)&own, (long)&bytes) < 0 || !rl_as_inet(&own, bytes))
        return 0;
    v4 = v4_of(a);
    return v4 && (rl_is_own(v4) || memcmp(v4, six, sizeof six) == 0);
}

/* ::1, or ::, which means the same. */
static void to_loopback6(struct peer *p)
{
    struct rl_port_entry e = rl_port_of(rl_launch->address, p->protocol, rl_port_number(p->a));
    int bound = p->protocol == RL_PORT_UDP && is_bound_here(p), internal = (rl_launch->flags & RL_LAUNCH_INTERNAL) != 0;
    u8 six[4], form = e.form6 ? e.form6 : (e.form & ~RL_FORM_PUBLISHED) == RL_FORM_DUAL ? e.form : 0;

    if (form & RL_FORM_PUBLISHED) {
        rl_set_port(p->a, e.real); /* it listens there itself, on :: */
        return;
    }
    if (!form && (p->protocol == RL_PORT_TCP ? !internal : !bound))
        return;
    rl_own_six(six);
    set_option(p->fd, RL_IPPROTO_IPV6, RL_IPV6_V6ONLY, 0);
    set_v4(p->a, e.form6 || !form ? six : rl_launch->address);
    if (form || is_closed(p, form))
        rl_set_port(p->a, form ? e.real : CLOSED_PORT);
    if (!bound)
        memcpy(p->source, six, sizeof six);
}

static void to_loopback4(struct peer *p)
{
    struct rl_port_entry e = rl_port_of(rl_launch->address, p->protocol, rl_port_number(p->a));
    u8 form = e.form == RL_FORM_OWN ? 0 : e.form;

    if (form & RL_FORM_PUBLISHED)
        set_v4(p->a, e.at[0] ? e.at : loopback4);
    else if (form)
        set_v4(p->a, rl_launch->address);
    if (form)
        rl_set_port(p->a, e.real);
    else if (is_closed(p, form) && rl_launch->flags & RL_LAUNCH_INTERNAL) {
        set_v4(p->a, rl_launch->address);
        rl_set_port(p->a, CLOSED_PORT);
    }
}

/* An address of a container. What is bound to loopback there is for that container alone. */
static void to_container(struct peer *p, u8 *v4)
{
    struct rl_port_entry e;

    if (p->a->family == RL_AF_INET6)
        set_option(p->fd, RL_IPPROTO_IPV6, RL_IPV6_V6ONLY, 0);
    if (rl_port_find(v4, p->protocol, rl_port_number(p->a), &e)) {
        if ((e.form & ~RL_FORM_PUBLISHED) == RL_FORM_LOOPBACK || is_closed(p, e.form))
            rl_set_port(p->a, CLOSED_PORT);
        else if (e.form)
            rl_set_port(p->a, e.real);
    }
    if (e.form & RL_FORM_PUBLISHED && e.at[0])
        memcpy(v4, e.at, sizeof e.at);
    memcpy(p->source, rl_launch->address, sizeof p->source);
}

u32 rl_address_peer(int fd, struct rl_address *address, u32 bytes, u8 source[4])
{
    struct peer p = {fd, rl_as_inet(address, bytes), 0, {0}};
    u8 *v4 = p.a ? v4_of(p.a) : NULL;

    if (!p.a)
        return bytes;
    p.protocol = rl_socket_protocol(fd);
    if (!v4) {
        if (rl_inet_is_any(p.a) || memcmp(p.a->six.v6, rl_loopback6, sizeof rl_loopback6) == 0)
            to_loopback6(&p);
    } else if (memcmp(v4, rl_launch->gateway, 4) == 0) {
        set_v4(p.a, loopback4);
    } else if (rl_inet_is_any(p.a) || memcmp(v4, loopback4, 4) == 0) {
        to_loopback4(&p);
    } else if (rl_is_container(v4)) {
        to_container(&p, v4);
    }
    memcpy(source, p.source, sizeof p.source);
    return bytes;
}

void rl_container_peer(int fd, struct rl_address *address, u32 bytes)
{
    struct peer p = {fd, rl_as_inet(address, bytes), 0, {0}};
    u8 *v4 = p.a ? v4_of(p.a) : NULL;

    if (!v4 || !rl_is_container(v4))
        return;
    p.protocol = rl_socket_protocol(fd);
    to_container(&p, v4);
}

void rl_address_source(int fd, const struct rl_address *to, const u8 source[4])
{
    struct rl_inet from = {.family = to->family};

    set_v4(&from, source);
    set_option(fd, RL_IPPROTO_IP, RL_IP_BIND_ADDRESS_NO_PORT, 1);
    rl_sys3(__NR_bind, fd, (long)&from, to->family == RL_AF_INET ? 16 : 28);
}
