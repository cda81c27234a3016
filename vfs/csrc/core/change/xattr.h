/* Extended attributes as text and tables: declarations shared by xattr.c and its table files. */
#ifndef RL_XATTR_H
#define RL_XATTR_H

#include "../internal.h"

#define RL_XATTR_NAME 255
#define RL_XATTR_VALUE 65536
#define RL_XATTR_ACL "system.posix_acl_access"
#define RL_XATTR_DEFAULT_ACL "system.posix_acl_default"
#define XATTR_CREATE_ 1
#define XATTR_REPLACE_ 2

struct rl_xattr {
    const char *name, *value;
    u32 name_len, value_len;
};
static inline int rl_xattr_ours(const char *name) { return rl_begins(name, RL_XATTR_OWN); }
static inline int rl_xattr_user(const char *name) { return rl_begins(name, "user."); }
long rl_xattr_bad_name(const char *name); /* 0, or -errno of a name that no file can have */
int rl_xattr_readable(const char *name); /* programs may know of it */
/* The object of a call. Like rl_object(), but reading is allowed everywhere. */
long rl_xattr_object(struct rl_walk *w, int fd, const char *path, int flags);
int rl_xattr_in_volume(const struct rl_walk *w); /* its ACLs are recorded: those of real files name users of the host */
/* The x fields of an object of a marked layer, in w->s->text. */
long rl_xattr_recorded(struct rl_walk *w, const char **from, const char **end);
/* Does a real file of this type hold this attribute? */
static inline int rl_xattr_real(const char *name, u32 mode)
{
    return rl_xattr_user(name) && (rl_isreg(mode) || rl_isdir(mode));
}
/* A layer whose records are used. */
static inline int rl_xattr_marked(const struct rl_hit *h)
{
    return h->what == RL_IN_LAYER && (rl_layers[h->layer].flags & RL_DIR_MARKS);
}
/* The next attribute of a view entry; *at starts at 0. 0: no more. */
int rl_xattr_next(const struct rl_view_entry *e, u32 *at, struct rl_xattr *p);
char *rl_hex_put(char *p, const char *bytes, u32 n);
/* Hex up to `end`; bytes, or -1. */
long rl_hex_get(const char *p, const char *end, char *out, u32 size);
long rl_list_shown(char *list, long bytes); /* leave out the names that are ours; the bytes of the others */
/* The x field that starts at p: the positions of its = and of its end. */
const char *rl_field_end(const char *p, const char *end, const char **equals);
/* The value's hex, up to *until, of the x field of this name among p..end; NULL: there is none. */
const char *rl_field_find(const char *p, const char *end, const char *name, const char **until);
/* The record's x fields without `name`, into out[RL_PATH_MAX]. Length; *had: it was present. */
u32 rl_fields_without(const char *text, const struct rl_record *rec, const char *name, char *out, int *had);
/* Append an x field to out[*at], RL_PATH_MAX long. 0 or -ENOSPC. */
long rl_field_put(char *out, u32 *at, const struct rl_xattr *p);

#endif
