/* Bytes, memory and descriptors, without a libc: for the files of the core and of the trap engine. */
#ifndef RL_BASE_H
#define RL_BASE_H

#include "kernel.h"

struct rl_walk;
struct rl_ctx;
struct rl_hit;
struct rl_scratch;
struct rl_attr;

/* ---- mem.c ------------------------------------------------------------------------------------- */

void *memcpy(void *d, const void *s, size_t n);
void *memmove(void *d, const void *s, size_t n);
void *memset(void *d, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
u64 rl_fnv(u64 h, const char *s, u32 n);
static inline u64 rl_fnv_byte(u64 h, char c) { return (h ^ (u8)c) * RL_FNV_PRIME; }
static inline u64 rl_mix(u64 h)
{
    h ^= h >> 32;
    h *= RL_MIX;
    return h ^ h >> 29;
}
int rl_same(const char *a, const char *b);
int rl_begins(const char *s, const char *prefix);
char *rl_put(char *out, const char *text);    /* returns the end; writes the NUL */
char *rl_put_u64(char *out, u64 v, int base); /* same */
int rl_number(const char **s, u32 base, u64 *v); /* 0: not a digit, or too many; *s and *v are unchanged */
/* Join up to three pieces into out[size]. Length, or -ENAMETOOLONG. */
long rl_join(char *out, size_t size, const char *a, u32 an, const char *b, u32 bn, const char *c, u32 cn);

/* ---- reservefd.c ----------------------------------------------------------------------------------- */

long rl_reserve_open(const char *path, int flags, unsigned mode); /* for the core's own use */
/* The turn to change the limit of descriptors. 0: not now. */
int rl_limit_turn(void);
void rl_limit_turn_end(void);

/* ---- pool.c ------------------------------------------------------------------------------------- */

#define RL_BLOCK 57344u
void *rl_scratch_get(size_t n); /* not zeroed; NULL: no memory. Cheap up to RL_BLOCK bytes. */
void rl_scratch_put(void *p, size_t n);

#endif
