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

/* stat.c: what rl_statx_fill() cannot tell, for a call whose mask is not only of RL_STATX_PLAIN: mount, attributes, direct I/O. */
#define RL_STATX_PLAIN 0xfffu
#define RL_STATX_DIOALIGN 0x2000u
void rl_statx_more(struct statx *sx, const struct rl_attr *a, unsigned mask);

#endif
