/* What the files of the core share with each other, and with nobody else. */
#ifndef RL_INSIDE_H
#define RL_INSIDE_H

#include "kernel.h"

/* ---- mem.c ------------------------------------------------------------------------------------- */

void *memcpy(void *d, const void *s, size_t n);
void *memmove(void *d, const void *s, size_t n);
void *memset(void *d, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
u64 rl_fnv(u64 h, const char *s, u32 n);
u64 rl_mix(u64 h);
int rl_same(const char *a, const char *b);
int rl_begins(const char *s, const char *prefix);
char *rl_put(char *out, const char *text);    /* returns the end; writes the NUL */
char *rl_put_u64(char *out, u64 v, int base); /* same */
int rl_number(const char **s, u32 base, u64 *v);
/* Join up to three pieces into out[size]. Length, or -ENAMETOOLONG. */
long rl_join(char *out, size_t size, const char *a, u32 an, const char *b, u32 bn, const char *c, u32 cn);

/* ---- launch.c ---------------------------------------------------------------------------------- */

struct rl_layer {
    const char *path;
    u32 len;
    u32 flags;
    u64 *bloom; /* the words, or NULL: always look */
    u32 near;   /* mask of a path's first bit */
    u32 tells_moves; /* the filter knows the paths that redirects name */
    u64 dev;
};
struct rl_bind {
    const char *vpath, *host;
    u32 vlen, hlen;
    u32 flags;
    u32 uid, gid, mode;
};
extern struct rl_layer rl_layers[RL_MAX_DIRS];
extern u32 rl_nlayers;
extern const struct rl_launch_bind *rl_binds;
extern const char *rl_launch_file;
extern int rl_host_layer; /* a layer with the empty path exists */
#define RL_MAX_BINDS 256
extern u32 rl_ways; /* bit of the layer that is RL_DIR_WAYS, or 0 */
int rl_writable(void);
u32 rl_tree(u32 layer, const char **path);
struct rl_bind rl_bind(u32 i);
int rl_own_device(u64 dev);
int rl_tree_device(u64 dev); /* may a file on it be one of a view's layers? */
/* `size`: of the part from `offset` on that is wanted, 0 for the rest of the file; then what was mapped. */
void *rl_map_file(const char *path, u64 offset, u64 *size, int writable);

/* ---- view.c ------------------------------------------------------------------------------------ */

long rl_view_open(const char *path, u64 offset, u64 bytes);
u32 rl_view_find(u32 parent, const char *name, u32 len); /* 0: no such name */
const struct rl_view_entry *rl_view_entry(u32 id);       /* NULL: no such id */
const char *rl_view_text(u32 off, u32 len);              /* NULL: outside the file */
u32 rl_view_count(void);
long rl_view_path(u32 id, char *out, size_t size);                /* visible path; length */
long rl_view_real(u32 id, char *out, size_t size);                /* path of the hydrated file; length */
u32 rl_view_by_source(u32 layer, const char *path, u32 len);      /* 0: none */

/* ---- bloom.c ----------------------------------------------------------------------------------- */

#define RL_KEY_PATH (-1)
u64 rl_bloom_key(u64 fnv, int kind);
int rl_bloom_test(const struct rl_layer *l, u64 key); /* 0: proves absence */
void rl_bloom_set(const struct rl_layer *l, u64 key);

/* ---- record.c ---------------------------------------------------------------------------------- */

#define RL_HAS_UID 1u
#define RL_HAS_GID 2u
#define RL_HAS_MODE 4u
#define RL_HAS_DEV 8u
#define RL_HAS_INO 16u
#define RL_HAS_XATTR 32u
#define RL_HAS_REDIRECT 64u
#define RL_HAS_LINKED 128u /* only of what lies beside a name: the record is elsewhere (linked.c) */
struct rl_record {
    u32 has;
    u32 uid, gid, mode, major, minor;
    u64 ino, linked;
    u32 xattrs, xattrs_len;     /* where in the text the x fields are (contiguous), their length */
    u32 redirect, redirect_len; /* where in the text PATH is */
};
long rl_record_parse(const char *text, u32 len, struct rl_record *r);
/* Format r into out[RL_PATH_MAX]; x fields and PATH are copied from `xattrs` and `redirect`. Length, or
 * -ENOSPC when it does not fit. Length 0: nothing to record. */
long rl_record_format(const struct rl_record *r, const char *xattrs, const char *redirect, char *out);

/* ---- shared.c ---------------------------------------------------------------------------------- */

struct rl_scratch;
int rl_shared_any(const struct rl_layer *l);
long rl_shared_load(const struct rl_layer *l, const char *real, char *text);
long rl_shared_store(const char *real, const char *text, u32 n);
long rl_record_text(struct rl_scratch *s, const struct rl_layer *l, u32 mode, u32 len);

/* ---- linked.c ---------------------------------------------------------------------------------- */

struct rl_walk;
long rl_linked_load(const struct rl_layer *l, u64 id, char *mark, char *text, struct rl_record *r);
long rl_linked_follow(struct rl_scratch *s, const struct rl_layer *l, long n, struct rl_record *r);
/* These want the lock. */
long rl_linked_store(struct rl_scratch *s, u64 id, const char *text);
long rl_linked_make(struct rl_walk *w, const char *real, u32 len, char *text, struct rl_record *r);
u64 rl_linked_last(const struct rl_walk *w, const struct rl_record *r);
void rl_linked_drop(struct rl_scratch *s, u64 id);

/* ---- marks.c: names of marks ------------------------------------------------------------------- */

int rl_reserved(const char *name, u32 len);
/* The mark's path for the object at real[0..len) whose name starts at real+name. */
long rl_whiteout_path(char *out, size_t size, const char *real, u32 len);
long rl_record_path(char *out, size_t size, const char *real, u32 len, u32 root_len);
long rl_opaque_path(char *out, size_t size, const char *real, u32 len);
long rl_temp_path(char *out, size_t size, const char *real, u32 len);

/* ---- step.c: one name in one merged directory --------------------------------------------------- */

enum rl_what { RL_NONE, RL_IN_VIEW, RL_IN_LAYER, RL_IN_BIND };

/* A directory seen merged: which layers have it, and under which path of their own. */
struct rl_ctx {
    u64 hash;  /* FNV state over its path */
    u32 vlen;  /* length of its path; 0 for the root */
    u32 mask;  /* directory layers that have it */
    u32 view;  /* its view entry; 0: the view has no part in it */
    i32 bind;  /* the bind it is in, or -1 */
    u32 mode, uid, gid;
    u8 given;              /* in a bind: its bits say who may use it, as elsewhere */
    u8 own;                /* remembered (seen.c): its view entry, if any, has this path */
    u8 alias[RL_MAX_DIRS]; /* per layer: 0, or an index into rl_walk.alias */
};

/* What was found under a name. */
struct rl_hit {
    u8 what;
    u8 white; /* nothing there, because the upper has a whiteout */
    u8 magic; /* a /proc link that only the kernel can follow */
    u8 given; /* as of rl_ctx */
    i32 layer;
    u32 view;
    u32 mode, uid, gid; /* as the program sees them */
    u64 lower_ino;      /* directories: inode number of the read-only part, 0: none */
    struct rl_record rec;
    struct statx sx; /* of the real object: RL_IN_LAYER, RL_IN_BIND */
};

/* Buffers that every step needs and nobody keeps. */
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
    u8 dot;       /* the path ended in . or .. or is the root: 1, 2, 3 */
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
    char v[RL_PATH_MAX];
    char arena[RL_ARENA];
};
void rl_walk_start(struct rl_walk *w, struct rl_scratch *s);
long rl_step_root(struct rl_walk *w, u32 from, struct rl_ctx *out, struct rl_hit *hit);
long rl_root_hit(struct rl_walk *w, struct rl_ctx *c, struct rl_hit *hit, int exact);
long rl_step(struct rl_walk *w, const struct rl_ctx *dir, const char *base, u32 len, struct rl_ctx *self,
             struct rl_hit *hit);
