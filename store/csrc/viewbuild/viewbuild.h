/* Merge layer indexes into one view (docs/format.md sections 1, 4 and 5).
 *
 * 1. No Python, no global state, no output, no recursion.
 * 2. Records are read from a file that may be damaged: record.c checks every length before any other code reads a
 *    record, and an accepted record is safe to read without further checks.
 * 3. A function returns 0, or a negative VB_ code after filling the error; after an error the merge can only be passed
 *    to vb_free.
 * 4. Names form one tree of dentries that are never freed and never move; a name that a layer hides becomes
 *    absent (inode 0). Content is an inode: a record of some layer, shared by all its hard links.
 */
#ifndef RL_VIEWBUILD_H
#define RL_VIEWBUILD_H

#include <stdbool.h>

#include "../abi.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the native view is written as structures of a little endian machine"
#endif

#define VB_CORRUPT (-1) /* not a layer index; the message says why */
#define VB_MISSING (-2) /* a hard link to nothing, or to a directory */
#define VB_MEMORY (-3)
#define VB_TOO_BIG (-4) /* does not fit the format's 32-bit numbers */
#define VB_WHOLE (-5)   /* no delta can say it: the whole view must be built */

#define VB_HEAD 64u /* bytes of an entry before its variable parts */
#define VB_IMPLICIT 1u
#define VB_OPAQUE 2u
#define VB_REPLACES 4u
#define VB_SPARSE 8u
#define VB_ROOT 1u /* dentry of the root; 0 is no dentry */

struct vb_error {
    const char *message; /* static string */
    u32 layer;           /* base layer is 0 */
    u64 record;          /* VB_CORRUPT: number of the record inside the layer */
    char *path;          /* VB_MISSING: the hard link and its target, absolute; freed by vb_free */
    size_t path_len;
    const char *target; /* points into a record */
    size_t target_len;
};

/* ---- arena.c: memory that is freed all at once ------------------------------------------------------ */

#define VB_CHUNK_BYTES (4u << 20)
#define VB_CHUNK_ALIGN 65536u /* the largest page */
struct vb_arena {
    struct vb_chunk *head;
    size_t used;
    size_t chunk_bytes; /* 0: VB_CHUNK_BYTES */
    int file;           /* with `opened`: for full chunks, closed by vb_arena_free */
    bool opened, has_file;
    u64 in_file; /* bytes */
};
void vb_arena_forget(struct vb_arena *a); /* what is in the file leaves memory; it is read again when it is used */
void *vb_alloc(struct vb_arena *a, size_t size); /* not zeroed, not aligned; NULL when out of memory */
void vb_arena_free(struct vb_arena *a);
/* Make room for element `count` of a growing array; false when out of memory. */
bool vb_grow(void *array, size_t *capacity, size_t count, size_t element);

/* ---- record.c: one checked entry of a layer index --------------------------------------------------- */

struct vb_record {
    const u8 *name;
    const u8 *value; /* the entry in its stored form */
    u32 value_len;
    u32 parent; /* layer's ids */
    u32 id, ino;
    u32 link_len;
    u16 name_len;
    u8 type, flags;
};
/* Check key and value and fill `out`, whose pointers point into them. Returns NULL or an error message. */
const char *vb_parse(const u8 *key, size_t key_len, const u8 *value, size_t value_len, struct vb_record *out);

static inline u16 vb_u16(const u8 *p) { return (u16)(p[0] | p[1] << 8); }
static inline u32 vb_u32(const u8 *p)
{
    return (u32)p[0] | (u32)p[1] << 8 | (u32)p[2] << 16 | (u32)p[3] << 24;
}
static inline u64 vb_u64(const u8 *p) { return vb_u32(p) | (u64)vb_u32(p + 4) << 32; }
static inline void vb_put32(u8 *p, u32 v)
{
    p[0] = (u8)v;
    p[1] = (u8)(v >> 8);
    p[2] = (u8)(v >> 16);
    p[3] = (u8)(v >> 24);
}
static inline void vb_put64(u8 *p, u64 v)
{
    vb_put32(p, (u32)v);
    vb_put32(p + 4, (u32)(v >> 32));
}

/* A record of the current layer: its bytes are in the arena. */
struct vb_slot {
    const u8 *bytes; /* as vb_pack has written it */
    u32 dentry;      /* where merge.c put it, 0: nowhere */
    u32 inode;       /* its target there, 0: not known yet */
};

