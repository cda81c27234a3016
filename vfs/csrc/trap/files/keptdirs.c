/* Descriptors of directories of the image's layers from which many files are opened: the kernel then walks one name, and
 * not the whole path of the store, which takes longer than all else that an open does (docs/adr/0044).
 *
 * 1. Their numbers begin at the soft limit of open files, `base`. No call of the program can get such a number: the
 *    limit is raised for the one call that makes the descriptor. A limit far above the usual one would make the table of
 *    each process large; then, and without room below the hard limit, none is kept.
 * 2. Number base + i is the directory of slot i or nothing, in every table of descriptors that is used with this memory
 *    (vfork children, threads after unshare(CLONE_FILES)): a slot that has got its directory never gets another. So a
 *    program may close them. The next open fails with EBADF, and is made by the whole path.
 * 3. A program that raises its soft limit could get these numbers. They are closed before (setrlimit is trapped), and
 *    later ones begin above the old ones. A call that is using one at that moment discards its result: used().
 * 4. Descriptors are made and closed with signals blocked, on a slot's stack: a handler that leaves by longjmp would
 *    leave them half made. The fast path only counts.
 * 5. They are made neither in a vfork child, whose descriptors are not its parent's, nor in a process with threads: a
 *    fork of another thread would inherit the raised limit, and the kernel makes the table of such a process larger only
 *    after a grace period of milliseconds.
 * 6. They are O_PATH and close at exec, and give nothing that the directory's path does not give. Listings of /proc/PID/fd
 *    leave them out (core/proc/procfd.c). */
#include <asm/fcntl.h>

#include "../../core/internal.h"
#include "../engine.h"
#include "../table/syscalls.h"

#define TREES 16 /* slots of whole trees, by layer; the rest by directory */
#define SLOTS 48
#define MOST_OPEN 4096 /* of a soft limit: rule 1 */
#define OFTEN 32       /* opens before a slot gets its descriptor: a power of 2 */

struct slot {
    u64 owner; /* key of its directory, for good; 0: none yet. Atomic */
    u64 lately; /* key of the directory that was last asked for, and how often. Any thread, no lock: a guess */
    u32 asked;
};

static struct {
    struct slot slots[SLOTS];
    u64 open;  /* bits of the slots that have a descriptor. Atomic, as all that follows */
    u32 base;  /* 0: no descriptor is kept */
    u32 least; /* of the next base */
    u32 off;   /* there can be none */
    u32 wanted; /* one more than a slot */
    u32 lost;  /* one was missing */
} state;
u32 rl_keptdirs_pending;

static u64 key_of(u32 layer, u32 directory) { return (u64)(layer + 1) << 32 | directory; }

/* The slot that a directory may have. NULL: none. */
static struct slot *slot_of(u32 layer, u32 directory)
{
    if (directory == RL_VIEW_ROOT)
        return layer < TREES ? &state.slots[layer] : NULL;
    return &state.slots[TREES + (u32)(key_of(layer, directory) * RL_MIX >> 33) % (SLOTS - TREES)];
}

static void ask(struct slot *s, u64 key)
{
    u64 owner = __atomic_load_n(&s->owner, __ATOMIC_RELAXED);

    if (owner && owner != key)
        return;
    if (s->lately != key) {
        s->lately = key;
        s->asked = 0;
    }
    s->asked++;
    if (s->asked >= OFTEN && !(s->asked & (s->asked - 1))) { /* the first may be refused */
        state.wanted = (u32)(s - state.slots) + 1;
        rl_keptdirs_pending = 1;
    }
}

static long find(u32 layer, u32 directory)
{
    struct slot *s = state.off ? NULL : slot_of(layer, directory);
    u32 base = __atomic_load_n(&state.base, __ATOMIC_ACQUIRE), i;
    u64 key = key_of(layer, directory);

    if (!s)
        return -1;
    i = (u32)(s - state.slots);
    if (base && __atomic_load_n(&state.open, __ATOMIC_ACQUIRE) >> i & 1 &&
        __atomic_load_n(&s->owner, __ATOMIC_RELAXED) == key)
        return base + i;
    ask(s, key);
    return -1;
}

/* After an open by such a descriptor: its result, or RL_MISS (rules 2 and 3). */
static long used(long fd, long r)
{
    u32 base = __atomic_load_n(&state.base, __ATOMIC_ACQUIRE);

    if (base && fd >= (long)base && r != -EBADF)
        return r;
    if (r == -EBADF)
        state.lost = rl_keptdirs_pending = 1;
    if (r >= 0)
        rl_sys1(__NR_close, r);
    return RL_MISS;
}