/* The path of base[0..len) in directory layer i, into out[RL_REAL_MAX]. Length. */
long rl_layer_path(const struct rl_walk *w, const struct rl_ctx *dir, const char *base, u32 len, u32 i, char *out);
/* What the layers below the upper have under the walk's last name. */
long rl_step_lower(struct rl_walk *w, struct rl_ctx *self, struct rl_hit *hit);
int rl_upper_only(struct rl_walk *w); /* certainly nothing below the upper has w->v, and no record is beside it */
/* Look the last name up again. */
long rl_again(struct rl_walk *w);

/* ---- at.c -------------------------------------------------------------------------------------- */

#define RL_NO_AT (-1)
extern long (*rl_working_directory)(void); /* an engine whose working directory is a descriptor; or NULL */
void rl_path_text(char *real); /* as one for a call without an *at form; some bytes longer */
/* Such a call, one about extended attributes. */
long rl_by_text(long nr, const char *real, const void *a, const void *b, size_t c, int d);
void rl_begin_at(struct rl_walk *w, int fd); /* it is that of the upper's directory w->v */
long rl_upper_path(const struct rl_walk *w, u32 len, char *out); /* of w->v[0..len) in the upper. Length */
long rl_own_path(const struct rl_walk *w, char *out); /* of w->v, when it is the directory w->at. Length, or 0 */
/* For a look at a descriptor's object by its name: before it, and after it. -ESTALE in the place of `r`: begin again. */
struct rl_since {
    u32 began;
    int steady;
};
struct rl_since rl_since(struct rl_walk *w);
long rl_and_still(struct rl_walk *w, struct rl_since since, long r);
int rl_still(const struct rl_walk *w);  /* no directory was renamed since the walk began, where that matters */
long rl_sure(const struct rl_walk *w);  /* after a look by name: -ESTALE when it may have been at something else */
/* What is done in w->dir, in the upper, reaches the directory that was walked. -ESTALE: begin again. */
long rl_hold(struct rl_walk *w);
int rl_alone_since(const struct rl_walk *w, u32 since); /* nobody but this operation has taken the lock since then */
long rl_hold_object(struct rl_walk *w); /* likewise what is done to the object that was found, one of the upper */
void rl_end(struct rl_walk *w);         /* gives back all that a walk holds */
int rl_retry(struct rl_walk *w, long *r); /* 1: *r is -ESTALE; do it all again. 0: the walk has ended, with *r */
long rl_lowest(struct rl_walk *w, long fd, int flags); /* the program's descriptor, below those of the walk */
/* The last name of the walk once more, where its directory is by now; the lock is held. */
long rl_anchor(struct rl_walk *w);
void rl_late(struct rl_walk *w); /* the walk's name has just been made */

