/* Resolve a path to an object: one step, the whole walk, and the way back from real paths.
 *
 * For the files of the core alone. */
#ifndef RL_WALK_H
#define RL_WALK_H

#include "../layers/layers.h"

/* ---- lookup.c: one name in one merged directory --------------------------------------------------- */

enum rl_what { RL_NOTHING, RL_IN_VIEW, RL_IN_LAYER, RL_IN_BIND };

#define RL_ACL_ACCESS 1u
#define RL_ACL_DEFAULT 2u

/* A directory seen merged: which layers have it, and under which path of their own. */
struct rl_ctx {
    u64 hash;  /* FNV state over its path */
    u32 vlen;  /* length of its path; 0 for the root */
    u32 mask;  /* directory layers that have it */
    u32 view;  /* its view entry; 0: the view has no part in it */
    i32 bind;  /* the bind it is in, or -1 */
    u32 mode, uid, gid;
    u8 given;              /* in a bind: its mode bits control access, as elsewhere */
    u8 acl, acl_may;       /* as of rl_hit */
    u8 own;                /* cached (dircache.c): its view entry, if any, has this path */
    u8 alias[RL_MAX_DIRS]; /* per layer: 0, or an index into rl_walk.alias */
};

/* The object found under a name. */
struct rl_hit {
    u8 what;
    u8 white; /* absent, because the upper has a whiteout */
    u8 magic; /* a /proc link that only the kernel can follow */
    u8 given; /* as of rl_ctx */
    u8 acl;   /* RL_ACL_*: it has these ACLs */
    u8 acl_may, acl_real; /* a bit for each combination of permissions that the access ACL grants (layers/acl.c) */
    i32 layer;
    u32 view;
    u32 mode, uid, gid; /* as the program sees them */
    u64 lower_ino;      /* directories: inode number of the read-only part, 0: none */
    struct rl_record rec;
    struct statx sx; /* of the real object: RL_IN_LAYER, RL_IN_BIND */
};

/* Buffers for one step, not kept between steps. */
struct rl_scratch {
    char real[RL_REAL_MAX];
    char mark[RL_REAL_MAX];
    char text[RL_PATH_MAX];
    struct statx sx;
};

#define RL_ARENA 4096
#define RL_ALIASES 64
struct rl_walk {
    struct rl_scratch *s;
    struct rl_ctx root, dir, self; /* dir: the directory that has the last name; self: valid for directories */
    struct rl_hit hit;
    u32 vlen;     /* of v; 0 for the root */
    u8 slash;     /* the path ended in a slash */
    u8 dot;       /* enum rl_dots: the path ended in no name */
    u16 aliases;
    u16 arena_used;
    i32 lock; /* descriptor of the lock held, or -1 */
    /* For a copy-up: the flags that its copy is about to be opened with, or -1; and, when it could be left open, the
     * program's descriptor. */
    i32 want, fd;
    u32 moment; /* rl_quiet() at the start of the walk, if it was quiet */
    int quiet;
    /* at.c. at: the descriptor of the upper's directory v[0..at_len), or RL_NO_AT; pin: the same, when it is the core's
     * own, or -1. relative: the walk began at the directory of a descriptor, when rl_moment() was `began` (steady) */
    i32 at, pin;
    u32 at_len, began, tries;
    int relative, steady;
    i32 own; /* the descriptor whose file the walk has found, or -1 */
    struct {
        u16 off, len;
        u32 vlen; /* the layer's path: text, then the path from here on */
    } alias[RL_ALIASES];
    char *v;              /* near, or that of `deep` */
    struct rl_deep *deep; /* deep.c: for a path that is longer; or NULL */
    char near[RL_PATH_MAX];
    char arena[RL_ARENA];
};
void rl_walk_start(struct rl_walk *w, struct rl_scratch *s);
long rl_step(struct rl_walk *w, const struct rl_ctx *dir, const char *base, u32 len, struct rl_ctx *self,
             struct rl_hit *hit);
/* The path of base[0..len) in directory layer i, into out[RL_REAL_MAX]. Length. */
long rl_layer_path(const struct rl_walk *w, const struct rl_ctx *dir, const char *base, u32 len, u32 i, char *out);
/* The object that the layers below the upper have under the walk's last name. */
long rl_step_lower(struct rl_walk *w, struct rl_ctx *self, struct rl_hit *hit);
/* Do bits of the removal map hide entries in this directory, base[0..dir->vlen)? At their own path alone: where a directory
 * is renamed to, whiteouts do. */
int rl_bits_count(const struct rl_walk *w, const struct rl_ctx *dir, const char *base);
int rl_upper_only(struct rl_walk *w); /* certainly nothing below the upper has w->v, and no record is next to it */
/* Look the last name up again. */
long rl_again(struct rl_walk *w);
int rl_is_opaque(struct rl_scratch *s, const struct rl_layer *l, u64 fnv, u32 len); /* the directory s->real[0..len) */
void rl_hit_clear(struct rl_hit *h);
void rl_ctx_attributes(struct rl_ctx *c, const struct rl_hit *h); /* owner, mode and ACLs */

