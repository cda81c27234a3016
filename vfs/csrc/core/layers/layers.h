/* The parts of a container: launch file, view, Bloom filters, records, binds.
 *
 * For the files of the core alone. */
#ifndef RL_LAYERS_H
#define RL_LAYERS_H

#include "../base/base.h"

struct rl_walk;
struct rl_ctx;
struct rl_hit;
struct rl_scratch;
struct rl_attr;

/* ---- launch.c ---------------------------------------------------------------------------------- */

struct rl_layer {
    const char *path;
    u32 len;
    u32 flags;
    u32 uid, gid; /* of its objects without a record, if it has marks */
    u64 *bloom; /* the words, or NULL: always read the layer */
    u32 near;   /* mask of a path's first bit */
    u32 tells_moves; /* the filter knows the paths that redirects name */
    u32 opaque;      /* its root is, if it has a filter: from the start, nothing makes it so later */
    u64 dev;
};
struct rl_bind {
    const char *vpath, *host;
    u32 vlen, hlen;
    u32 flags;
    u32 uid, gid, mode;
};
/* Set by rl_core_init(), then only read. */
extern struct rl_layer rl_layers[RL_MAX_DIRS];
extern u32 rl_nlayers;
extern const struct rl_launch_bind *rl_binds;
extern const char *rl_launch_file;
extern int rl_host_layer; /* a layer with the empty path exists */
extern u32 rl_ways; /* bit of the layer that is RL_DIR_WAYS, or 0 */
int rl_writable(void);
u32 rl_tree(u32 layer, const char **path);
struct rl_bind rl_bind(u32 i);
int rl_own_device(u64 dev);
int rl_tree_device(u64 dev); /* may a file on it be one of a view's layers? */
/* `size`: of the part from `offset` on, 0 for the rest of the file; then the mapped size. */
void *rl_map_file(const char *path, u64 offset, u64 *size, int writable);

/* ---- view.c ------------------------------------------------------------------------------------ */

long rl_view_open(const char *path, u64 offset, u64 bytes);
u32 rl_view_find(u32 parent, const char *name, u32 len); /* 0: no such name */
/* The same, if the FNV state of the name is known: it starts at rl_view_hash(parent). */
u32 rl_view_find_hashed(u32 parent, const char *name, u32 len, u64 fnv);
static inline u64 rl_view_hash(u32 parent) { return RL_FNV_START ^ (parent * RL_MIX); }
u32 rl_view_at(const char *path, u32 len);               /* of a path with a slash before each name; 0: none */
const struct rl_view_entry *rl_view_entry(u32 id);       /* NULL: unknown id */
const char *rl_view_text(u32 off, u64 len);              /* NULL: outside the file */
u32 rl_view_count(void);
/* The children of a directory: two runs of ids, the second one of a delta. Leave out what rl_view_hides(). */
struct rl_children {
    u32 first[2], count[2];
};
struct rl_children rl_view_children(u32 id); /* none: an unknown id */
static inline u32 rl_child(const struct rl_children *c, u32 k)
{
    return k < c->count[0] ? c->first[0] + k : c->first[1] + (k - c->count[0]);
}
u32 rl_view_count_children(u32 id);
int rl_view_hides(u32 id); /* the delta hides this entry of its base */
int rl_view_is_of(const u8 *chain_id, const u8 *base); /* as in struct rl_removed_header. There is a view */
long rl_view_path(u32 id, char *out, size_t size);                /* visible path; length */
long rl_view_real(u32 id, char *out, size_t size);                /* path of the hydrated file; length */
u32 rl_view_by_source(u32 layer, const char *path, u32 len);      /* 0: none */

/* ---- removed.c --------------------------------------------------------------------------------- */

extern u64 *rl_removed_bits; /* NULL: there is no map. Set by init, as the next */
extern u32 rl_removed_entries;
void rl_removed_init(void *counts);                       /* the counts in the upper's filter, or NULL */
static inline int rl_removed(u32 id)
{
    return rl_removed_bits && id < rl_removed_entries &&
           __atomic_load_n(&rl_removed_bits[id >> 6], __ATOMIC_ACQUIRE) >> (id & 63) & 1;
}
/* These need a map. */
int rl_removed_set(u32 id); /* 1: it was set */
void rl_removed_clear(u32 id);
void rl_removed_note(void); /* some bit is to be written through */
u32 rl_removed_times(void); /* how often programs have set times */
void rl_removed_timed(void); /* with or without a map: a program has set some */
int rl_removed_all(u32 id); /* have all that the view shows in this directory their bits? */
int rl_removed_mine(void); /* this process has set a bit since the last write-through */
int rl_removed_waits(u32 *noted); /* some bits are to be written through; without a map: none */
/* Of the holder of the upper's lock: the first such bit from `id` on, or 0; it is written; all are, that were noted. */
u32 rl_removed_next(u32 id);
void rl_removed_wrote(u32 id);
int rl_removed_written(u32 id);
void rl_removed_done(u32 noted);