/* ---- far.c -------------------------------------------------------------------------------------- */

/* A text of less than RL_PATH_MAX bytes for this path of more, into text[RL_REAL_MAX + 64], and the descriptor to be
 * closed after its use. */
long rl_far_text(const char *real, char *text);
/* The name of a descriptor's directory (AT_FDCWD: the working directory), when the kernel finds it too long. Length. */
long rl_far_name(long fd, char *out, size_t size);

/* ---- resolve.c --------------------------------------------------------------------------------- */

#define RL_FOLLOW 1u  /* follow a symbolic link in the last place */
#define RL_EXISTS 2u  /* -ENOENT when nothing is there, -ENOTDIR for a file with a slash behind it */
#define RL_EMPTY 4u   /* an empty path is dirfd itself */
#define RL_PLAIN 16u  /* the path may lie in the walk's buffers: copy it first */
#define RL_WHOLE 32u  /* the path counts from the container's root, whatever the program's own is */
#define RL_NAME 8u    /* the name itself is meant: a slash behind it does not follow a link */
long rl_resolve(struct rl_walk *w, int dirfd, const char *path, u32 flags, u64 resolve);
/* A canonical virtual path; it may lie in the walk's own buffers. */
long rl_resolve_plain(struct rl_walk *w, const char *vpath);