/* The records of the current layer in one directory: they follow each other. */
struct vb_group {
    u32 parent;
    u32 first; /* slot */
};
size_t vb_packed_size(const struct vb_record *r);
void vb_pack(const struct vb_record *r, u8 *out);
struct vb_record vb_unpack(const u8 *bytes);

/* ---- tree.c: the merged state ----------------------------------------------------------------------- */

#define VB_PACKED __attribute__((packed, aligned(4))) /* a million of each are in memory */
#define VB_LAYERS_MAX ((1u << 22) - 1)

struct VB_PACKED vb_inode {
    const u8 *value; /* the record that describes it; for a directory the last explicit one */
    u32 value_len;
    u32 layer : 22;
    u32 type : 8;
    u32 synthetic : 1; /* the root before any layer has described it */
    u32 of_base : 1;
    u32 home;  /* dentry whose path is the path in the layer's tree */
    u32 nlink; /* emit.c: names in the view */
    u32 id;    /* emit.c: the first of them */
};

/* Numbers that emit.c and delta.c need take the place of what only a merge needs. */
struct VB_PACKED vb_dentry {
    const u8 *name;
    u32 parent;
    u32 inode; /* 0: absent */
    u32 child; /* a present child */
    union {
        u32 hash;
        u32 id; /* own */
    };
    union {
        u32 next;  /* of the present children of its parent, in no order */
        u32 first; /* id of the first child, after the children of its parent have been listed */
    };
    union {
        u32 prev;
        u32 count; /* of children, with `first` */
    };
    u16 path_len; /* of the absolute path; 0 for the root */
    u16 name_len;
};

/* What a dentry is in the base, and what the layers changed. Only with a base: a whole merge needs the memory. */
struct vb_over {
    u32 id;     /* 0: the base has no such name */
    i32 links;  /* delta.c: subdirectories more than the base shows through */
    bool lower; /* a directory whose children in the base show through */
    bool told;  /* delta.c: the delta has an entry for it */
};

struct vb_base;
struct vb_merge {
    struct vb_arena arena;
    struct vb_dentry *dentry;
    size_t dentries, dentry_cap;
    struct vb_inode *inode;
    size_t inodes, inode_cap;
    struct vb_over *over; /* of dentries; NULL without a base */
    size_t over_cap;
    u32 *bucket; /* of dentries, by parent and name */
    size_t buckets;
    struct vb_slot *slot; /* of the current layer */
    size_t records, slot_cap;
    struct vb_group *group;
    size_t groups, group_cap;
    u32 *order; /* emit.c: dentry of each id */
    u32 entries; /* emit.c: entry 0 included; 0 before vb_number */
    u64 strings; /* emit.c: bytes of the string table */
    struct vb_base *base; /* base.c: the view below, NULL: none */
    u32 changed; /* delta.c: rows with an id of the base; the others are added */
    int failed;  /* base.c: a code that vb_apply will return */
    u32 layers;
    struct vb_error error;
};

int vb_init(struct vb_merge *m);
/* Use this file, which becomes the merge's, for what has left memory. */
void vb_use_file(struct vb_merge *m, int fd, size_t chunk_bytes);
void vb_free(struct vb_merge *m);
void vb_end_layers(struct vb_merge *m); /* before the entries are numbered: nothing can be looked up any more */
int vb_fail(struct vb_merge *m, int code, const char *message);
/* May be absent; 0: never named, or out of memory, or VB_WHOLE: m->failed. */
u32 vb_find(struct vb_merge *m, u32 parent, const u8 *name, size_t len);
u32 vb_name(struct vb_merge *m, u32 parent, const u8 *name, size_t len);       /* 0: out of memory */
u32 vb_new_name(struct vb_merge *m, u32 parent, const u8 *name, size_t len);   /* of a name that is not there */
u32 vb_new_inode(struct vb_merge *m, const struct vb_record *r, u32 home);     /* 0: out of memory */
void vb_set(struct vb_merge *m, u32 dentry, u32 inode); /* present with this inode; children stay */
void vb_clear(struct vb_merge *m, u32 dentry);          /* absent, with everything below */
void vb_clear_children(struct vb_merge *m, u32 dentry);
/* Write the absolute path, path_len bytes; nothing for the root. */
void vb_path(const struct vb_merge *m, u32 dentry, char *out);
static inline bool vb_is_dir(const struct vb_merge *m, u32 dentry)
{
    u32 inode = m->dentry[dentry].inode;
    return inode && m->inode[inode].type == 'd';
}

/* ---- merge.c, hardlink.c: one layer on top ---------------------------------------------------------- */