/* ---- rootstep.c -------------------------------------------------------------------------------- */

/* The root, seen from the layers `from` downwards. */
long rl_step_root(struct rl_walk *w, u32 from, struct rl_ctx *out, struct rl_hit *hit);
/* The root as an object, with its attributes; not exact: without the times. */
long rl_root_hit(struct rl_walk *w, struct rl_ctx *c, struct rl_hit *hit, int exact);

/* ---- at.c -------------------------------------------------------------------------------------- */

#define RL_NO_AT (-1)
extern long (*rl_working_directory)(void); /* an engine whose working directory is a descriptor; or NULL */
void rl_path_text(char *real); /* as one for a call without an *at form; some bytes longer */
/* The same for a call about extended attributes. */
long rl_by_text(long nr, const char *real, const void *a, const void *b, size_t c, int d);
char *rl_put_at(const struct rl_walk *w, char *out); /* the beginning of real paths below w->at; its end */
void rl_begin_at(struct rl_walk *w, int fd); /* it is that of the upper's directory w->v */
long rl_upper_path(const struct rl_walk *w, u32 len, char *out); /* of w->v[0..len) in the upper. Length */
long rl_own_path(const struct rl_walk *w, char *out); /* of w->v, when it is the directory w->at. Length, or 0 */
/* Around a look-up of a descriptor's object by its name: before it, and after it. -ESTALE replaces `r`: begin again. */
struct rl_since {
    u32 began;
    int steady;
};
struct rl_since rl_since(struct rl_walk *w);
long rl_and_still(struct rl_walk *w, struct rl_since since, long r);
int rl_still(const struct rl_walk *w);  /* no directory was renamed since the walk began, if that matters */
/* Is the walk's directory, by an absolute path, too, still the one of its name, and has the upper not got a part in it since?
 * Whoever then takes the lock, or holds it, changes the directory that was walked. */
int rl_current(const struct rl_walk *w);
long rl_sure(const struct rl_walk *w);  /* after a look-up by name: -ESTALE if it may have found another object */
/* Changes in w->dir, in the upper, reach the directory that was walked. -ESTALE: begin again. */
long rl_hold(struct rl_walk *w);
/* The lock is held: no other process has held it since the walk began, or copied the walk's object up without it. */
int rl_unchanged(const struct rl_walk *w);
int rl_alone_since(const struct rl_walk *w, u32 since); /* only this operation has taken the lock since then */
long rl_hold_object(struct rl_walk *w); /* likewise changes of the object that was found, one of the upper */
void rl_end(struct rl_walk *w);         /* releases all that a walk holds */
int rl_retry(struct rl_walk *w, long *r); /* 1: *r is -ESTALE; repeat everything. 0: the walk has ended, with *r */
long rl_lowest(struct rl_walk *w, long fd, int flags); /* the program's descriptor, below those of the walk */
/* Look the walk's last name up again, in the directory's current place; the lock is held. */
long rl_anchor(struct rl_walk *w);
void rl_late(struct rl_walk *w); /* the walk's name has just been made */

/* ---- far.c -------------------------------------------------------------------------------------- */

/* A text of less than RL_PATH_MAX bytes for this longer path, into text[RL_REAL_MAX + 64], and the descriptor to close
 * after its use. */
long rl_far_text(const char *real, char *text);

/* ---- deep.c ------------------------------------------------------------------------------------- */

/* Room in w->v, which may move. 0, or -ENAMETOOLONG. */
long rl_deep_room(struct rl_walk *w, u32 bytes);
void rl_deep_end(struct rl_walk *w); /* w->deep exists */
long rl_deep_open(struct rl_walk *w, const char *real); /* a directory's descriptor, which the walk holds */
void rl_deep_up(struct rl_walk *w, u32 len); /* w->at continues with its parent, w->v[0..len) */
/* The real path root + text[0..n), which begins with a slash, into out[RL_REAL_MAX], if it is too long for that: it
 * begins at a descriptor that is open until the walk ends. root NULL: the directory w->at. Length. */
long rl_far_join(const struct rl_walk *w, const char *root, const char *text, u32 n, char *out);
/* A walk that only asked: nothing is held but this. */
static inline void rl_done(struct rl_walk *w)
{
    if (w->deep)
        rl_deep_end(w);
}

/* ---- resolve.c --------------------------------------------------------------------------------- */

#define RL_FOLLOW 1u  /* follow a symbolic link as the last name */
#define RL_EXISTS 2u  /* -ENOENT if nothing is there, -ENOTDIR for a file with a trailing slash */
#define RL_EMPTY 4u   /* an empty path is dirfd itself */
#define RL_PLAIN 16u  /* the path may be in the walk's buffers: copy it first */
#define RL_WHOLE 32u  /* the path counts from the container's root, whatever the program's own is */
#define RL_NAME 8u    /* the name itself is meant: a trailing slash does not follow a link */
/* The flags of a call that names an existing object. */
static inline u32 rl_existing(int at_flags)
{
    return RL_EXISTS | (at_flags & AT_SYMLINK_NOFOLLOW ? 0 : RL_FOLLOW) | (at_flags & AT_EMPTY_PATH ? RL_EMPTY : 0);
}
long rl_resolve(struct rl_walk *w, int dirfd, const char *path, u32 flags, u64 resolve);
/* A canonical virtual path; it may be in the walk's own buffers. */
long rl_resolve_plain(struct rl_walk *w, const char *vpath);