/* ---- root.c ------------------------------------------------------------------------------------- */

int rl_is_root(const char *v, u32 len); /* of the program; not to be asked when it has none of its own */

/* ---- bind.c, proc.c ---------------------------------------------------------------------------- */

void rl_bind_init(void);
extern int rl_shown; /* some bind is RL_BIND_SHOWN */
u32 rl_shown_prefix(const char *name); /* length of such a one's path, without its slash, if `name` begins with it */
int rl_bind_hash(u64 hash); /* a mount point's hash is this one */
int rl_bind_at(u64 hash, const char *v, u32 len); /* index or -1 */
long rl_bind_real(const struct rl_ctx *c, const char *v, u32 len, char *out);
int rl_bind_seen(u64 h, const char *v, u32 len, struct rl_ctx *self);
/* As it is shown, for what the real file says. `top`: it is what is mounted, not below it. */
void rl_bind_owner(const struct rl_bind *b, int top, u32 *mode, u32 *uid, u32 *gid);
int rl_bind_device(u64 dev); /* may a file on it be one whose owner is shown otherwise? */
long rl_bind_step(struct rl_walk *w, int bind, int mount, u32 len, struct rl_ctx *self, struct rl_hit *hit);
int rl_bind_child(u32 i, const char *v, u32 len, const char **name, u32 *n); /* bind i is mounted in this directory */
int rl_bind_in(const char *v, u32 len); /* some bind is mounted in this directory */
int rl_bind_may_be_in(u64 hash);        /* 0: none is */
int rl_read_only(const struct rl_ctx *dir);
int rl_bind_below(const char *v, u32 len); /* a bind's mount point is this path or lies below it */
/* The target of the link at w->v[0..len) as the program sees it, into w->s->mark. Length;
 * -ENOLINK: only the kernel can follow it. */
long rl_proc_link(struct rl_walk *w, u32 len);
long rl_proc_target(struct rl_walk *w, u32 len); /* the same to go on with: only the kernel finds what has no name */
int rl_proc_magic(const struct rl_walk *w, const struct rl_ctx *c, u32 len);
int rl_proc_maps(const struct rl_walk *w); /* the walk's object is a process's maps or smaps */

/* Is it a process's status? Then its process. */
int rl_proc_status(const struct rl_walk *w, u64 *pid);

/* ---- proctold.c, procstatus.c ------------------------------------------------------------------- */

long rl_told_begin(const char *name);   /* a descriptor to write to */
long rl_told_end(long fd, int flags);   /* closes it: one for reading what was written, as open(2) would give it */
long rl_status_open(const char *real, u64 pid, int flags); /* a descriptor; -ENODATA: the file itself will do */
/* The owner of /proc/PID; rel[0..len): the path behind /proc. */
void rl_proc_owner(const char *rel, u32 len, u32 *uid, u32 *gid);

/* ---- open.c ------------------------------------------------------------------------------------ */

int rl_busy(const struct rl_walk *w);

/* ---- procmaps.c -------------------------------------------------------------------------------- */

long rl_maps_open(const char *real, int flags); /* a descriptor, for reading */
long rl_maps_program(u64 pid, char *out);
int rl_maps_running(const char *v, u32 len); /* some process of the container runs this program */

/* ---- spare.c ----------------------------------------------------------------------------------- */

long rl_spare_open(const char *path, int flags, unsigned mode); /* for the core's own use */

