/* The ports of containers that have an address of their own: tables in files that all containers of a store share
 * (docs/format.md section 14).
 *
 * 1. The container's own table is mapped, and written by every bind; a table of another container is read at each use:
 *    no process has to tell the others, and none has to live.
 * 2. A table is a hint. A program that spoils its own loses names of its own sockets; others check nothing by it.
 * 3. Only TCP and UDP have tables.
 */
#include <asm/fcntl.h>
#include <asm/mman.h>

#include "sockets.h"

#define FIRST_BLOCK 64 /* 127.64.0.0/10: addresses of containers; 127.128.0.0/10: in place of their ::1 */
#define BLOCKS 64
#define TABLE_PORTS 65536u

static struct rl_port_entry *own;
static u32 tried;

int rl_is_container(const u8 v4[4])
{
    return v4[0] == 127 && v4[1] >= FIRST_BLOCK && v4[1] < FIRST_BLOCK + BLOCKS;
}

int rl_is_own(const u8 v4[4]) { return memcmp(v4, rl_launch->address, 4) == 0; }

void rl_own_six(u8 v4[4])
{
    memcpy(v4, rl_launch->address, 4);
    v4[1] = (u8)(v4[1] + BLOCKS);
}

char *rl_address_file(const u8 address[4], char *out)
{
    char *p = rl_put(rl_put(out, rl_launch_str(rl_launch->addresses)), "/");

    for (u32 i = 0; i < 4; i++)
        p = rl_put(rl_put_u64(p, address[i], 10), i < 3 ? "." : "");
    return out;
}

static i64 index_of(long protocol, u32 port)
{
    if (protocol != RL_PORT_TCP && protocol != RL_PORT_UDP)
        return -1;
    return (protocol == RL_PORT_UDP ? TABLE_PORTS : 0) + (port & 0xffff);
}

static void map_own(void)
{
    char path[RL_PATH_MAX + 32];
    u64 bytes = 2ull * TABLE_PORTS * sizeof *own;
    long fd = k_open(rl_address_file(rl_launch->address, path), O_RDWR | O_CLOEXEC, 0), r = -EINVAL;

    if (fd >= 0) {
        if (rl_sys3(__NR_lseek, fd, 0, 2) >= (long)(RL_ADDRESS_TABLE + bytes))
            r = rl_sys(__NR_mmap, 0, (long)bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, RL_ADDRESS_TABLE);
        rl_sys1(__NR_close, fd);
    }
    if (r > 0 || r < -4096)
        own = (struct rl_port_entry *)r;
    __atomic_store_n(&tried, 1, __ATOMIC_RELEASE);
}

struct rl_port_entry *rl_own_port(long protocol, u32 port)
{
    i64 index = index_of(protocol, port);

    if (!__atomic_load_n(&tried, __ATOMIC_ACQUIRE))
        map_own(); /* two threads may map it twice: both mappings are valid */
    return own && index >= 0 ? &own[index] : NULL;
}

int rl_port_find(const u8 address[4], long protocol, u32 port, struct rl_port_entry *out)
{
    struct rl_port_entry *mine;
    char path[RL_PATH_MAX + 32];
    i64 index = index_of(protocol, port);
    long fd, n;

    *out = (struct rl_port_entry){.form = 0};
    if (rl_is_own(address)) {
        mine = rl_own_port(protocol, port);
        if (mine)
            *out = *mine;
        return mine != NULL;
    }
    if (index < 0 || (fd = k_open(rl_address_file(address, path), O_RDONLY | O_CLOEXEC, 0)) < 0)
        return 0;
    n = rl_sys4(__NR_pread64, fd, (long)out, sizeof *out, RL_ADDRESS_TABLE + index * (i64)sizeof *out);
    rl_sys1(__NR_close, fd);
    if (n != sizeof *out)
        *out = (struct rl_port_entry){.form = 0};
    return n == sizeof *out;
}

struct rl_port_entry rl_port_of(const u8 address[4], long protocol, u32 port)
{
    struct rl_port_entry found;

    rl_port_find(address, protocol, port, &found);
    return found;
}
