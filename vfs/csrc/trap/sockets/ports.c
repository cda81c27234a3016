/* Ports: translate the port that a program binds inside to the one outside (`-p HOST:CTR`), from the launch file.
 *
 * 1. Only the port changes, and only for mapped ports. An address that is "every address" becomes the user's publish
 *    address, if one was given; a narrower one is never widened.
 * 2. A program in the same container reaches CTR at any address of this machine; elsewhere CTR is CTR.
 * 3. In the names that the kernel reports (recvmsg.c) the port outside, at an address of this machine, becomes CTR.
 */
#include "sockets.h"

#define RL_SOCK_DGRAM_CLOEXEC (2 | O_CLOEXEC)

static const u8 any[16];
const u8 rl_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
const u8 rl_loopback6[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};

struct rl_inet *rl_as_inet(void *address, u64 bytes)
{
    struct rl_inet *a = address;

    return (a->family == RL_AF_INET && bytes >= 8) || (a->family == RL_AF_INET6 && bytes >= 24) ? a : NULL;
}

long rl_socket_option(int fd, int level, int name)
{
    i32 value = 0;
    u32 bytes = sizeof value;
    long r = rl_sys(__NR_getsockopt, fd, level, name, (long)&value, (long)&bytes, 0);

    return r < 0 ? r : value;
}

long rl_socket_protocol(int fd)
{
    long protocol = rl_socket_option(fd, RL_SOL_SOCKET, RL_SO_PROTOCOL);

    return protocol == RL_IPPROTO_MPTCP ? RL_PORT_TCP : protocol; /* Go's servers listen on these */
}

/* The map of this port, seen from inside or from outside, or NULL. */
static const struct rl_launch_port *find(int fd, const struct rl_inet *a, int from_outside)
{
    const struct rl_launch_port *p = (const void *)((const char *)rl_launch + rl_launch->off_ports);
    u32 port = rl_port_number(a);
    long protocol = -1;

    for (u32 i = 0; i < rl_launch->ports; i++, p++) {
        if ((from_outside ? p->outside : p->inside) != port)
            continue;
        if (protocol < 0)
            protocol = rl_socket_protocol(fd);
        if (protocol == (long)p->protocol)
            return p;
    }
    return NULL;
}

int rl_inet_is_any(const struct rl_inet *a)
{
    return a->family == RL_AF_INET ? memcmp(a->v4, any, 4) == 0
                                   : memcmp(a->six.v6, any, 16) == 0 ||
                                         (memcmp(a->six.v6, rl_mapped, 12) == 0 && memcmp(a->six.v6 + 12, any, 4) == 0);
}

/* An address of this machine? Only those can be bound: bind() decides. */
static int is_local(const struct rl_inet *a, u64 bytes)
{
    u8 copy[128];
    long fd, r;

    if (rl_inet_is_any(a) || (a->family == RL_AF_INET && a->v4[0] == 127))
        return 1;
    if (bytes > sizeof copy)
        return 0;
    memcpy(copy, a, bytes);
    copy[2] = copy[3] = 0;
    fd = rl_sys3(__NR_socket, a->family, RL_SOCK_DGRAM_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    r = rl_sys3(__NR_bind, fd, (long)copy, (long)bytes);
    rl_sys1(__NR_close, fd);
    return r == 0;
}

/* The publish address, in the family of the socket. */
void rl_port_publish(int fd, struct rl_inet *a, const struct rl_launch_port *p)
{
    if (p->family == 0)
        return;
    if (a->family == RL_AF_INET) {
        if (p->family == 4)
            memcpy(a->v4, p->addr, 4);
    } else if (p->family == 6) {
        memcpy(a->six.v6, p->addr, 16);
    } else if (rl_socket_option(fd, RL_IPPROTO_IPV6, RL_IPV6_V6ONLY) == 0) {
        memcpy(a->six.v6, rl_mapped, 12);
        memcpy(a->six.v6 + 12, p->addr, 4);
    } else if (p->addr[0] == 127) {
        memcpy(a->six.v6, rl_loopback6, 16);
    }
}

const struct rl_launch_port *rl_port_published(int fd, const struct rl_inet *a) { return find(fd, a, 0); }

int rl_port_bind(int fd, void *address, u64 bytes)
{
    struct rl_inet *a = rl_launch->ports ? rl_as_inet(address, bytes) : NULL;
    const struct rl_launch_port *p = a ? find(fd, a, 0) : NULL;

    if (p == NULL)
        return 0;
    rl_set_port(a, p->outside);
    if (rl_inet_is_any(a))
        rl_port_publish(fd, a, p);
    return 1;
}

int rl_port_peer(int fd, void *address, u64 bytes)
{
    struct rl_inet *a = rl_launch->ports ? rl_as_inet(address, bytes) : NULL;
    const struct rl_launch_port *p = a ? find(fd, a, 0) : NULL;

    if (p == NULL || !is_local(a, bytes))
        return 0;
    rl_set_port(a, p->outside);
    /* A server that listens on one network address does not receive connections to loopback. */
    if ((p->family == 4 && p->addr[0] != 127) || (p->family == 6 && memcmp(p->addr, rl_loopback6, 16) != 0))
        rl_port_publish(fd, a, p);
    return 1;
}

void rl_port_name(int fd, void *address, u64 bytes)
{
    struct rl_inet *a = rl_launch->ports ? rl_as_inet(address, bytes) : NULL;
    const struct rl_launch_port *p = a ? find(fd, a, 1) : NULL;

    if (p && is_local(a, bytes))
        rl_set_port(a, p->inside);
}