/* ---- realpath.c -------------------------------------------------------------------------------- */

enum rl_place { RL_OUTSIDE, RL_PLACE_LAYER, RL_PLACE_TREE, RL_PLACE_BIND, RL_DELETED };
struct rl_real {
    int place;
    u32 index; /* directory layer, view layer or bind */
    u32 rest;  /* offset in the real path where the part inside it starts */
};
struct rl_real rl_classify(const char *real, u32 len);
/* What a real path or a descriptor leads to. */
struct rl_origin {
    int place;     /* RL_OUTSIDE: nothing to compare with */
    u32 index;     /* as of rl_real */
    u32 id;        /* RL_PLACE_TREE: its entry, or 0 */
    int directory; /* RL_PLACE_TREE: it is one */
    u64 hash;      /* RL_PLACE_LAYER, but for the top one: FNV state over its real path */
};
u32 rl_view_of_tree(u32 layer, const char *rel, u32 len);
/* Of a real path that was classified: what programs call it now, into out[RL_PATH_MAX]. Length, 0 for the root. -ENOENT:
 * it has no name. */
long rl_real_virtual(const char *real, u32 len, const struct rl_real *at, char *out, struct rl_origin *o);
/* Is the walk's object the descriptor's: the lower object, its copy in the upper, or the upper's own file? */
int rl_same_object(const struct rl_walk *w, const struct rl_origin *o, const struct statx *sx);
/* What the program sees of a real object of a layer, from hit->sx and hit->rec. */
void rl_show_real(const struct rl_layer *l, struct rl_hit *h);
void rl_show_view(u32 id, struct rl_hit *h);
long rl_fd_real(int fd, char *out, size_t size); /* length */
/* Into out[RL_PATH_MAX]; length, 0 for the root. */
long rl_fd_virtual(struct rl_scratch *s, int fd, char *out, struct rl_origin *o);

/* ---- moves.c, moved.c, redirect.c ------------------------------------------------------------------ */

void rl_moves_note(const char *path, u32 len); /* before a redirect names this path */
int rl_moves_entry(u32 id);                    /* 0: this entry and what is above it were never renamed */
u32 rl_moves_layers(u32 below);                /* those above the layer `below` that may have redirects */
int rl_moves_on(u32 below, const char *path, u32 len); /* 0: they have none for this path and those above it */
void rl_moved_init(void);
/* `path`, of `len` bytes in char[RL_PATH_MAX], is where the object shows unless what is on the way was renamed: make it
 * the one where it shows. `real`: of an object of a directory layer. Length; -ENOENT: it was removed, `path` is as it
 * was. */
long rl_moved(const struct rl_origin *o, const char *real, char *path, u32 len);
/* Is the directory `c` of the walk (its path in w->v) the very one, and not another of its name? */
int rl_is_origin(const struct rl_walk *w, const struct rl_ctx *c, const struct rl_origin *o);
long rl_redirect_find(u32 layer, const char *path, u32 len, char *out, u32 *from);

/* ---- perm.c ------------------------------------------------------------------------------------ */

int rl_in_group(u32 gid);
long rl_permit(u32 mode, u32 uid, u32 gid, u32 want, int real_ids);
long rl_may(const struct rl_hit *h, u32 want);
/* Add or remove a name in w->dir. With `victim`: the sticky bit is honoured for w->hit. */
long rl_root_mode(struct rl_walk *w);
long rl_may_change(struct rl_walk *w, int victim);

/* ---- known.c ------------------------------------------------------------------------------------ */

