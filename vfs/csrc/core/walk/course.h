/* A walk over the components of a path: where it is, and the steps that it makes.
 *
 * For resolve.c, course.c, coursestart.c and courselinks.c alone. */
#ifndef RL_COURSE_H
#define RL_COURSE_H

#include "../internal.h"

#ifndef RESOLVE_NO_XDEV
#define RESOLVE_NO_XDEV 0x01
#define RESOLVE_NO_MAGICLINKS 0x02
#define RESOLVE_NO_SYMLINKS 0x04
#define RESOLVE_BENEATH 0x08
#define RESOLVE_IN_ROOT 0x10
#endif

#define KEPT 22
#define REST RL_PATH_MAX
#define REST_MAX ((RL_MAX_LINKS + 1) * RL_PATH_MAX) /* with the texts of as many links as may be followed */

struct course {
    struct rl_walk *w;
    u32 flags;
    u64 resolve;
    u32 depth, floor; /* floor: RESOLVE_BENEATH and IN_ROOT stay at or below this depth */
    u32 first;        /* depth of st[0] */
    u32 links;
    int magic;             /* the followed link is one of /proc: it names an object, from the container's root */
    const char *p;         /* the rest of the path */
    const char *object;    /* where the name of that object ends: resolve.c, rule 7 */
    struct rl_ctx cur;     /* the current directory */
    struct rl_ctx st[KEPT]; /* st[k]: the directory at depth first + k, if that is less than depth */
    char given[RL_PATH_MAX]; /* the path of RL_PLAIN, which must outlast what it was read from */
    char rest[REST];       /* the rest of the path, once a link has been met; ends at the end of the buffer */
    char *long_rest;       /* a mapping of REST_MAX bytes in its place, if it was too long once */
};

static inline void rl_to_root(struct course *c)
{
    c->depth = c->first = 0;
    c->w->at = RL_NO_AT;
    c->w->vlen = 0;
    c->w->aliases = 1;
    c->w->arena_used = 0;
    c->cur = c->w->root;
}

static inline void rl_push(struct course *c, const struct rl_ctx *self)
{
    if (c->depth - c->first < KEPT)
        c->st[c->depth - c->first] = c->cur;
    c->depth++;
    c->cur = *self;
}

/* Length of the next name: up to the slash, or, at the root, the whole of a shown path: rule 6. */
static inline u32 rl_next_name(const struct course *c, const char *name)
{
    u32 n = rl_shown && !c->w->vlen ? rl_shown_prefix(name) : 0;
    if (!n)
        while (name[n] && name[n] != '/')
            n++;
    return n;
}

/* Continue in the directory that was found. The directories above it were not walked if its name was a full path
 * (rl_next_name()): `..` walks to them. */
static inline void rl_descend(struct course *c, const struct rl_ctx *self)
{
    int several = 0;
    for (u32 i = 1; rl_shown && !c->cur.vlen && i < self->vlen; i++)
        several |= c->w->v[i] == '/';
    rl_push(c, self);
    if (several)
        c->depth = c->first + KEPT + 1;
}

static inline u32 rl_parent_len(const struct rl_walk *w)
{
    u32 n = w->vlen;
    while (n && w->v[n - 1] != '/')
        n--;
    return n ? n - 1 : 0;
}

/* ---- course.c: directories ------------------------------------------------------------------------ */

/* Is w->v[0..len) a directory that this process has cached? Then w->self is it. */
int rl_course_cached(const struct course *c, u32 len);
long rl_course_look(struct course *c, u32 len); /* look w->v[0..len) up in the current directory */
/* Walk w->v[0..len), canonical and made of directories, again; the result is in c->cur. */
long rl_walk_again(struct course *c, u32 len);
long rl_to_own_root(struct course *c); /* go to the program's root */
long rl_go_up(struct course *c);       /* make c->cur the parent of c->cur */

/* ---- coursestart.c: where it begins ----------------------------------------------------------------- */

long rl_start(struct course *c, int dirfd, const char *path);
long rl_start_deep(struct course *c, int dirfd); /* the directory's path is too long for the kernel to tell */

/* ---- courselinks.c: symbolic links ------------------------------------------------------------------ */

/* The text of the link at w->v[0..len). Length, -ENOLINK: the kernel must follow it. */
long rl_link_text(struct course *c, u32 len, const char **text);
/* Put a link's target before the rest of the path. */
long rl_splice(struct course *c, const char *text, u32 n, const char *tail);
/* The last name is a link of /proc that has no text inside: the object is the one that the kernel finds. */
long rl_kernel_link(struct course *c, u32 len);
/* A link of /proc whose text would be too long: the kernel follows it to its directory. */
long rl_enter_link(struct course *c, u32 len, int last);

#endif
