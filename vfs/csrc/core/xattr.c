/* Extended attributes.
 *
 * user.* of the upper's regular files and directories are real; security.* and trusted.*, and user.* on a
 * file system without them, are recorded. system.* (ACLs) is not supported. */
#include "inside.h"

#define NAME_MAX_ 255
#define VALUE_MAX 65536
#define XATTR_CREATE_ 1
#define XATTR_REPLACE_ 2

static int is_user(const char *name) { return rl_begins(name, "user."); }

static int marked(const struct rl_hit *h)
{
    return h->what == RL_IN_LAYER && (rl_layers[h->layer].flags & RL_DIR_MARKS);
}

static int readable_name(const char *name)
{
    return is_user(name) || rl_begins(name, "security.") || (rl_begins(name, "trusted.") && !rl_me.fsuid);
}

/* ---- attributes of a view entry: u16 name length, u32 value length, name, value ---- */

struct pair {
    const char *name, *value;
    u32 name_len, value_len;
};

static int view_next(const struct rl_view_entry *e, u32 *at, struct pair *p)
{
    const u8 *t = (const u8 *)rl_view_text(e->xattrs, e->xattrs_len);
    if (!t || *at + 6 > e->xattrs_len)
        return 0;
    t += *at;
    p->name_len = (u32)t[0] | (u32)t[1] << 8;
    p->value_len = (u32)t[2] | (u32)t[3] << 8 | (u32)t[4] << 16 | (u32)t[5] << 24;
    if ((u64)*at + 6 + p->name_len + p->value_len > e->xattrs_len || !p->name_len || p->name_len > NAME_MAX_)
        return 0;
    p->name = (const char *)t + 6;
    p->value = p->name + p->name_len;
    *at += 6 + p->name_len + p->value_len;
    return 1;
}

/* ---- x fields: xNAME=HEX, joined by ; ---- */