void rl_known_init(void);
/* A descriptor of a layer's file that nothing covers; sx: its real attributes. RL_QUICK_NO: ask further. */
long rl_known_file(int fd, const struct statx *sx, struct rl_attr *out);
u32 rl_known_entry(const struct statx *sx); /* likewise the entry, without a system call; 0: ask further */
void rl_known_asked(void);                  /* a program has asked for what it has opened */
/* `fd` is a file without a record that has just been made in the upper, by a walk of this moment (rl_quiet()). */
void rl_known_created(int fd, u32 moment);
/* `fd` has just been opened by the name of this entry, which lies at its own path (of the FNV state `hash`) in its layer's
 * tree: cheaper than to ask for the name later. `clear`: as of rl_base, at the moment `now`. */
void rl_known_opened(int fd, u32 id, int directory, u64 hash, int clear, u32 now);
/* A descriptor's directory, as far as it is known without a walk. */
struct rl_base {
    int how;   /* 1: of the view, whatever covers it; 2: of the upper; 0: neither */
    u32 id;    /* 1: its entry */
    u32 tree;  /* 1: the layer whose tree it is in */
    int clear; /* 1: names in it may be looked up from it on (known.c, rule 5) */
    u64 hash;  /* FNV state over its path */
};
/* b->how. 2: its visible path is in out[size]; 1: rl_base_path() tells. */
int rl_known_directory(int fd, struct rl_base *b, char *out, size_t size);
long rl_base_path(const struct rl_base *b, char *out, size_t size); /* length; unless it was renamed */
long rl_base_virtual(const struct rl_base *b, char *out, struct rl_origin *o); /* its name now, into out[RL_PATH_MAX] */
void rl_base_clear(const struct rl_base *b, u32 now); /* it is, since the moment `now` */
int rl_base_covered(const struct rl_base *b);         /* the upper may have a part in it by now */

/* ---- seen.c ------------------------------------------------------------------------------------ */

/* The counts in the upper's filter, or NULL; whether the lock's holders are counted there, too. */
void rl_seen_init(void *header, int with_sections);
/* How many changes have begun. 0: what is read now must not be remembered. */
int rl_moment(u32 *now);
int rl_stirred(u32 since); /* a change has begun since then, or was not over */
int rl_counted(void);      /* changes are counted */
void rl_seen_add(u32 now, const struct rl_ctx *dir);
int rl_seen(u64 hash, struct rl_ctx *out); /* 0: not remembered */
/* The path inside of a descriptor's directory in the upper. */
void rl_seen_name_add(u32 now, const struct statx *sx, const char *path, u32 len);
int rl_seen_name(const struct statx *sx, u64 *hash, char *out, size_t size);
/* Around every change of a directory that may be remembered (seen.c); the lock is held. */
void rl_changing(void);
void rl_changed(void);
void rl_changed_one(u64 hash, const char *path, u32 len);
/* Around everything that happens under the upper's lock. */
void rl_section_begin(void);
void rl_section_end(void);
/* How many holders of the lock there have been. 0: one is at work, or nobody counts. */
int rl_quiet(u32 *now);
int rl_undisturbed(u32 since); /* nobody has taken the lock since then */
int rl_first_since(u32 since); /* we hold it, and nobody else has since then */

/* ---- recall.c ---------------------------------------------------------------------------------- */

void rl_recall_init(void);
/* The record of a file of the upper, as it was read when `moment` holders of its lock had been (rl_quiet()). */
void rl_recall_add(u32 moment, const struct statx *sx, const struct rl_record *rec);
int rl_recall(const struct statx *sx, struct rl_record *rec);     /* 0: not remembered */
int rl_recall_attr(const struct statx *sx, struct rl_attr *out); /* likewise; else what the file shows */

/* ---- attr.c ------------------------------------------------------------------------------------ */

void rl_attr_of(const struct rl_ctx *self, const struct rl_hit *h, struct rl_attr *a);
void rl_attr_view(u32 id, struct rl_attr *a); /* of an entry that nothing covers */
void rl_attr_real(const struct statx *sx, struct rl_attr *a);
u64 rl_ino_of(const struct rl_ctx *self, const struct rl_hit *h);

/* ---- hydrate.c --------------------------------------------------------------------------------- */

