/* POSIX ACLs: their rules, which are the kernel's (acl(5)). They are kept as x fields of records.
 *
 * What an access ACL permits is decided when its object is looked up, while the text of the record is at hand. It
 * depends on all requested permissions together (one group entry has to have them all), so it is a bit for each of the
 * eight combinations. */
#include "../internal.h"
#include "../change/xattr.h"
#include "acl.h"

int rl_acl_name(const char *name)
{
    return rl_same(name, RL_XATTR_ACL) || rl_same(name, RL_XATTR_DEFAULT_ACL);
}

long rl_acl_parse(const void *value, u32 size, struct rl_acl *out)
{
    const u8 *from = value;
    if (size < 4)
        return -EINVAL;
    memmove(&out->version, from, 4);
    if (out->version != RL_ACL_VERSION)
        return -EOPNOTSUPP;
    out->n = (size - 4) / 8;
    if ((size - 4) % 8)
        return -EINVAL;
    if (out->n > RL_ACL_ENTRIES)
        return -ENOSPC;
    memmove(out->entry, from + 4, size - 4);
    for (u32 i = 0; i < out->n; i++) {
        struct rl_acl_entry *e = &out->entry[i];
        u32 tag = e->tag;
        if (!tag || tag > RL_ACL_OTHER || (tag & (tag - 1)))
            return -EINVAL;
        if (tag != RL_ACL_USER && tag != RL_ACL_GROUP)
            e->id = RL_ACL_NO_ID;
    }
    return (long)out->n;
}

int rl_acl_valid(const struct rl_acl *a)
{
    u32 next = RL_ACL_USER_OBJ, named = 0;
    for (u32 i = 0; i < a->n; i++) {
        u32 tag = a->entry[i].tag;
        int is_named = tag == RL_ACL_USER || tag == RL_ACL_GROUP;
        if (a->entry[i].perm & ~7u || (is_named && a->entry[i].id == RL_ACL_NO_ID))
            return 0;
        named |= (u32)is_named;
        if (tag == RL_ACL_USER_OBJ && next == tag)
            next = RL_ACL_USER;
        else if (tag == RL_ACL_GROUP_OBJ && next == RL_ACL_USER)
            next = RL_ACL_GROUP;
        else if (tag == RL_ACL_MASK && next == RL_ACL_GROUP)
            next = RL_ACL_OTHER;
        else if (tag == RL_ACL_OTHER && (next == tag || (next == RL_ACL_GROUP && !named)))
            next = 0;
        else if (!is_named || next != tag)
            return 0;
    }
    return !next;
}

/* The entry that the group's bits of the mode are, of a valid ACL. */
static struct rl_acl_entry *group_of(struct rl_acl *a)
{
    struct rl_acl_entry *group = a->entry;
    for (u32 i = 0; i < a->n; i++)
        if (a->entry[i].tag == RL_ACL_GROUP_OBJ || a->entry[i].tag == RL_ACL_MASK)
            group = &a->entry[i];
    return group;
}

int rl_acl_equiv(const struct rl_acl *a, u32 *mode)
{
    *mode = (*mode & ~0777u) | a->entry[0].perm << 6 | group_of((struct rl_acl *)a)->perm << 3 | a->entry[a->n - 1].perm;
    return a->n > 3;
}

void rl_acl_chmod(struct rl_acl *a, u32 mode)
{
    a->entry[0].perm = mode >> 6 & 7;
    group_of(a)->perm = mode >> 3 & 7;
    a->entry[a->n - 1].perm = mode & 7;
}

int rl_acl_create(struct rl_acl *a, u32 *mode)
{
    u32 both = *mode;
    rl_acl_equiv(a, &both);
    *mode &= both;
    rl_acl_chmod(a, *mode);
    return a->n > 3;
}

static int right(long n, const struct rl_acl *a)
{
    return n > 0 && rl_acl_valid(a);
}

