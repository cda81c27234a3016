/* Where a path leads on the fast path: for fastcalls.c, which answers from it (fastpath.c has the rules). */
#ifndef RL_FASTPATH_H
#define RL_FASTPATH_H

#include "../internal.h"

/* May the upper, and no other layer, have an object of this path, and a record of it? */
enum in_upper { NOT_UPPER, UPPER_PLAIN, UPPER_RECORD };

/* The start of a path, and the result. */
struct rl_fast_path {
    int dirfd;
    struct rl_base base; /* of a relative path; else base.kind is RL_BASE_OTHER */
    int keep;            /* the result is valid for the moment `now` */
    u32 now;
    int plain;           /* no link was followed, and the path had no `..` */
    enum in_upper upper; /* rule 4 */
    int below;           /* of an object of the upper: the view has its name, too, or a layer leads to a bind there */
    u64 hash;            /* of the entry's own path */
    char buf[256];       /* the path of the base */
};

/* The view entry, -errno, or RL_MISS: the view does not say; see s->upper. */
long rl_fast_find(struct rl_fast_path *s, int dirfd, const char *path, int follow_last);

#endif
