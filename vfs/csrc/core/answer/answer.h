/* Read-only calls: stat, open, listings, handles. For the files of the core alone. */
#ifndef RL_ANSWER_H
#define RL_ANSWER_H

#include "../walk/walk.h"

/* ---- permission.c ------------------------------------------------------------------------------------ */

int rl_in_group(u32 gid);
int rl_is_member(u32 gid, u32 main); /* of a user with this main group */
long rl_permit(u32 mode, u32 uid, u32 gid, u32 want, int real_ids);
/* The same, and what an ACL grants. */
long rl_hit_permit(const struct rl_hit *h, u32 want, int real_ids);
long rl_dir_permit(const struct rl_ctx *c, u32 want);
/* For the fast path; RL_MISS: an ACL decides. */
long rl_entry_permit_acl(const struct rl_view_entry *e, u32 want, int real_ids);
/* Nearly all entries have no attributes. */
static inline long rl_entry_permit(const struct rl_view_entry *e, u32 want, int real_ids)
{
    return e->xattrs_len ? rl_entry_permit_acl(e, want, real_ids) : rl_permit(e->mode, e->uid, e->gid, want, real_ids);
}
long rl_may(const struct rl_hit *h, u32 want);
long rl_root_mode(struct rl_walk *w);
/* Add or remove a name in w->dir. With `victim`: the sticky bit is honoured for w->hit. */
long rl_may_change(struct rl_walk *w, int victim);

/* ---- attr.c ------------------------------------------------------------------------------------ */

void rl_attr_of(const struct rl_ctx *self, const struct rl_hit *h, struct rl_attr *a);
void rl_attr_view(u32 id, struct rl_attr *a); /* of an entry that nothing above it covers */
void rl_attr_real(const struct statx *sx, struct rl_attr *a);
void rl_attr_plain(const struct statx *sx, struct rl_attr *a); /* of an object of the upper without a record, not merged */
u64 rl_ino_of(const struct rl_ctx *self, const struct rl_hit *h);

/* ---- readdir.c --------------------------------------------------------------------------------- */

void rl_fast_list_begin(int fd); /* a directory has been opened again: rl_fast_list() has not reached its end */

/* ---- listing.c --------------------------------------------------------------------------------- */

struct rl_list {
    char *buf; /* packed rl_dirent, sorted by off, which is the position after the entry */
    size_t cap, len;
    u32 count;
    int marks; /* its directories contain whiteouts or other marks */
};
long rl_list_build(struct rl_walk *w, struct rl_list *l); /* w->self; without . and .. */
u64 rl_list_position(const char *name, u32 len);

/* ---- viewlist.c -------------------------------------------------------------------------------- */

long rl_list_view(u32 id, struct rl_list *l); /* like rl_list_build(), for a directory that only the view has */
/* The same for a directory with few entries, into buf[size], with nothing held. Bytes, or RL_MISS. */
long rl_list_few(u32 id, char *buf, size_t size);
void rl_list_free(struct rl_list *l);
#define RL_LIST_END ((i64)1 << 34) /* the position after the last entry; see POSITION_BITS in listing.c */
/* Copy the part of a list that fits, from *pos on, into buf from `at` on (readdir.c). */
long rl_list_deliver(const struct rl_list *l, char *buf, size_t size, size_t at, i64 *pos);

/* ---- listslots.c ----------------------------------------------------------------------------------- */

long rl_list_from_slot(int fd, u64 hash, char *buf, size_t size, i64 *pos); /* -ENOENT: it was not kept */
void rl_list_to_slot(int fd, u64 hash, struct rl_list *l);                  /* the slot owns it from now on */

long rl_open_device(const struct rl_walk *w, struct rl_open *o); /* device.c */

#endif