static char *put_hex(char *p, const char *bytes, u32 n)
{
    for (u32 i = 0; i < n; i++) {
        *p++ = "0123456789abcdef"[(u8)bytes[i] >> 4];
        *p++ = "0123456789abcdef"[(u8)bytes[i] & 15];
    }
    return p;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Hex up to `end`; bytes, or -1. */
static long get_hex(const char *p, const char *end, char *out, u32 size)
{
    long n = 0;
    for (; p + 1 < end; p += 2, n++) {
        int a = hex_digit(p[0]), b = hex_digit(p[1]);
        if (a < 0 || b < 0 || (u32)n >= size)
            return -1;
        out[n] = (char)(a << 4 | b);
    }
    return p == end ? n : -1;
}

/* The field that starts at p: where its = is and where it ends. */
static const char *field_end(const char *p, const char *end, const char **equals)
{
    *equals = NULL;
    for (; p < end && *p != ';'; p++)
        if (*p == '=')
            *equals = p;
    return p;
}

/* Append a field to out[*at]. */
static long put_field(char *out, u32 *at, const struct pair *p)
{
    if (*at + 3ull + 2ull * p->name_len + 2ull * p->value_len >= RL_PATH_MAX)
        return -ENOSPC;
    char *q = out + *at;
    if (*at)
        *q++ = ';';
    *q++ = 'x';
    q = put_hex(q, p->name, p->name_len);
    *q++ = '=';
    q = put_hex(q, p->value, p->value_len);
    *q = 0;
    *at = (u32)(q - out);
    return 0;
}

/* ---- copy-up ---- */

/* Does a real file of this type hold this attribute? */
static int held_by_file(const char *name, u32 mode)
{
    return is_user(name) && (rl_isreg(mode) || rl_isdir(mode));
}

static long source_path(struct rl_walk *w, const struct rl_ctx *dir, u32 len, const struct rl_hit *h)
{
    return rl_layer_path(w, dir, w->v, len, (u32)h->layer, w->s->real);
}

/* Names of a real lower object: only what a foreign layer really has; security.* of the host's own files is
 * the host's label, not the image's. */
static long source_names(struct rl_walk *w, const struct rl_ctx *dir, u32 len, const struct rl_hit *h, char *list,
                         size_t size)
{
    long r = source_path(w, dir, len, h);
    return r < 0 ? r : k4(__NR_llistxattr, (long)w->s->real, (long)list, (long)size, 0);
}

long rl_xattr_fields(struct rl_walk *w, const struct rl_ctx *dir, u32 len, const struct rl_hit *h, char *out)
{
    u32 at = 0, n = 0;
    struct pair p;
    out[0] = 0;
    if (h->what == RL_IN_VIEW) {
        const struct rl_view_entry *e = rl_view_entry(h->view);
        while (view_next(e, &n, &p)) {
            char name[NAME_MAX_ + 1];
            memcpy(name, p.name, p.name_len);
            name[p.name_len] = 0;
            long r = held_by_file(name, h->mode) ? 0 : put_field(out, &at, &p);
            if (r < 0)
                return r;
        }
    } else if (marked(h) && (h->rec.has & RL_HAS_XATTR)) {
        long r = source_path(w, dir, len, h);
        if (r >= 0)
            r = rl_record_path(w->s->mark, sizeof w->s->mark, w->s->real, (u32)r, rl_layers[h->layer].len);
        if (r >= 0)
            r = k_readlink(w->s->mark, w->s->text, sizeof w->s->text - 1);
        if (r < (long)h->rec.xattrs + h->rec.xattrs_len)
            return r < 0 ? r : 0;
        memcpy(out, w->s->text + h->rec.xattrs, h->rec.xattrs_len);
        at = h->rec.xattrs_len;
        out[at] = 0;
    }
    return (long)at;
}

void rl_xattr_carry(struct rl_walk *w, const struct rl_ctx *dir, u32 len, const struct rl_hit *h, const char *real)
{
    char name[NAME_MAX_ + 1];
    if (h->what == RL_IN_VIEW) {
        const struct rl_view_entry *e = rl_view_entry(h->view);
        struct pair p;
        for (u32 n = 0; view_next(e, &n, &p);) {
            memcpy(name, p.name, p.name_len);
            name[p.name_len] = 0;
            if (held_by_file(name, h->mode))
                rl_sys(__NR_lsetxattr, (long)real, (long)name, (long)p.value, p.value_len, 0, 0);
        }
        return;
    }
    if (h->what != RL_IN_LAYER || !(rl_isreg(h->mode) || rl_isdir(h->mode)))
        return;
    char list[2048];
    long n = source_names(w, dir, len, h, list, sizeof list);
    char *value = n > 0 ? k_mmap(VALUE_MAX) : NULL;
    for (long o = 0; value && o < n; o += (long)strlen(list + o) + 1) {
        if (!is_user(list + o))
            continue;
        long k = k4(__NR_lgetxattr, (long)w->s->real, (long)(list + o), (long)value, VALUE_MAX);
        if (k >= 0)
            rl_sys(__NR_lsetxattr, (long)real, (long)(list + o), (long)value, k, 0, 0);
    }
    if (value)
        k_munmap(value, VALUE_MAX);
}

/* ---- the four system calls ---- */

static long give(void *out, size_t size, const char *bytes, size_t n)
{
    if (!size)
        return (long)n;
    if (n > size)
        return -ERANGE;
    memcpy(out, bytes, n);
    return (long)n;
}

static long bad_name(const char *name)
{
    size_t n = strlen(name);
    if (!n || n > NAME_MAX_)
        return -ERANGE;
    if (rl_begins(name, "system."))
        return -EOPNOTSUPP;
    if (!is_user(name) && !rl_begins(name, "security.") && !rl_begins(name, "trusted."))
        return -EOPNOTSUPP;
    return 0;
}

/* The record's text of an object of a marked layer, into w->s->text. */
static long fields_of(struct rl_walk *w, const char **from, const char **end)
{
    struct rl_hit *h = &w->hit;
    *from = *end = w->s->text;
    if (!(h->rec.has & RL_HAS_XATTR))
        return 0;
    long r = rl_object_real(w, w->s->real);
    if (r >= 0)
        r = rl_record_path(w->s->mark, sizeof w->s->mark, w->s->real, (u32)r, rl_layers[h->layer].len);
    if (r >= 0)
        r = k_readlink(w->s->mark, w->s->text, sizeof w->s->text - 1);
    if (r < (long)(h->rec.xattrs + h->rec.xattrs_len))
        return r < 0 ? r : -EIO;
    *from = w->s->text + h->rec.xattrs;
    *end = *from + h->rec.xattrs_len;
    return 0;
}

static long get_recorded(struct rl_walk *w, const char *name, void *value, size_t size)
{
    const char *p, *end, *equals;
    char hex[2 * NAME_MAX_ + 2], bytes[RL_PATH_MAX / 2];
    long r = fields_of(w, &p, &end);
    if (r < 0)
        return r;
    u32 n = (u32)(put_hex(hex, name, (u32)strlen(name)) - hex);
    while (p < end) {
        const char *next = field_end(p, end, &equals);
        if (equals && (u32)(equals - p - 1) == n && !memcmp(p + 1, hex, n)) {
            r = get_hex(equals + 1, next, bytes, sizeof bytes);
            return r < 0 ? -EIO : give(value, size, bytes, (size_t)r);
        }
        p = next + (next < end);
    }
    return -ENODATA;
}

static long get_view(const struct rl_view_entry *e, const char *name, void *value, size_t size)
{
    struct pair p;
    u32 n = (u32)strlen(name);
    for (u32 at = 0; view_next(e, &at, &p);)
        if (p.name_len == n && !memcmp(p.name, name, n))
            return give(value, size, p.value, p.value_len);
    return -ENODATA;
}

static long real_get(struct rl_walk *w, const char *name, void *value, size_t size)
{
    long r = rl_object_real(w, w->s->real);
    long nr = w->hit.magic ? __NR_getxattr : __NR_lgetxattr;
    return r < 0 ? r : k4(nr, (long)w->s->real, (long)name, (long)value, (long)size);
}

/* As rl_object(), but reading is allowed everywhere. */
static long object(struct rl_walk *w, int fd, const char *path, int flags)
{
    if (!path) {
        long r = rl_by_fd(w, fd);
        return r == -EROFS ? 0 : r;
    }
    u32 how = RL_EXISTS | (flags & AT_SYMLINK_NOFOLLOW ? 0 : RL_FOLLOW);
    long r = rl_resolve(w, AT_FDCWD, path, how, 0);
    return r < 0 ? r : 1;
}

long rl_getxattr(int fd, const char *path, const char *name, void *value, size_t size, int flags)
{
    struct rl_scratch s;
    struct rl_walk w;
    rl_walk_start(&w, &s);
    long r = object(&w, fd, path, flags);
    if (r < 0)
        return r;
    if (r == 0)
        return k4(__NR_fgetxattr, fd, (long)name, (long)value, (long)size);
    struct rl_hit *h = &w.hit;
    if (h->what != RL_IN_VIEW && !marked(h))
        return real_get(&w, name, value, size);
    r = bad_name(name);
    if (r < 0)
        return r;
    if (!readable_name(name))
        return -ENODATA;
    if (is_user(name)) {
        r = rl_may(h, RL_R_OK);
        if (r < 0)
            return r;
    }
    if (h->what == RL_IN_VIEW)
        return get_view(rl_view_entry(h->view), name, value, size);
    r = get_recorded(&w, name, value, size);
    if (r != -ENODATA || !held_by_file(name, h->mode))
        return r;
    r = real_get(&w, name, value, size);
    return r == -EOPNOTSUPP ? -ENODATA : r;
}

/* Add a name to the list that is being made. */
static long list_add(char *list, size_t size, size_t *at, const char *name, u32 n)
{
    if (size) {
        if (*at + n + 1 > size)
            return -ERANGE;
        memcpy(list + *at, name, n);
        list[*at + n] = 0;
    }
    *at += n + 1;
    return 0;
}

static long list_view(const struct rl_view_entry *e, char *list, size_t size)
{
    struct pair p;
    size_t out = 0;
    for (u32 at = 0; view_next(e, &at, &p);) {
        char name[NAME_MAX_ + 1];
        memcpy(name, p.name, p.name_len);
        name[p.name_len] = 0;
        long r = readable_name(name) ? list_add(list, size, &out, name, p.name_len) : 0;
        if (r < 0)
            return r;
    }
    return (long)out;
}

static long list_marked(struct rl_walk *w, char *list, size_t size)
{
    const char *p, *end, *equals;
    char name[NAME_MAX_ + 1], real[4096];
    size_t out = 0;
    long r = fields_of(w, &p, &end);
    while (r >= 0 && p < end) {
        const char *next = field_end(p, end, &equals);
        long n = equals ? get_hex(p + 1, equals, name, NAME_MAX_) : -1;
        if (n > 0) {
            name[n] = 0;
            r = readable_name(name) ? list_add(list, size, &out, name, (u32)n) : 0;
        }
        p = next + (next < end);
    }
    long n = r < 0 ? r : rl_object_real(w, w->s->real);
    if (n < 0)
        return n;
    n = k4(__NR_llistxattr, (long)w->s->real, (long)real, sizeof real, 0);
    for (long o = 0; r >= 0 && o < n; o += (long)strlen(real + o) + 1)
        if (is_user(real + o))
            r = list_add(list, size, &out, real + o, (u32)strlen(real + o));
    return r < 0 ? r : (long)out;
}

long rl_listxattr(int fd, const char *path, char *list, size_t size, int flags)
{
    struct rl_scratch s;
    struct rl_walk w;
    rl_walk_start(&w, &s);
    long r = object(&w, fd, path, flags);
    if (r < 0)
        return r;
    if (r == 0)
        return k4(__NR_flistxattr, fd, (long)list, (long)size, 0);
    if (w.hit.what == RL_IN_VIEW)
        return list_view(rl_view_entry(w.hit.view), list, size);
    if (marked(&w.hit))
        return list_marked(&w, list, size);
    r = rl_object_real(&w, s.real);
    return r < 0 ? r
                 : k4(w.hit.magic ? __NR_listxattr : __NR_llistxattr, (long)s.real, (long)list, (long)size, 0);
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

/* The record's fields without `name`, into out[RL_PATH_MAX]. Length; *had: it was there. */
static u32 without(const struct rl_edit *e, const char *name, char *out, int *had)
{
    char hex[2 * NAME_MAX_ + 2];
    const char *equals;
    u32 n = (u32)(put_hex(hex, name, (u32)strlen(name)) - hex), at = 0;
    *had = 0;
    if (!(e->rec.has & RL_HAS_XATTR))
        return 0;
    const char *p = e->text + e->rec.xattrs, *end = p + e->rec.xattrs_len;
    while (p < end) {
        const char *next = field_end(p, end, &equals);
        if (equals && (u32)(equals - p - 1) == n && !memcmp(p + 1, hex, n)) {
            *had = 1;
        } else {
            if (at)
                out[at++] = ';';
            memcpy(out + at, p, (size_t)(next - p));
            at += (u32)(next - p);
        }
        p = next + (next < end);
    }
    return at;
}

struct change {
    const char *name, *value; /* value NULL: remove */
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
    u32 n = without(&e, c->name, fields, &had);
    if (had && (c->flags & XATTR_CREATE_))
        r = -EEXIST;
    else if (!had && (!c->value || (c->flags & XATTR_REPLACE_)))
        r = -ENODATA;
    else if (c->value) {
        struct pair p = {c->name, c->value, (u32)strlen(c->name), c->size};
        r = put_field(fields, &n, &p);
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
        return k4(follow ? __NR_removexattr : __NR_lremovexattr, (long)real, (long)c->name, 0, 0);
    return rl_sys(follow ? __NR_setxattr : __NR_lsetxattr, (long)real, (long)c->name, (long)c->value, c->size, c->flags,
                  0);
}

static long change(int fd, const char *path, const struct change *c, int flags)
{
    struct rl_scratch s;
    struct rl_walk w;
    rl_walk_start(&w, &s);
    long r = rl_object(&w, fd, path, flags);
    if (r < 0)
        return r;
    if (r == 0)
        return c->value ? rl_sys(__NR_fsetxattr, fd, (long)c->name, (long)c->value, c->size, c->flags, 0)
                        : k4(__NR_fremovexattr, fd, (long)c->name, 0, 0);
    if (w.hit.what == RL_IN_BIND) {
        r = rl_object_real(&w, s.real);
        return r < 0 ? r : real_change(s.real, c, w.hit.magic);
    }
    r = bad_name(c->name);
    if (r >= 0)
        r = may_set(&w.hit, c->name);
    if (r >= 0)
        r = rl_copyup(&w, 1);
    if (r < 0)
        return r;
    if (held_by_file(c->name, w.hit.mode)) {
        r = rl_object_real(&w, s.real);
        if (r >= 0)
            r = real_change(s.real, c, 0);
        if (r != -EOPNOTSUPP)
            return r;
    }
    return change_record(&w, c);
}

long rl_setxattr(int fd, const char *path, const char *name, const void *value, size_t size, int xflags, int flags)
{
    if (xflags & ~(XATTR_CREATE_ | XATTR_REPLACE_))
        return -EINVAL;
    if (size > VALUE_MAX)
        return -E2BIG;
    struct change c = {name, value ? value : "", (u32)size, xflags};
    return change(fd, path, &c, flags);
}

long rl_removexattr(int fd, const char *path, const char *name, int flags)
{
    struct change c = {name, NULL, 0, 0};
    return change(fd, path, &c, flags);
}
