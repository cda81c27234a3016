/* The directories of a deep path that are known: chain.c keeps them, chainbuild.c finds them. */
#ifndef RL_CHAIN_H
#define RL_CHAIN_H

#include "../base/line.h"

#define LEVELS (RL_DEEP_MAX / 2)

struct level {
    struct rl_inode inode; /* btime_ns NO_INODE: not known */
    struct rl_real place;  /* of the directory with that inode */
    u32 end;               /* length of its path */
    struct rl_ctx ctx;
};
#define NO_INODE 0xffffffffu

struct chain {
    u32 at; /* rl_moment() */
    u32 epoch;
    u32 levels; /* level[0] is the root */
    int steady;
    char v[RL_DEEP_MAX];
    struct level level[LEVELS];
    struct rl_real place; /* of the directories that were seen */
    struct rl_origin origin; /* of the first known one */
    u32 climbed, tail_at;
    struct rl_inode seen[LEVELS]; /* on the way up, the deepest first */
    char tail[RL_DEEP_MAX], real[RL_PATH_MAX];
    char entries[4096] __attribute__((aligned(8)));
};

/* The level of this inode, or -1. */
long rl_chain_known(const struct chain *k, const struct statx *sx);
/* Find the path of the descriptor's directory. Its level. */
long rl_chain_build(struct chain *k, struct rl_walk *w, long fd, const struct statx *sx);

#endif
