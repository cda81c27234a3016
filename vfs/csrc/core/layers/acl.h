/* POSIX ACLs, in the form of the attributes system.posix_acl_* (acl(5); the kernel's struct posix_acl_xattr_header). */
#ifndef RL_ACL_H
#define RL_ACL_H

#include "layers.h"

#define RL_ACL_VERSION 2
#define RL_ACL_USER_OBJ 0x01
#define RL_ACL_USER 0x02
#define RL_ACL_GROUP_OBJ 0x04
#define RL_ACL_GROUP 0x08
#define RL_ACL_MASK 0x10
#define RL_ACL_OTHER 0x20
#define RL_ACL_NO_ID 0xffffffffu

struct rl_acl_entry {
    u16 tag, perm;
    u32 id;
};
#define RL_ACL_ENTRIES 252u /* more do not fit into a record */
struct rl_acl {
    u32 n;
    u32 version; /* the attribute's value begins here */
    struct rl_acl_entry entry[RL_ACL_ENTRIES];
};
static inline u32 rl_acl_bytes(const struct rl_acl *a) { return 4 + 8 * a->n; }

/* Is it the name of one? */
int rl_acl_name(const char *name);
/* A value, which may be in *out already, that is syntactically right, as the kernel checks it. Number of entries; -EINVAL, -EOPNOTSUPP, -ENOSPC. */
long rl_acl_parse(const void *value, u32 size, struct rl_acl *out);
int rl_acl_valid(const struct rl_acl *a); /* its entries are in order and complete */
/* Put its permissions for owner, group and others into *mode. 1: there are more. */
int rl_acl_equiv(const struct rl_acl *a, u32 *mode);
void rl_acl_chmod(struct rl_acl *a, u32 mode);
/* A directory's default ACL becomes the access ACL of a new object: both keep the permissions that are in both.
 * Returns as rl_acl_equiv(). */
int rl_acl_create(struct rl_acl *a, u32 *mode);

/* The one of this name among the x fields p[0..n) or a view entry's attributes. 0: it has none that is valid. */
int rl_acl_of_fields(const char *p, u32 n, const char *name, struct rl_acl *out);
int rl_acl_of_entry(const struct rl_view_entry *e, const char *name, struct rl_acl *out);

int rl_acl_in_entry(const struct rl_view_entry *e); /* it has an access ACL, valid or not */

/* Set the hit's acl, acl_may and acl_real, from the text of its record or from its view entry. */
void rl_acl_judge(struct rl_hit *h, const char *text);
void rl_acl_judge_view(const struct rl_view_entry *e, struct rl_hit *h);

#endif
