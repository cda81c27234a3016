/* Changes of ACLs, and the ACLs of new objects, as the kernel makes them. */
#include "../internal.h"
#include "../layers/acl.h"
#include "xattr.h"

/* ---- new objects ---------------------------------------------------------------------------------- */

/* The default ACL of the directory w->dir. A process may have removed it meanwhile: 0. */
static int default_of(struct rl_walk *w, struct rl_acl *out)
{
    struct rl_scratch *s = w->s;
    const struct rl_ctx *d = &w->dir;
    struct rl_record rec;
    if (d->bind >= 0)
        return rl_volume_default(w, out);
    long n = rl_upper_path(w, d->vlen, s->real);
    long r = n < 0 ? n : rl_record_read(s, &rl_layers[0], d->hash, S_IFDIR, s->real, (u32)n, s->text, &rec);
    if (r > 0 && (rec.has & RL_HAS_DEFAULT_ACL))
        return rl_acl_of_fields(s->text + rec.xattrs, rec.xattrs_len, RL_XATTR_DEFAULT_ACL, out);
    return !d->vlen && d->view && rl_acl_of_entry(rl_view_entry(d->view), RL_XATTR_DEFAULT_ACL, out);
}

__attribute__((noinline)) int rl_inherited_mode(struct rl_walk *w, u32 *mode)
{
    struct rl_acl a;
    if (!default_of(w, &a)) {
        *mode &= ~rl_me.umask;
        return 0;
    }
    return rl_acl_create(&a, mode) | rl_isdir(*mode);
}

static long put(char *out, u32 *n, const char *name, const struct rl_acl *a)
{
    struct rl_xattr p = {name, (const char *)&a->version, (u32)strlen(name), rl_acl_bytes(a)};
    return rl_field_put(out, n, &p);
}

long rl_inherited_fields(struct rl_walk *w, u32 mode, char *out)
{
    struct rl_acl a;
    u32 n = 0;
    long r = 0;
    if (!default_of(w, &a))
        return 0;
    if (rl_isdir(mode))
        r = put(out, &n, RL_XATTR_DEFAULT_ACL, &a);
    if (r >= 0 && rl_acl_create(&a, &mode))
        r = put(out, &n, RL_XATTR_ACL, &a);
    return r < 0 ? r : (long)n;
}

__attribute__((noinline)) long rl_inherited_record(struct rl_walk *w, const struct rl_owner *o, struct rl_record *rec,
                                                   char *text)
{
    char fields[RL_PATH_MAX];
    long n = rl_inherited_fields(w, o->mode, fields);
    if (n < 0)
        return n;
    rec->has |= n ? RL_HAS_XATTR : 0;
    rec->xattrs_len = (u32)n;
    return rl_record_format(rec, fields, "", text);
}

/* ---- changes ---------------------------------------------------------------------------------------- */

long rl_acl_fields(const char *text, const struct rl_record *rec, u32 mode, const struct rl_xattr *acl, char *out, u32 *n)
{
    struct rl_acl a;
    int had;
    out[0] = 0;
    *n = rl_fields_without(text, rec, acl ? acl->name : RL_XATTR_ACL, out, &had);
    if (acl)
        return acl->value ? rl_field_put(out, n, acl) : 0;
    if (!rl_acl_of_fields(text + rec->xattrs, rec->xattrs_len, RL_XATTR_ACL, &a))
        return 0;
    rl_acl_chmod(&a, mode);
    return put(out, n, RL_XATTR_ACL, &a);
}

__attribute__((noinline)) long rl_acl_store(struct rl_walk *w, struct rl_edit *e, u32 mode, const struct rl_xattr *acl)
{
    char fields[RL_PATH_MAX];
    u32 n;
    long r = rl_acl_fields(e->text, &e->rec, mode, acl, fields, &n);
    return r < 0 ? r : rl_edit_store(w, e, fields, n);
}

/* Steps and errors in the kernel's order. */
long rl_acl_check(const struct rl_hit *h, const struct rl_xattr *acl, struct rl_acl *a, struct rl_xattr *new)
{
    long r = acl->value && acl->value_len ? rl_acl_parse(acl->value, acl->value_len, a) : 0;
    if (r < 0)
        return r;
    *new = (struct rl_xattr){acl->name, NULL, acl->name_len, 0};
    if (r > 0)
        *new = (struct rl_xattr){acl->name, (const char *)&a->version, acl->name_len, rl_acl_bytes(a)};
    if (rl_islnk(h->mode))
        return -EOPNOTSUPP;
    if (!rl_isdir(h->mode) && rl_same(acl->name, RL_XATTR_DEFAULT_ACL))
        return new->value ? -EACCES : 0;
    if (rl_may_own(h) < 0)
        return -EPERM;
    if (new->value && !rl_acl_valid(a))
        return -EINVAL;
    return 1;
}

void rl_acl_mode(const struct rl_acl *a, struct rl_xattr *new, struct rl_owner *o)
{
    if (!new->value || !rl_same(new->name, RL_XATTR_ACL))
        return;
    if (!rl_acl_equiv(a, &o->mode))
        new->value = NULL; /* the mode has it all */
    if (rl_me.fsuid && !rl_in_group(o->gid))
        o->mode &= ~(u32)S_ISGID;
}

__attribute__((noinline)) long rl_acl_set(struct rl_walk *w, const struct rl_xattr *acl)
{
    struct rl_acl a;
    struct rl_owner o;
    struct rl_xattr new;
    const struct rl_hit *h = &w->hit;
    long r = rl_acl_check(h, acl, &a, &new);
    if (r <= 0)
        return r;
    if (!new.value && !(h->acl & (rl_same(acl->name, RL_XATTR_ACL) ? RL_ACL_ACCESS : RL_ACL_DEFAULT)))
        return 0; /* there is none, and the file is not copied up for it */
    r = rl_copyup(w, 1);
    if (r < 0)
        return r;
    rl_owner_now(w, &o);
    rl_acl_mode(&a, &new, &o);
    return rl_owner_apply(w, &o, &new);
}
