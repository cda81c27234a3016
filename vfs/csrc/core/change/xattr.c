/* Extended attributes.
 *
 * user.* of the upper's regular files and directories are real; security.* and trusted.*, and user.* on a
 * file system without them, are recorded, and so are the ACLs (aclchange.c). */
#include "xattr.h"
#include "../layers/acl.h"

int rl_xattr_readable(const char *name)
{
    if (rl_xattr_ours(name))
        return 0;
    return rl_xattr_user(name) || rl_acl_name(name) || rl_begins(name, "security.") || (rl_begins(name, "trusted.") && !rl_me.fsuid);
}

static long give(void *out, size_t size, const char *bytes, size_t n)
{
    if (!size)
        return (long)n;
    if (n > size)
        return -ERANGE;
    memcpy(out, bytes, n);
    return (long)n;
}

long rl_xattr_bad_name(const char *name)
{
    size_t n = strlen(name);
    if (!n || n > RL_XATTR_NAME)
        return -ERANGE;
    if (!rl_xattr_user(name) && !rl_acl_name(name) && !rl_begins(name, "security.") && !rl_begins(name, "trusted."))
        return -EOPNOTSUPP;
    return 0;
}

long rl_xattr_recorded(struct rl_walk *w, const char **from, const char **end)
{
    struct rl_hit *h = &w->hit;
    *from = *end = w->s->text;
    if (!(h->rec.has & RL_HAS_XATTR))
        return 0;
    /* By its name: the path of a directory that is found by its descriptor has none. */
    long r = rl_layer_path(w, &w->dir, w->v, w->vlen, (u32)h->layer, w->s->real);
    if (r >= 0)
        r = rl_record_text(w->s, &rl_layers[h->layer], h->sx.stx_mode, (u32)r);
    if (r < (long)(h->rec.xattrs + h->rec.xattrs_len))
        return r < 0 ? r : -EIO;
    *from = w->s->text + h->rec.xattrs;
    *end = *from + h->rec.xattrs_len;
    return 0;
}

static long get_recorded(struct rl_walk *w, const char *name, void *value, size_t size)
{
    const char *p, *end;
    char bytes[RL_PATH_MAX / 2];
    long r = rl_xattr_recorded(w, &p, &end);
    const char *hex = r < 0 ? NULL : rl_field_find(p, end, name, &end);
    if (!hex)
        return r < 0 ? r : -ENODATA;
    r = rl_hex_get(hex, end, bytes, sizeof bytes);
    return r < 0 ? -EIO : give(value, size, bytes, (size_t)r);
}

static long get_view(const struct rl_view_entry *e, const char *name, void *value, size_t size)
{
    struct rl_xattr p;
    u32 n = (u32)strlen(name);
    for (u32 at = 0; rl_xattr_next(e, &at, &p);)
        if (p.name_len == n && !memcmp(p.name, name, n))
            return give(value, size, p.value, p.value_len);
    return -ENODATA;
}

static long real_get(struct rl_walk *w, const char *name, void *value, size_t size)
{
    long r = rl_object_real(w, w->s->real);
    long nr = w->hit.magic ? __NR_getxattr : __NR_lgetxattr;
    return r < 0 ? r : rl_by_text(nr, w->s->real, name, value, size, 0);
}

/* Of an object outside binds; the name is valid. */
static long get(struct rl_walk *w, const char *name, void *value, size_t size)
{
    struct rl_hit *h = &w->hit;
    if (h->what == RL_IN_VIEW)
        return get_view(rl_view_entry(h->view), name, value, size);
    if (!rl_xattr_marked(h))
        return real_get(w, name, value, size);
    long r = get_recorded(w, name, value, size);
    if (r != -ENODATA || !rl_xattr_real(name, h->mode))
        return r;
    r = real_get(w, name, value, size);
    return r == -EOPNOTSUPP ? -ENODATA : r;
}

