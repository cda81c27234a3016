/* Socket addresses and messages: declarations shared by sockets.c, sendmsg.c and recvmsg.c. */
#ifndef RL_SOCKETS_H
#define RL_SOCKETS_H

#include "../engine.h"
#include "../table/syscalls.h"

#define RL_AF_UNIX 1
#define RL_AF_INET 2
#define RL_SUN_PATH 108
#define RL_ADDRESS_MAX 128 /* struct sockaddr_storage */
#define RL_SOL_SOCKET 1
#define RL_MSG_PEEK 2
#define RL_MSG_DONTWAIT 0x40
#define RL_MOST_MESSAGES 1024 /* in one call */

struct rl_address {
    u16 family;
    char path[RL_ADDRESS_MAX - 2];
};

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

/* ---- ports.c ------------------------------------------------------------------------------------ */

/* An address to bind, or of a peer: changed in place if its port is mapped; then 1. The name of a socket or its peer,
 * which the kernel reported, changed back. */
int rl_port_bind(int fd, void *address, u64 bytes);
int rl_port_peer(int fd, void *address, u64 bytes);
void rl_port_name(int fd, void *address, u64 bytes);
long rl_socket_option(int fd, int level, int name); /* an int, or -errno */

/* ---- peercred.c --------------------------------------------------------------------------------- */

/* SCM_CREDENTIALS in received control messages: the sender as the program sees it. */
long rl_credentials_received(struct rl_call *c, u64 control, u64 bytes);
/* The same in a copy of those to be sent: 1 if it was changed, -EPERM for an identity that is not the caller's. */
long rl_credentials_sent(u8 *control, u64 bytes);

#endif
