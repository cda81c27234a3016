/* The working directory of the process, known without a call.
 *
 * 1. Only for an engine that handles every chdir of the process (rl_cwd_alone): each makes the line invalid, before it and
 *    after it.
 * 2. The memory and the working directory must belong together. They do not in a vfork child, among threads that have
 *    working directories of their own (unshare), and after a clone that shares one of the two alone. So the directory is
 *    asked for ever after a chdir of a vfork child or with other threads, or after such a clone (rl_cwd_ask).
 * 3. Another process may remove the directory: the line is valid until the next change of a directory (rl_moment()).
 * 4. The line is lock-free, as in dircache.c. */
#include "../base/line.h"

int (*rl_cwd_alone)(void);

static struct {
    u32 turn; /* how often the directory was changed. Atomic */
    u32 ask;  /* rule 2: set once, by any thread */
    u32 version; /* of rl_line_*(): guards the rest */
    u32 at, of_turn;
    u32 mode;
    struct rl_inode inode;
} state;

void rl_cwd_ask(void)
{
    __atomic_store_n(&state.ask, 1, __ATOMIC_SEQ_CST);
}

void rl_cwd_changing(void)
{
    if (!rl_cwd_alone)
        return;
    if (!state.ask && !rl_cwd_alone())
        rl_cwd_ask();
    rl_cwd_changed();
}

void rl_cwd_changed(void)
{
    __atomic_fetch_add(&state.turn, 1, __ATOMIC_SEQ_CST);
}

static int find(u32 turn, u32 now, struct statx *sx)
{
    u32 before = rl_line_version(&state.version), at = state.at, of_turn = state.of_turn, mode = state.mode;
    struct rl_inode inode = state.inode;
    if (!before || at != now || of_turn != turn || !rl_line_kept(&state.version, before))
        return 0;
    sx->stx_mask = RL_STATX_ALL;
    sx->stx_mode = (u16)mode;
    sx->stx_nlink = 2;
    sx->stx_ino = inode.ino;
    sx->stx_dev_major = (u32)(inode.dev >> 8 & 0xfff) | (u32)(inode.dev >> 32 & ~0xfffull);
    sx->stx_dev_minor = (u32)(inode.dev & 0xff) | (u32)(inode.dev >> 12 & 0xffffff00);
    sx->stx_btime.tv_sec = inode.btime_s;
    sx->stx_btime.tv_nsec = inode.btime_ns;
    return 1;
}

static void add(u32 turn, u32 now, const struct statx *sx)
{
    if (!rl_isdir(sx->stx_mode) || !sx->stx_nlink || !(sx->stx_mask & STATX_BTIME) || !rl_line_open(&state.version))
        return;
    state.at = now;
    state.of_turn = turn;
    state.mode = sx->stx_mode;
    state.inode = rl_inode_of(sx);
    rl_line_close(&state.version);
}

long rl_cwd_statx(u32 now, struct statx *sx)
{
    u32 turn = __atomic_load_n(&state.turn, __ATOMIC_SEQ_CST);
    int kept = rl_cwd_alone && !__atomic_load_n(&state.ask, __ATOMIC_SEQ_CST);
    if (kept && find(turn, now, sx))
        return 0;
    long r = k_near(AT_FDCWD, "", AT_EMPTY_PATH, sx);
    if (r >= 0 && kept)
        add(turn, now, sx);
    return r;
}