long rl_xattr_object(struct rl_walk *w, int fd, const char *path, int flags)
{
    if (!path || (!path[0] && (flags & AT_EMPTY_PATH) && fd != AT_FDCWD)) {
        long r = path ? 0 : rl_only_named(fd);
        if (r >= 0)
            r = rl_by_fd(w, fd);
        return r == -EROFS ? 0 : r;
    }
    long r = rl_resolve(w, fd, path, rl_existing(flags), 0);
    return r < 0 ? r : 1;
}

int rl_xattr_in_volume(const struct rl_walk *w)
{
    return w->hit.what == RL_IN_BIND && rl_bind_records(w->self.bind);
}

static long get_at(struct rl_walk *w, int fd, const char *path, const char *name, void *value, size_t size, int flags)
{
    long r = rl_xattr_object(w, fd, path, flags);
    if (r < 0)
        return r;
    if (rl_xattr_ours(name))
        return -ENODATA;
    if (r == 0 && rl_acl_name(name) && (r = rl_nameless_acl(w, fd, name, value, size)) != RL_MISS)
        return r;
    if (r == RL_MISS && rl_acl_name(name) && rl_volume_fd(fd, w->s->real, &w->hit) == 0)
        return rl_volume_acl(w->s->real, &w->hit, name, value, size);
    if (r == 0 || r == RL_MISS)
        return k4(__NR_fgetxattr, fd, (long)name, (long)value, (long)size);
    struct rl_hit *h = &w->hit;
    if (rl_acl_name(name) && rl_xattr_in_volume(w)) {
        r = rl_object_real(w, w->s->real);
        return r < 0 ? r : rl_volume_acl(w->s->real, h, name, value, size);
    }
    if (h->what != RL_IN_VIEW && !rl_xattr_marked(h)) {
        r = rl_xattr_real(name, h->mode) ? rl_may(h, RL_R_OK) : 0;
        return r < 0 ? r : real_get(w, name, value, size);
    }
    r = rl_xattr_bad_name(name);
    if (r < 0)
        return r;
    if (!rl_xattr_readable(name))
        return -ENODATA;
    if (rl_islnk(h->mode) && rl_acl_name(name))
        return -EOPNOTSUPP;
    if (rl_xattr_user(name)) {
        r = rl_may(h, RL_R_OK);
        if (r < 0)
            return r;
    }
    r = get(w, name, value, size);
    return h->what != RL_IN_VIEW && rl_sure(w) < 0 ? -ESTALE : r;
}

long rl_getxattr(int fd, const char *path, const char *name, void *value, size_t size, int flags)
{
    struct rl_scratch s;
    struct rl_walk w;
    long r;
    rl_walk_start(&w, &s);
    do
        r = get_at(&w, fd, path, name, value, size, flags);
    while (rl_retry(&w, &r));
    return r;
}

static long may_set(const struct rl_hit *h, const char *name)
{
    if (rl_begins(name, "trusted.") || rl_begins(name, "security."))
        return rl_me.fsuid ? -EPERM : 0;
    if (!rl_isreg(h->mode) && !rl_isdir(h->mode))
        return -EPERM;
    if (rl_isdir(h->mode) && (h->mode & S_ISVTX) && rl_may_own(h) < 0)
        return -EPERM;
    return rl_may(h, RL_W_OK);
}

struct change {
    const char *name, *value; /* value NULL: remove it */
    u32 size;
    int flags;
};

static __attribute__((noinline)) long change_record(struct rl_walk *w, const struct change *c)
{
    struct rl_edit e;
    char fields[RL_PATH_MAX];
    int had;
    long r = rl_edit_begin(w, &e);
    if (r < 0)
        return r;
    u32 n = rl_fields_without(e.text, &e.rec, c->name, fields, &had);
    if (had && (c->flags & XATTR_CREATE_))
        r = -EEXIST;
    else if (!had && (!c->value || (c->flags & XATTR_REPLACE_)))
        r = -ENODATA;
    else if (c->value) {
        struct rl_xattr p = {c->name, c->value, (u32)strlen(c->name), c->size};
        r = rl_field_put(fields, &n, &p);
    }
    if (r < 0) {
        rl_edit_cancel(w);
        return r;
    }
    return rl_edit_end(w, &e, fields, n);
}

