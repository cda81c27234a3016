/* Socket addresses and messages: declarations shared by sockets.c, sendmsg.c and recvmsg.c. */
#ifndef RL_SOCKETS_H
#define RL_SOCKETS_H

#include "../engine.h"
#include "../table/syscalls.h"

#define RL_AF_UNIX 1
#define RL_AF_INET 2
#define RL_AF_INET6 10
#define RL_SUN_PATH 108
#define RL_ADDRESS_MAX 128 /* struct sockaddr_storage */
#define RL_SOL_SOCKET 1
#define RL_SO_PROTOCOL 38
#define RL_IPPROTO_IPV6 41
#define RL_IPPROTO_MPTCP 262
#define RL_IPV6_V6ONLY 26
#define RL_MSG_PEEK 2
#define RL_MSG_DONTWAIT 0x40
#define RL_MOST_MESSAGES 1024 /* in one call */

struct rl_address {
    u16 family;
    char path[RL_ADDRESS_MAX - 2];
};

/* struct sockaddr_in and sockaddr_in6. */
struct rl_inet {
    u16 family;
    u8 port[2]; /* big endian */
    union {
        u8 v4[4];
        struct {
            u8 flow[4];
            u8 v6[16];
            u8 scope[4];
        } six;
    };
};

static inline u32 rl_port_number(const struct rl_inet *a) { return (u32)a->port[0] << 8 | a->port[1]; }
static inline void rl_set_port(struct rl_inet *a, u32 port)
{
    a->port[0] = (u8)(port >> 8);
    a->port[1] = (u8)port;
}

/* The kernel's struct msghdr, struct mmsghdr and struct cmsghdr. */
struct rl_message {
    u64 name;
    u32 name_bytes, pad;
    u64 vectors, vector_count, control, control_bytes;
    u32 flags, pad2;
};
struct rl_message_of_many {
    struct rl_message m;
    u32 bytes, pad;
};
struct rl_control {
    u64 bytes; /* with this header */
    i32 level, type;
};
#define RL_CONTROL_ALIGN(n) (((n) + 7) & ~7ull)

/* ---- sockets.c ---------------------------------------------------------------------------------- */

/* Reads an address. Length of the path if it names a file, 0 if it needs no translation. */
long rl_take_address(struct rl_call *c, u64 from, u64 bytes, struct rl_address *a);
/* The address of a peer; `dir` is a descriptor to close afterwards, or -1; `real` is a slot's buffer. Returns its
 * length. */
long rl_socket_peer(const char *path, struct rl_address *out, int *dir, char *real);
/* A name that the kernel reports, as the program knows it: length, or -ENOENT. out: RL_PATH_MAX. */
long rl_socket_name(const char *name, char *out);

/* An address that is not a file's, of a peer, changed in place. Its length. `source` as in rl_address_peer(). */
u32 rl_other_peer(int fd, struct rl_address *a, u32 bytes, u8 source[4]);
/* A control message IP_PKTINFO with that source. */
struct rl_source_control {
    struct rl_control head;
    i32 interface;
    u8 source[4], unused[4], pad[4];
};
struct rl_source_control rl_source_control(const u8 source[4]);
/* An abstract name with this container's prefix, and without it. Its length. */
u32 rl_abstract_add(struct rl_address *a, u32 bytes);
u32 rl_abstract_name(struct rl_address *a, u32 bytes);

/* ---- ports.c ------------------------------------------------------------------------------------ */

extern const u8 rl_mapped[12], rl_loopback6[16];
/* NULL: an address of another family. */
struct rl_inet *rl_as_inet(void *address, u64 bytes);
int rl_inet_is_any(const struct rl_inet *a);
long rl_socket_option(int fd, int level, int name); /* an int, or -errno */
long rl_socket_protocol(int fd);                    /* RL_PORT_TCP, RL_PORT_UDP, another, or -errno */
/* The map of a port inside, or NULL; the publish address instead of "every address". */
const struct rl_launch_port *rl_port_published(int fd, const struct rl_inet *a);
void rl_port_publish(int fd, struct rl_inet *a, const struct rl_launch_port *p);
/* An address to bind, or of a peer: changed in place if its port is mapped; then 1. The name of a socket or its peer,
 * which the kernel reported, changed back. */
int rl_port_bind(int fd, void *address, u64 bytes);
int rl_port_peer(int fd, void *address, u64 bytes);
void rl_port_name(int fd, void *address, u64 bytes);

/* ---- address.c, addressname.c: containers with an address of their own --------------------------- */

enum rl_end {
    RL_END_LOCAL,  /* of getsockname */
    RL_END_PEER,   /* of getpeername and accept */
    RL_END_SENDER  /* of a received message */
};
static inline int rl_has_address(void) { return rl_launch->address[0] != 0; }
/* bind() to an address that the program gives. 0 or -errno. */
long rl_address_bind(int fd, struct rl_address *address, u32 bytes);
/* An address to connect or send to, changed in place. Its length. `source`: the address that the peer is to see, or
 * 0. */
u32 rl_address_peer(int fd, struct rl_address *address, u32 bytes, u8 source[4]);
/* The same for a container that uses the machine's address: the port of another container. */
void rl_container_peer(int fd, struct rl_address *address, u32 bytes);
/* Gives the socket that address before it connects, unless it is bound already. connect() chooses the port. */
void rl_address_source(int fd, const struct rl_address *to, const u8 source[4]);
/* A name that the kernel reports, changed in place to what the program expects. Its length. */
u32 rl_address_name(int fd, struct rl_address *address, u32 bytes, enum rl_end end);

/* ---- porttable.c: the ports of addresses ------------------------------------------------------------ */

#define RL_FIRST_FREE_PORT 1024 /* no lower one can be bound */
/* The entry of a port, inside or outside, of this container's address (NULL without a table) or of another's. */
struct rl_port_entry *rl_own_port(long protocol, u32 port);
/* 1: there is a table; else `out` is zero. */
int rl_port_find(const u8 address[4], long protocol, u32 port, struct rl_port_entry *out);
struct rl_port_entry rl_port_of(const u8 address[4], long protocol, u32 port);
int rl_is_container(const u8 v4[4]); /* such an address, this container's as well */
int rl_is_own(const u8 v4[4]);
void rl_own_six(u8 v4[4]); /* the second address of this container, which stands for ::1 */

/* ---- peercred.c --------------------------------------------------------------------------------- */

/* SCM_CREDENTIALS in received control messages: the sender as the program sees it. */
long rl_credentials_received(struct rl_call *c, u64 control, u64 bytes);
/* The same in a copy of those to be sent: 1 if it was changed, -EPERM for an identity that is not the caller's. */
long rl_credentials_sent(u8 *control, u64 bytes);

#endif
