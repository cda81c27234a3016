/* struct stat and struct statx of a file, for both engines (statpack.c). */
#ifndef RL_STATPACK_H
#define RL_STATPACK_H

#ifdef __x86_64__
#define RL_STAT_BYTES 144
#else
#define RL_STAT_BYTES 128
#endif

struct statx;
struct rl_attr;

void rl_stat_fill(void *st, const struct rl_attr *a); /* st: a struct stat, the kernel's or the C library's */
void rl_statx_fill(struct statx *sx, const struct rl_attr *a);

#endif