static long real_change(const char *real, const struct change *c, int follow)
{
    if (!c->value)
        return rl_by_text(follow ? __NR_removexattr : __NR_lremovexattr, real, c->name, NULL, 0, 0);
    return rl_by_text(follow ? __NR_setxattr : __NR_lsetxattr, real, c->name, c->value, c->size, c->flags);
}

static long change_real(struct rl_walk *w, const struct change *c)
{
    long r = rl_make_writable(w);
    if (r >= 0 && w->own >= 0)
        return c->value ? rl_sys(__NR_fsetxattr, w->own, (long)c->name, (long)c->value, c->size, c->flags, 0)
                        : k4(__NR_fremovexattr, w->own, (long)c->name, 0, 0);
    if (r >= 0)
        r = rl_hold_object(w);
    if (r >= 0)
        r = rl_object_real(w, w->s->real);
    if (r < 0)
        return r;
    return real_change(w->s->real, c, 0);
}

static long change_at(struct rl_walk *w, int fd, const char *path, const struct change *c, int flags)
{
    long r = rl_object(w, fd, path, flags);
    if (r < 0)
        return r;
    if (rl_xattr_ours(c->name))
        return c->value ? -EPERM : -ENODATA;
    struct rl_xattr acl = {c->name, c->value, (u32)strlen(c->name), c->size};
    if (r == 0 && rl_acl_name(c->name) && (r = rl_nameless_acl_set(w, fd, &acl)) != RL_MISS)
        return r;
    if (r == RL_MISS && rl_acl_name(c->name) && rl_volume_fd(fd, w->s->real, &w->hit) == 0)
        return rl_volume_acl_set(w->s->real, &w->hit, &acl);
    if (r == 0 || r == RL_MISS)
        return c->value ? rl_sys(__NR_fsetxattr, fd, (long)c->name, (long)c->value, c->size, c->flags, 0)
                        : k4(__NR_fremovexattr, fd, (long)c->name, 0, 0);
    if (w->hit.what == RL_IN_BIND) {
        r = rl_object_real(w, w->s->real);
        if (r >= 0 && rl_xattr_in_volume(w)) {
            if (rl_acl_name(c->name))
                return rl_volume_acl_set(w->s->real, &w->hit, &acl);
            r = rl_xattr_user(c->name) ? may_set(&w->hit, c->name) : 0;
        }
        return r < 0 ? r : real_change(w->s->real, c, w->hit.magic);
    }
    if (rl_acl_name(c->name))
        return rl_acl_set(w, &acl);
    r = rl_xattr_bad_name(c->name);
    if (r >= 0)
        r = may_set(&w->hit, c->name);
    if (r >= 0 && !c->value && rl_writable()) {
        r = get(w, c->name, NULL, 0); /* a missing attribute is not removed: the file is not copied up for it either */
        r = rl_sure(w) < 0 ? -ESTALE : r;
    }
    if (r >= 0)
        r = rl_copyup(w, 1);
    if (r < 0)
        return r;
    if (rl_xattr_real(c->name, w->hit.mode)) {
        r = change_real(w, c);
        if (r != -EOPNOTSUPP)
            return r;
    }
    return change_record(w, c);
}

static long change(int fd, const char *path, const struct change *c, int flags)
{
    struct rl_scratch s;
    struct rl_walk w;
    long r;
    rl_walk_start(&w, &s);
    do
        r = change_at(&w, fd, path, c, flags);
    while (rl_retry(&w, &r));
    return r;
}

long rl_setxattr(int fd, const char *path, const char *name, const void *value, size_t size, int xflags, int flags)
{
    if (xflags & ~(XATTR_CREATE_ | XATTR_REPLACE_))
        return -EINVAL;
    if (size > RL_XATTR_VALUE)
        return -E2BIG;
    struct change c = {name, value ? value : "", (u32)size, xflags};
    return change(fd, path, &c, flags);
}

long rl_removexattr(int fd, const char *path, const char *name, int flags)
{
    struct change c = {name, NULL, 0, 0};
    return change(fd, path, &c, flags);
}
