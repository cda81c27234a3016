/* Storage of extended attributes: a view's table, a record's x fields; and their transfer at copy-up. */
#include "xattr.h"

/* ---- attributes of a view entry: u16 name length, u32 value length, name, value ---- */

int rl_xattr_next(const struct rl_view_entry *e, u32 *at, struct rl_xattr *p)
{
    const u8 *t = (const u8 *)rl_view_text(e->xattrs, e->xattrs_len);
    if (!t || *at + 6 > e->xattrs_len)
        return 0;
    t += *at;
    p->name_len = (u32)t[0] | (u32)t[1] << 8;
    p->value_len = (u32)t[2] | (u32)t[3] << 8 | (u32)t[4] << 16 | (u32)t[5] << 24;
    if ((u64)*at + 6 + p->name_len + p->value_len > e->xattrs_len || !p->name_len || p->name_len > RL_XATTR_NAME)
        return 0;
    p->name = (const char *)t + 6;
    p->value = p->name + p->name_len;
    *at += 6 + p->name_len + p->value_len;
    return 1;
}

/* ---- x fields: xNAME=HEX, joined by ; ---- */

char *rl_hex_put(char *p, const char *bytes, u32 n)
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
long rl_hex_get(const char *p, const char *end, char *out, u32 size)
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

/* The field that starts at p: the positions of its = and of its end. */
const char *rl_field_end(const char *p, const char *end, const char **equals)
{
    *equals = NULL;
    for (; p < end && *p != ';'; p++)
        if (*p == '=')
            *equals = p;
    return p;
}

const char *rl_field_find(const char *p, const char *end, const char *name, const char **until)
{
    char hex[2 * RL_XATTR_NAME + 2];
    const char *equals;
    u32 n = (u32)(rl_hex_put(hex, name, (u32)strlen(name)) - hex);
    for (; p < end; p = *until + (*until < end)) {
        *until = rl_field_end(p, end, &equals);
        if (equals && (u32)(equals - p - 1) == n && !memcmp(p + 1, hex, n))
            return equals + 1;
    }
    return NULL;
}

u32 rl_fields_without(const char *text, const struct rl_record *rec, const char *name, char *out, int *had)
{
    char hex[2 * RL_XATTR_NAME + 2];
    const char *equals;
    u32 n = (u32)(rl_hex_put(hex, name, (u32)strlen(name)) - hex), at = 0;
    *had = 0;
    if (!(rec->has & RL_HAS_XATTR))
        return 0;
    const char *p = text + rec->xattrs, *end = p + rec->xattrs_len;
    while (p < end) {
        const char *next = rl_field_end(p, end, &equals);
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

/* Append a field to out[*at]. */
long rl_field_put(char *out, u32 *at, const struct rl_xattr *p)
{
    if (*at + 3ull + 2ull * p->name_len + 2ull * p->value_len >= RL_PATH_MAX)
        return -ENOSPC;
    char *q = out + *at;
    if (*at)
        *q++ = ';';
    *q++ = 'x';
    q = rl_hex_put(q, p->name, p->name_len);
    *q++ = '=';
    q = rl_hex_put(q, p->value, p->value_len);
    *q = 0;
    *at = (u32)(q - out);
    return 0;
}

/* ---- copy-up ---- */

static long source_path(struct rl_walk *w, const struct rl_ctx *dir, u32 len, const struct rl_hit *h)
{
    return rl_layer_path(w, dir, w->v, len, (u32)h->layer, w->s->real);
}

/* Names of a real lower object: only those that a foreign layer really has; security.* of the host's own files is the
 * host's label, not the image's. */
static long source_names(struct rl_walk *w, const struct rl_ctx *dir, u32 len, const struct rl_hit *h, char *list,
                         size_t size)
{
    long r = source_path(w, dir, len, h);
    return r < 0 ? r : rl_by_text(__NR_llistxattr, w->s->real, list, (void *)size, 0, 0);
}

long rl_xattr_fields(struct rl_walk *w, const struct rl_ctx *dir, u32 len, const struct rl_hit *h, char *out)
{
    u32 at = 0, n = 0;
    struct rl_xattr p;
    out[0] = 0;
    if (h->what == RL_IN_VIEW) {
        const struct rl_view_entry *e = rl_view_entry(h->view);
        while (rl_xattr_next(e, &n, &p)) {
            char name[RL_XATTR_NAME + 1];
            memcpy(name, p.name, p.name_len);
            name[p.name_len] = 0;
            long r = rl_xattr_real(name, h->mode) ? 0 : rl_field_put(out, &at, &p);
            if (r < 0)
                return r;
        }
    } else if (rl_xattr_marked(h) && (h->rec.has & RL_HAS_XATTR)) {
        long r = source_path(w, dir, len, h);
        if (r >= 0)
            r = rl_record_text(w->s, &rl_layers[h->layer], h->sx.stx_mode, (u32)r);
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
    char name[RL_XATTR_NAME + 1];
    if (h->what == RL_IN_VIEW) {
        const struct rl_view_entry *e = rl_view_entry(h->view);
        struct rl_xattr p;
        for (u32 n = 0; rl_xattr_next(e, &n, &p);) {
            memcpy(name, p.name, p.name_len);
            name[p.name_len] = 0;
            if (rl_xattr_real(name, h->mode) && !rl_xattr_ours(name))
                rl_by_text(__NR_lsetxattr, real, name, p.value, p.value_len, 0);
        }
        return;
    }
    if (h->what != RL_IN_LAYER || !(rl_isreg(h->mode) || rl_isdir(h->mode)))
        return;
    char list[2048];
    long n = source_names(w, dir, len, h, list, sizeof list);
    char *value = n > 0 ? k_mmap(RL_XATTR_VALUE) : NULL;
    for (long o = 0; value && o < n; o += (long)strlen(list + o) + 1) {
        if (!rl_xattr_user(list + o) || rl_xattr_ours(list + o))
            continue;
        long k = k4(__NR_lgetxattr, (long)w->s->real, (long)(list + o), (long)value, RL_XATTR_VALUE);
        if (k >= 0)
            rl_by_text(__NR_lsetxattr, real, list + o, value, (size_t)k, 0);
    }
    if (value)
        k_munmap(value, RL_XATTR_VALUE);
}

long rl_list_shown(char *list, long bytes)
{
    long out = 0;
    for (long at = 0; at < bytes;) {
        long n = (long)strlen(list + at) + 1;
        if (!rl_xattr_ours(list + at)) {
            memmove(list + out, list + at, (size_t)n);
            out += n;
        }
        at += n;
    }
    return out;
}