void rl_keptdirs_init(void)
{
    rl_tree_descriptor = find;
    rl_tree_descriptor_used = used;
}

static void close_all(u32 base)
{
    u64 open = __atomic_exchange_n(&state.open, 0, __ATOMIC_SEQ_CST);

    for (u32 i = 0; i < SLOTS; i++)
        if (open >> i & 1) {
            rl_sys1(__NR_close, base + i);
            state.slots[i].asked = 0;
        }
}

/* Rule 1. 0: none can be kept. */
static int begin(void)
{
    u64 limit[2];

    if (rl_sys4(__NR_prlimit64, 0, RL_RLIMIT_NOFILE, 0, (long)limit) < 0 || limit[0] < state.least ||
        limit[0] > MOST_OPEN || limit[1] < limit[0] + SLOTS) {
        state.off = 1;
        return 0;
    }
    __atomic_store_n(&state.base, (u32)limit[0], __ATOMIC_SEQ_CST);
    return 1;
}

/* Copy a descriptor to base + i, under the turn. The new one, or -errno. */
static long copy_up(long fd, u32 base, u32 i)
{
    u64 old[2], more[2];
    long r = rl_sys4(__NR_prlimit64, 0, RL_RLIMIT_NOFILE, 0, (long)old);

    if (r < 0 || old[1] < base + SLOTS)
        return -EMFILE;
    more[0] = old[0] > base + SLOTS ? old[0] : base + SLOTS;
    more[1] = old[1];
    rl_sys4(__NR_prlimit64, 0, RL_RLIMIT_NOFILE, (long)more, 0);
    r = rl_sys3(__NR_fcntl, fd, F_DUPFD_CLOEXEC, base + i);
    rl_sys4(__NR_prlimit64, 0, RL_RLIMIT_NOFILE, (long)old, 0);
    return r;
}

static void keep(u32 i)
{
    struct slot *s = &state.slots[i];
    u64 owner = __atomic_load_n(&s->owner, __ATOMIC_RELAXED), key = owner ? owner : s->lately, none = 0;
    u32 base = __atomic_load_n(&state.base, __ATOMIC_ACQUIRE), n;
    char path[RL_PATH_MAX];
    const char *tree;
    long fd, up = -EAGAIN;

    n = rl_tree((u32)(key >> 32) - 1, &tree);
    if (!n || n >= sizeof path)
        return;
    memcpy(path, tree, n);
    if (rl_view_path((u32)key, path + n, sizeof path - n) < 0)
        return;
    fd = rl_sys4(__NR_openat, AT_FDCWD, (long)path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (rl_limit_turn()) {
        if (__atomic_load_n(&state.base, __ATOMIC_ACQUIRE) == base)
            up = copy_up(fd, base, i);
        if (up == (long)(base + i) &&
            (owner || __atomic_compare_exchange_n(&s->owner, &none, key, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)))
            __atomic_fetch_or(&state.open, 1ull << i, __ATOMIC_RELEASE);
        else if (up >= 0)
            rl_sys1(__NR_close, up);
        rl_limit_turn_end();
    }
    rl_sys1(__NR_close, fd);
}

void rl_keptdirs_settle(void)
{
    u32 lost, wanted;

    rl_keptdirs_pending = 0;
    lost = __atomic_exchange_n(&state.lost, 0, __ATOMIC_RELAXED);
    wanted = __atomic_exchange_n(&state.wanted, 0, __ATOMIC_RELAXED);
    if (rl_memory_is_borrowed())
        return;
    if (lost)
        close_all(__atomic_load_n(&state.base, __ATOMIC_RELAXED));
    else if (wanted && !rl_has_threads() && (state.base || begin()))
        keep(wanted - 1);
}

long rl_keptdirs_limit(const u64 limit[2], u64 old)
{
    int turn = rl_limit_turn();
    u32 base = state.base;
    long r;

    if (base && limit[0] > base) { /* rule 3 */
        state.least = base + SLOTS;
        __atomic_store_n(&state.base, 0, __ATOMIC_SEQ_CST);
        close_all(base);
    }
    r = rl_sys4(__NR_prlimit64, 0, RL_RLIMIT_NOFILE, (long)limit, (long)old);
    state.off = 0;
    if (turn)
        rl_limit_turn_end();
    return r;
}