int rl_acl_of_fields(const char *p, u32 n, const char *name, struct rl_acl *out)
{
    const char *end, *hex = rl_field_find(p, p + n, name, &end);
    long size = hex ? rl_hex_get(hex, end, (char *)&out->version, 4 + sizeof out->entry) : -1;
    return size >= 0 && right(rl_acl_parse(&out->version, (u32)size, out), out);
}

int rl_acl_of_entry(const struct rl_view_entry *e, const char *name, struct rl_acl *out)
{
    struct rl_xattr p;
    u32 n = (u32)strlen(name);
    for (u32 at = 0; rl_xattr_next(e, &at, &p);)
        if (p.name_len == n && !memcmp(p.name, name, n))
            return right(rl_acl_parse(p.value, p.value_len, out), out);
    return 0;
}

static int in_entry(const struct rl_view_entry *e, const char *name)
{
    struct rl_xattr p;
    u32 n = (u32)strlen(name);
    for (u32 at = 0; rl_xattr_next(e, &at, &p);)
        if (p.name_len == n && !memcmp(p.name, name, n))
            return 1;
    return 0;
}

int rl_acl_in_entry(const struct rl_view_entry *e)
{
    return in_entry(e, RL_XATTR_ACL);
}

/* The combinations that `perm` covers. */
static u32 covered(u32 perm)
{
    u32 bits = 0;
    for (u32 want = 0; want < 8; want++)
        bits |= (want & ~perm ? 0u : 1u) << want;
    return bits;
}

/* For any user except the owner and root. */
static u8 permits(const struct rl_acl *a, u32 file_gid, u32 uid, u32 gid)
{
    u32 mask = 7, groups = 0;
    int member = 0;
    for (u32 i = 0; i < a->n; i++)
        mask = a->entry[i].tag == RL_ACL_MASK ? a->entry[i].perm : mask;
    for (u32 i = 0; i < a->n; i++) {
        const struct rl_acl_entry *e = &a->entry[i];
        if (e->tag == RL_ACL_USER && e->id == uid)
            return (u8)covered(e->perm & mask);
        if ((e->tag == RL_ACL_GROUP_OBJ && rl_is_member(file_gid, gid)) || (e->tag == RL_ACL_GROUP && rl_is_member(e->id, gid))) {
            member = 1;
            groups |= covered(e->perm & mask);
        }
    }
    return (u8)(member ? groups : covered(a->entry[a->n - 1].perm));
}

/* Without memory, the ACL grants nothing. */
static void judge(struct rl_hit *h, const struct rl_acl *a)
{
    h->acl |= RL_ACL_ACCESS;
    h->acl_may = a ? permits(a, h->gid, rl_me.fsuid, rl_me.fsgid) : 0;
    h->acl_real = a ? permits(a, h->gid, rl_me.uid, rl_me.gid) : 0;
}

void rl_acl_judge(struct rl_hit *h, const char *text)
{
    const char *fields = text + h->rec.xattrs;
    if ((h->rec.has & RL_HAS_DEFAULT_ACL) && rl_isdir(h->mode))
        h->acl |= RL_ACL_DEFAULT;
    if (!(h->rec.has & RL_HAS_ACL))
        return;
    struct rl_acl *a = rl_scratch_get(sizeof *a); /* the walk's callers have large frames */
    if (!a || rl_acl_of_fields(fields, h->rec.xattrs_len, RL_XATTR_ACL, a))
        judge(h, a);
    if (a)
        rl_scratch_put(a, sizeof *a);
}

void rl_acl_judge_view(const struct rl_view_entry *e, struct rl_hit *h)
{
    if (!in_entry(e, RL_XATTR_ACL) && !(rl_isdir(h->mode) && in_entry(e, RL_XATTR_DEFAULT_ACL)))
        return;
    struct rl_acl *a = rl_scratch_get(sizeof *a);
    if (a && rl_isdir(h->mode) && rl_acl_of_entry(e, RL_XATTR_DEFAULT_ACL, a))
        h->acl |= RL_ACL_DEFAULT;
    if (!a || rl_acl_of_entry(e, RL_XATTR_ACL, a))
        judge(h, a);
    if (a)
        rl_scratch_put(a, sizeof *a);
}