/* ---- root.c ------------------------------------------------------------------------------------- */

int rl_is_root(const char *v, u32 len); /* of the program; not to be called if it has no root of its own */

/* ---- realpath.c -------------------------------------------------------------------------------- */

enum rl_place { RL_OUTSIDE, RL_PLACE_LAYER, RL_PLACE_TREE, RL_PLACE_BIND, RL_DELETED };
struct rl_real {
    int place;
    u32 index; /* directory layer, view layer or bind */
    u32 rest;  /* offset of the inner part in the real path */
};
struct rl_real rl_classify(const char *real, u32 len);
/* The object of a real path or a descriptor. */
struct rl_origin {
    int place;     /* RL_OUTSIDE: nothing to compare with */
    u32 index;     /* as of rl_real */
    u32 id;        /* RL_PLACE_TREE: its entry, or 0 */
    int directory; /* RL_PLACE_TREE: it is one */
    u64 hash;      /* RL_PLACE_LAYER, but for the top one: FNV state over its real path */
};
u32 rl_view_of_tree(u32 layer, const char *rel, u32 len);
/* The current path, inside the container, of a classified real path, into out[RL_PATH_MAX]. Length, 0 for the root.
 * -ENOENT: it has no name. */
long rl_real_virtual(const char *real, u32 len, const struct rl_real *at, char *out, struct rl_origin *o);
/* Is the walk's object the descriptor's: the lower object, its copy in the upper, or the upper's own file? */
int rl_same_object(const struct rl_walk *w, const struct rl_origin *o, const struct statx *sx);
/* The attributes that the program sees of a real object of a layer, from hit->sx and hit->rec. */
void rl_show_real(const struct rl_layer *l, struct rl_hit *h);
void rl_show_view(u32 id, struct rl_hit *h);
long rl_fd_real(int fd, char *out, size_t size); /* length */
/* Into out[RL_PATH_MAX]; length, 0 for the root. -ENAMETOOLONG: chain.c finds it. */
long rl_fd_virtual(struct rl_scratch *s, int fd, char *out, struct rl_origin *o);

/* ---- chain.c, chainbuild.c ------------------------------------------------------------------------------------ */

#define RL_LONG 512    /* bytes of a path from which on this is quicker than a walk from the root */
#define RL_CHAINED 24 /* directories above it that are known */
struct rl_chained {
    struct rl_real place; /* of the descriptor's real directory */
    u32 depth;
    struct rl_ctx cur, above[RL_CHAINED]; /* the nearest first; min(depth, RL_CHAINED) */
};
/* A directory's descriptor (AT_FDCWD: the working directory), whatever its path's length is: the path into w->v.
 * -EXDEV: it is outside. */
long rl_chain_at(struct rl_walk *w, int fd, struct rl_chained *out);
int rl_chain_has(const struct statx *sx); /* probably known, without its name */
int rl_chain_has_fd(int fd);
void rl_chain_add(const struct rl_walk *w); /* a directory of the upper, found in a directory that is known */
void rl_chain_init(void);
void rl_chain_carry(u32 before, u64 hash); /* after rl_changed_one() */

/* Look a name up in the known directory of this FNV state: w->dir, w->v, w->hit. */
long rl_chain_child(struct rl_walk *w, u64 dir, const char *name, u32 len);

/* ---- deepfile.c --------------------------------------------------------------------------------- */

void rl_deepfile_add(const struct rl_walk *w, long fd); /* the walk's object has just been opened */
/* The file of a descriptor whose name the kernel cannot tell. 0: the walk's object; 1: only w->hit is set. */
long rl_deepfile_find(struct rl_walk *w, const struct statx *sx);

/* ---- renamebits.c, renamedpath.c, redirect.c ------------------------------------------------------------------ */

void rl_renamebits_note(const char *path, u32 len); /* before a redirect names this path */
int rl_renamebits_entry(u32 id);                    /* 0: this entry and those above it were never renamed */
u32 rl_renamebits_layers(u32 below);                /* those above the layer `below` that may have redirects */
int rl_renamebits_on(u32 below, const char *path, u32 len); /* 0: they have none for this path and those above it */
void rl_renamed_path_init(void);
/* `path`, of `len` bytes in char[RL_PATH_MAX], is the object's visible path unless a directory in it was renamed:
 * replace it by the current one. `real`: of an object of a directory layer. Length; -ENOENT: it was removed, `path` is
 * unchanged. */
long rl_renamed_path(const struct rl_origin *o, const char *real, char *path, u32 len);
/* Is the directory `c` of the walk (its path in w->v) the same one, and not another of its name? */
int rl_is_origin(const struct rl_walk *w, const struct rl_ctx *c, const struct rl_origin *o);
long rl_redirect_find(u32 layer, const char *path, u32 len, char *out, u32 *from);

#endif