long rl_hydrate(u32 id);
/* Run open(2) on a view entry's real path, asking the hydrator when it is not there yet. */
long rl_view_openfd(u32 id, char *real, int flags);
/* The real path of the walk's object (of a view entry: hydrated). Length. */
long rl_object_real(struct rl_walk *w, char *out);

long rl_resolve_directory(struct rl_walk *w, const char *path); /* a directory that may be entered: -ENOTDIR, -EACCES */
/* The real path of the walk's directory, such that its descriptor leads back to w->v. Length. */
long rl_dir_real(struct rl_walk *w, char *out);

/* ---- copyfile.c -------------------------------------------------------------------------------- */

/* The walk's object, a regular file with the attributes `a`, at `temp`, with the times `t`; data 0: empty. May set
 * w->fd. */
long rl_copy_file(struct rl_walk *w, const struct rl_attr *a, int data, const char *temp, const i64 *t);

/* ---- whiteout.c, copyup.c ---------------------------------------------------------------------- */

long rl_lock(struct rl_walk *w);      /* -ESTALE, and held: directories were renamed since the walk began */
long rl_lock_now(struct rl_walk *w);  /* whatever was renamed */
void rl_lock_free(struct rl_walk *w); /* without closing it */
void rl_unlock(struct rl_walk *w);
/* Of w->v; the parent is in the upper. 1: it was there. */
long rl_whiteout_make(struct rl_walk *w);
void rl_whiteout_drop(struct rl_walk *w);   /* of w->v */
long rl_opaque_make(const char *real, u32 len, u64 fnv);
long rl_record_load(struct rl_walk *w, u64 fnv, const char *real, u32 len, char *text, struct rl_record *r);
long rl_record_store(struct rl_walk *w, u64 fnv, const char *real, u32 len, const char *text, u32 n);
long rl_mark_put(const char *mark, u32 len, const char *text); /* a symbolic link: made, or replaced */
int rl_unrecorded(const struct rl_walk *w); /* the upper certainly has no record of w->v */
void rl_record_drop(struct rl_walk *w, u64 fnv, const char *real, u32 len);
u64 rl_vhash(const struct rl_walk *w);
long rl_copyup_parents(struct rl_walk *w);
/* data 0: the content is not needed (it is about to be truncated). When w->fd is set afterwards, w->hit says no more
 * than where the object is and what mode and owner it has. */
long rl_copyup(struct rl_walk *w, int data);
/* The owner and mode to give a new object in w->dir. */
struct rl_owner {
    u32 uid, gid, mode; /* mode: full st_mode, as the program sees it */
    u32 major, minor;
};
void rl_owner_fields(const struct rl_owner *o, u32 real_mode, struct rl_record *r);
long rl_drop_setid(struct rl_walk *w);
long rl_may_own(const struct rl_hit *h);
struct rl_keep {
    int ok;
    i64 times[4];
    char dir[RL_REAL_MAX];
};
void rl_keep_times(const char *real, u32 len, struct rl_keep *k, int restore);
u32 rl_real_mode(u32 mode);
u32 rl_written_mode(u32 mode);
void rl_owner_new(const struct rl_walk *w, u32 mode, struct rl_owner *o);
/* Write or remove the record so that the object at w->v shows as `o`; `real` is its real mode. */
long rl_owner_store(struct rl_walk *w, const struct rl_owner *o, u32 real_mode);
int rl_owner_plain(const struct rl_owner *o, u32 real_mode);
/* Everything before a name is made: writable, allowed, parent in the upper, bloom. */
long rl_create_begin(struct rl_walk *w, char *real);
int rl_create_simple(const struct rl_walk *w, const struct rl_owner *o);

/* ---- edit.c: changing what is recorded of an object of the upper ---------------------------------- */