/* ---- bloom.c ----------------------------------------------------------------------------------- */

#define RL_KEY_PATH (-1)
static inline u64 rl_bloom_key(u64 fnv, int kind)
{
    return rl_mix(kind == RL_KEY_PATH ? fnv : rl_fnv_byte(fnv, (char)kind));
}
/* Both bits of a key. */
static inline u32 rl_bloom_first(const struct rl_layer *l, u64 key) { return (u32)key & l->near; }
static inline u32 rl_bloom_second(u64 key) { return (u32)(key >> 32) & ((1u << RL_BLOOM_LOG2) - 1); }
static inline u64 rl_bloom_bit(const struct rl_layer *l, u32 bit)
{
    return __atomic_load_n(&l->bloom[bit >> 6], __ATOMIC_ACQUIRE) >> (bit & 63) & 1;
}
/* 0: proves absence. */
static inline int rl_bloom_test(const struct rl_layer *l, u64 key)
{
    return !l->bloom || (rl_bloom_bit(l, rl_bloom_first(l, key)) && rl_bloom_bit(l, rl_bloom_second(key)));
}
/* 1: the second bit was clear, so no other process has set this key before; 0: one may have. */
int rl_bloom_set(const struct rl_layer *l, u64 key);

/* ---- record.c ---------------------------------------------------------------------------------- */

#define RL_HAS_UID 1u
#define RL_HAS_GID 2u
#define RL_HAS_MODE 4u
#define RL_HAS_DEV 8u
#define RL_HAS_INO 16u
#define RL_HAS_XATTR 32u
#define RL_HAS_REDIRECT 64u
#define RL_HAS_ACL 256u         /* these two follow from the x fields */
#define RL_HAS_DEFAULT_ACL 512u
#define RL_HAS_LINKED 128u /* it is, or (in the text next to a name) refers to, a linked record (linkedrecord.c) */
#define RL_IN_FILE 1024u   /* it is an attribute of the file (recordfile.c) */
#define RL_HAS_ACLS (RL_HAS_ACL | RL_HAS_DEFAULT_ACL)
struct rl_record {
    u32 has;
    u32 uid, gid, mode, major, minor;
    u64 ino, linked;
    u32 xattrs, xattrs_len;     /* offset of the x fields (contiguous) in the text, and their length */
    u32 redirect, redirect_len; /* offset of PATH in the text */
};
long rl_record_parse(const char *text, u32 len, struct rl_record *r);
/* Format r into out[RL_PATH_MAX]; x fields and PATH are copied from `xattrs` and `redirect`. Length, or -ENOSPC if it
 * does not fit. Length 0: nothing to record. */
long rl_record_format(const struct rl_record *r, const char *xattrs, const char *redirect, char *out);

/* ---- recordfile.c ---------------------------------------------------------------------------------- */

static inline int rl_may_be_recorded(const struct rl_layer *l, u64 fnv)
{
    return rl_bloom_test(l, rl_bloom_key(fnv, RL_BLOOM_RECORD));
}
int rl_shared_any(const struct rl_layer *l); /* names may have records without their own bits */
/* Does the upper keep the records of real files of this mode in the files? */
int rl_record_held(u32 real_mode);
/* The record of the object at real[0..len), of the real type `mode`, whose path in the layer has the FNV state `fnv`.
 * Its text: in text[RL_PATH_MAX]. 1; 0: none, `rec` is empty; -EIO. */
long rl_record_read(struct rl_scratch *s, const struct rl_layer *l, u64 fnv, u32 mode, const char *real, u32 len,
                    char *text, struct rl_record *rec);
/* The same of s->real[0..len), which has one, into s->text. Length of the text. */
long rl_record_text(struct rl_scratch *s, const struct rl_layer *l, u32 mode, u32 len);

/* ---- linkedrecord.c ---------------------------------------------------------------------------------- */

struct rl_walk;
long rl_linked_follow(const struct rl_layer *l, long n, char *mark, char *text, struct rl_record *r);
/* These need the lock. */
long rl_linked_store(struct rl_scratch *s, u64 id, const char *text);
long rl_linked_make(struct rl_walk *w, const char *real, u32 len, char *text);
u64 rl_linked_last(const struct rl_walk *w, const char *text);
void rl_linked_drop(struct rl_scratch *s, u64 id);

/* ---- markname.c: names of marks ------------------------------------------------------------------- */