/* Add one record of the current layer, in key order; key and value are copied. */
int vb_add(struct vb_merge *m, const u8 *key, size_t key_len, const u8 *value, size_t value_len);
/* Apply the records added since the last call as the next layer. */
int vb_apply(struct vb_merge *m);
/* The target of the hard link `r` in the present state: an inode, or 0. */
u32 vb_link_target(struct vb_merge *m, const struct vb_record *r);

/* ---- base.c: a merge on top of a finished view ------------------------------------------------------- */

/* A native view, mapped. */
struct vb_base {
    const u8 *bytes;
    size_t size;
    struct rl_view_header head;
    u32 *hidden; /* a bit for each entry that the layers hide */
};
/* Use the view in `fd` as what the layers below the first one have made. Call right after vb_init. */
int vb_open_base(struct vb_merge *m, int fd);
void vb_close_base(struct vb_merge *m);
static inline u32 vb_mark(u32 id) { return 1u << (id & 31); }
/* Make the dentry of a name that the base has, and no layer has touched; 0: it has none, or m->failed. */
u32 vb_from_base(struct vb_merge *m, u32 parent, const u8 *name, size_t len);
u32 vb_hidden_id(struct vb_merge *m, u32 parent, const u8 *name, size_t len); /* that the name had; 0: none */
void vb_show(struct vb_merge *m, u32 dentry);      /* after it became present */
void vb_hide(struct vb_merge *m, u32 id);          /* and everything below */
void vb_hide_children(struct vb_merge *m, u32 id);
struct rl_view_entry vb_base_entry(const struct vb_base *b, u32 id); /* zeros: no such entry */

/* ---- delta.c: the result on top of a base ------------------------------------------------------------ */

/* Give the added names their ids. Then order[1 … entries - 1] are the changed and the added names, in the order of the
 * keys of the LMDB form. Call once, after the last layer, in place of vb_number. */
int vb_number_delta(struct vb_merge *m);
u64 vb_delta_size(const struct vb_merge *m);
void vb_delta(const struct vb_merge *m, const u8 chain_id[32], u8 *out);

/* ---- emit.c: the result ------------------------------------------------------------------------------ */

/* Give every present name its id. Call once, after the last layer. */
int vb_number(struct vb_merge *m);
/* The native form, in pieces that follow each other in the file: header and buckets; entry 0 (zeros) and the
 * entries; the string of offset 0 (a NUL) and the strings of all entries. `end`: the offset of the next string, 1
 * for entry 1. */
u64 vb_native_head_size(const struct vb_merge *m);
void vb_native_head(struct vb_merge *m, const u8 chain_id[32], u8 *out);
u32 vb_native_entries(const struct vb_merge *m, u32 first, u32 count, u32 end, u8 *out);
u64 vb_native_strings_size(const struct vb_merge *m, u32 first, u32 count);
void vb_native_strings(const struct vb_merge *m, u32 first, u32 count, u8 *out);
struct vb_sibling { /* for sorting by name */
    const u8 *name;
    u32 dentry;
    u16 name_len;
};
int vb_by_name(const void *left, const void *right);
/* The children of a directory that get a new id, sorted: with a base, those that it does not have. false: no memory. */
bool vb_new_children(const struct vb_merge *m, u32 dentry, struct vb_sibling **siblings, size_t *capacity, size_t *count);
/* The native entry of a present name; its strings begin at *end, which moves behind them. Then these strings; without
 * the name if the entry needs none. */
void vb_native_entry(const struct vb_merge *m, const struct vb_dentry *d, bool with_name, u32 *end,
                     struct rl_view_entry *e);
u8 *vb_put_strings(const struct vb_merge *m, const struct vb_dentry *d, bool with_name, u8 *out);
size_t vb_string_bytes(const struct vb_merge *m, const struct vb_dentry *d, bool with_name);
/* Key and value of the view record of order[id], as section 4 defines them. */
size_t vb_key_size(const struct vb_merge *m, u32 id);
void vb_key(const struct vb_merge *m, u32 id, u8 *out);
size_t vb_value_size(const struct vb_merge *m, u32 id);
void vb_value(const struct vb_merge *m, u32 id, u8 *out);

/* ---- lookup.c: reading a native view ------------------------------------------------------------------ */

u64 vb_hash(u32 parent, const u8 *name, size_t len);
/* Entry id, 0 when it does not exist, or -1 when this is not a native view. Safe on any bytes. */
i64 vb_lookup(const u8 *view, size_t size, u32 parent, const u8 *name, size_t len);
bool vb_valid_header(const struct rl_view_header *h, size_t size);

#endif