struct rl_edit {
    struct rl_record rec;
    u64 fnv;
    u32 len;
    int shared; /* the record belongs to the file (shared.c); 2: it does already */
    u64 linked; /* it belongs to the names together (linked.c) */
    char real[RL_REAL_MAX];
    char text[RL_PATH_MAX]; /* of the old record: rec's offsets point into it */
};
long rl_edit_begin(struct rl_walk *w, struct rl_edit *e); /* takes the lock */
long rl_edit_store(struct rl_walk *w, struct rl_edit *e, const char *xattrs, u32 n); /* keeps the lock */
long rl_edit_end(struct rl_walk *w, struct rl_edit *e, const char *xattrs, u32 n); /* and stamps */
void rl_edit_stamp(const struct rl_edit *e); /* the change's time, st_ctime, on the file */
void rl_edit_cancel(struct rl_walk *w);
/* Before the real file of the walk's object is opened for writing: it may be one that only the mode's owner reads. */
long rl_loosen(struct rl_walk *w);
void rl_loosen_magic(const char *link, const struct statx *sx);
/* chmod of a bind's object, whose mode is `now`; `room` of RL_PATH_MAX bytes. */
long rl_chmod_bind(const char *real, u32 now, u32 mode, char *room);
/* The walk to a descriptor's object. 1: w is there; 0: only the descriptor will do; -EROFS: it is a
 * lower file without a name. */
long rl_by_fd(struct rl_walk *w, int fd);
/* -EBADF for a descriptor that only names its object (O_PATH): fchmod and the like do not take it. */
long rl_only_named(int fd);
/* By path or, when it is NULL, by descriptor. Returns as rl_by_fd(). */
long rl_object(struct rl_walk *w, int dirfd, const char *path, int flags);

/* ---- remove.c ---------------------------------------------------------------------------------- */

/* 0, or -ENOTEMPTY; w->hit is lost. `marks`: there are whiteouts and the like in its directories. */
long rl_empty(struct rl_walk *w, int *marks);
long rl_dir_remove(const char *real, u32 len, int marks); /* a real directory with nothing but marks, if any */
long rl_bits_below(const char *real, u32 len, u64 fnv); /* Bloom bits of everything in real/, as if at fnv */

/* ---- xattr.c ----------------------------------------------------------------------------------- */

/* x fields for what a real file in the upper could not hold of the lower object's attributes, into
 * out[RL_PATH_MAX]. Length. */
long rl_xattr_fields(struct rl_walk *w, const struct rl_ctx *dir, u32 len, const struct rl_hit *h, char *out);
/* The others, onto the real file itself. */
void rl_xattr_carry(struct rl_walk *w, const struct rl_ctx *dir, u32 len, const struct rl_hit *h, const char *real);

/* ---- pool.c ------------------------------------------------------------------------------------- */

#define RL_BLOCK 57344u
void *rl_take(size_t n); /* not zeroed; NULL: no memory. Cheap up to RL_BLOCK bytes. */
void rl_give(void *p, size_t n);

/* ---- readdir.c --------------------------------------------------------------------------------- */

void rl_quick_begin(int fd); /* a directory has been opened anew: rl_quick_list() has not reached its end */

/* ---- listing.c --------------------------------------------------------------------------------- */

struct rl_list {
    char *buf; /* packed rl_dirent, sorted by off, which is the position after the entry */
    size_t cap, len;
    u32 count;
    int marks; /* there are whiteouts and the like in its directories */
};
long rl_list_build(struct rl_walk *w, struct rl_list *l); /* w->self; without . and .. */
u64 rl_list_position(const char *name, u32 len);

/* ---- viewlist.c -------------------------------------------------------------------------------- */

long rl_list_view(u32 id, struct rl_list *l); /* as rl_list_build(), of a directory that the view alone has */
/* The same, of a few entries, into buf[size], with nothing held. Bytes, or RL_QUICK_NO. */
long rl_list_few(u32 id, char *buf, size_t size);
void rl_list_free(struct rl_list *l);

#endif