int rl_reserved(const char *name, u32 len);
/* The mark's path for the object at real[0..len) whose name starts at real+name. */
long rl_whiteout_path(char *out, size_t size, const char *real, u32 len);
long rl_record_path(char *out, size_t size, const char *real, u32 len, u32 root_len);
long rl_opaque_path(char *out, size_t size, const char *real, u32 len);
long rl_temp_quiet_path(char *out, size_t size, const char *dir, u32 len); /* in `dir`: core/change/events.c, rule 3 */
long rl_temp_new_path(char *out, size_t size, const char *real, u32 len); /* of a new directory */
long rl_temp_path(char *out, size_t size, const char *real, u32 len);

/* ---- bind.c, proc.c ---------------------------------------------------------------------------- */

void rl_bind_init(void);
extern int rl_shown; /* some bind is RL_BIND_SHOWN */
int rl_shown_bind(const char *name, struct rl_bind *b); /* 1: `name` begins with such a bind's path, without its slash */
u32 rl_shown_prefix(const char *name); /* length of such a bind's path, without its slash, if `name` begins with it */
int rl_bind_hash(u64 hash); /* a mount point's hash is this one */
int rl_bind_at(u64 hash, const char *v, u32 len); /* index or -1 */
long rl_bind_real(const struct rl_walk *w, const struct rl_ctx *c, u32 len, char *out); /* of w->v[0..len) */
int rl_bind_seen(u64 h, const char *v, u32 len, struct rl_ctx *self);
/* The attributes to show for the real file's. `top`: the file is the mount itself, not below it. */
void rl_bind_owner(const struct rl_bind *b, int top, u32 *mode, u32 *uid, u32 *gid);
int rl_bind_device(u64 dev); /* may a file on it be one whose owner is shown differently? */
long rl_bind_status(const struct rl_bind *b, struct statx *sx); /* of the mounted object */
/* The target of the walk's object, which is in a bind, if that is RL_BIND_LINK; or NULL. */
const char *rl_bind_link(const struct rl_walk *w, u32 *len);
long rl_bind_step(struct rl_walk *w, int bind, int mount, u32 len, struct rl_ctx *self, struct rl_hit *hit);
int rl_bind_child(u32 i, const char *v, u32 len, const char **name, u32 *n); /* bind i is mounted in this directory */
int rl_bind_in(const char *v, u32 len); /* some bind is mounted in this directory */
int rl_bind_may_be_in(u64 hash);        /* 0: none is */
int rl_read_only(const struct rl_ctx *dir);
int rl_bind_below(const char *v, u32 len); /* a bind's mount point is this path or below it */
/* The target of the link at w->v[0..len) as the program sees it, into w->s->mark. Length; -ENOLINK: only the kernel can
 * follow it. */
long rl_proc_link(struct rl_walk *w, u32 len);
long rl_proc_target(struct rl_walk *w, u32 len); /* the same, to continue; only the kernel finds nameless objects */
int rl_proc_magic(const struct rl_walk *w, const struct rl_ctx *c, u32 len);
int rl_proc_maps(const struct rl_walk *w); /* the walk's object is a process's maps or smaps */

/* Is it a process's status file? Then the process's ID. */
int rl_proc_status(const struct rl_walk *w, u64 *pid);

/* ---- hydrate.c --------------------------------------------------------------------------------- */

long rl_hydrate(u32 id);
/* The content of an entry, and of others, as items into out[size]. Bytes; 0: it was hydrated in its place. */
long rl_hydrator_content(u32 id, char *out, u32 size);
/* Open a view entry's real path, if it is hydrated. */
long rl_view_open_there(struct rl_walk *w, u32 id, char *real, int flags);
/* Run open(2) on a view entry's real path; request it from the hydrator if it is missing. */
long rl_view_openfd(struct rl_walk *w, u32 id, char *real, int flags);
/* As rl_view_real(), whatever its length is; it may begin at a descriptor that the walk holds. */
long rl_walk_view_real(struct rl_walk *w, u32 id, char *out);
/* The real path of the walk's object (of a view entry: hydrated). Length. */
long rl_object_real(struct rl_walk *w, char *out);

/* ---- sentcontent.c ----------------------------------------------------------------------------- */

void rl_content_init(void);
/* Write the content of a view entry of this size to the new file `to`, from what the hydrator sent; `ask`: send a
 * request first. RL_MISS: it is not there, and nothing was written. */
long rl_content_write(u32 id, u64 size, long to, int ask);

long rl_resolve_directory(struct rl_walk *w, const char *path); /* a directory that may be entered: -ENOTDIR, -EACCES */
/* The real path of the walk's directory; its descriptor leads back to w->v. Length. */
long rl_dir_real(struct rl_walk *w, char *out);

#endif
