/* Lists of extended attributes: those that programs may know of, of all places where they are kept (xattr.c). */
#include "xattr.h"
#include "../layers/acl.h"

/* Append a name to the list. */
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
    struct rl_xattr p;
    size_t out = 0;
    for (u32 at = 0; rl_xattr_next(e, &at, &p);) {
        char name[RL_XATTR_NAME + 1];
        memcpy(name, p.name, p.name_len);
        name[p.name_len] = 0;
        long r = rl_xattr_readable(name) ? list_add(list, size, &out, name, p.name_len) : 0;
        if (r < 0)
            return r;
    }
    return (long)out;
}

static long list_marked(struct rl_walk *w, char *list, size_t size)
{
    const char *p, *end, *equals;
    char name[RL_XATTR_NAME + 1], real[4096];
    size_t out = 0;
    long r = rl_xattr_recorded(w, &p, &end);
    while (r >= 0 && p < end) {
        const char *next = rl_field_end(p, end, &equals);
        long n = equals ? rl_hex_get(p + 1, equals, name, RL_XATTR_NAME) : -1;
        if (n > 0) {
            name[n] = 0;
            r = rl_xattr_readable(name) ? list_add(list, size, &out, name, (u32)n) : 0;
        }
        p = next + (next < end);
    }
    long n = r < 0 ? r : rl_object_real(w, w->s->real);
    if (n < 0)
        return n;
    n = rl_by_text(__NR_llistxattr, w->s->real, real, (void *)sizeof real, 0, 0);
    for (long o = 0; r >= 0 && o < n; o += (long)strlen(real + o) + 1)
        if (rl_xattr_user(real + o) && !rl_xattr_ours(real + o))
            r = list_add(list, size, &out, real + o, (u32)strlen(real + o));
    return r < 0 ? r : (long)out;
}

/* The names of a real object, names[0..n), and those of its ACLs: of an object of a volume, which is w->hit with the
 * record at w->s->real, or (fd >= 0) of a file without a name. */
static long list_with_acls(struct rl_walk *w, int fd, const char *names, long n, char *list, size_t size)
{
    static const char *const acls[] = {RL_XATTR_ACL, RL_XATTR_DEFAULT_ACL};
    size_t out = 0;
    long r = 0;
    for (u32 i = 0; r >= 0 && i < 2; i++)
        if ((fd < 0 ? rl_volume_acl(w->s->real, &w->hit, acls[i], NULL, 0) : rl_nameless_acl(w, fd, acls[i], NULL, 0)) > 0)
            r = list_add(list, size, &out, acls[i], (u32)strlen(acls[i]));
    for (long o = 0; r >= 0 && o < n; o += (long)strlen(names + o) + 1)
        if (!rl_xattr_ours(names + o) && !(fd < 0 && rl_acl_name(names + o)))
            r = list_add(list, size, &out, names + o, (u32)strlen(names + o));
    return r < 0 ? r : (long)out;
}

/* A file without a name, one of a volume, or one that is not the container's. */
static __attribute__((noinline)) long list_descriptor(struct rl_walk *w, int fd, char *list, size_t size)
{
    char real[4096];
    long n = k4(__NR_flistxattr, fd, (long)real, sizeof real, 0);
    if (n < 0)
        return n == -ERANGE ? k4(__NR_flistxattr, fd, (long)list, (long)size, 0) : n;
    return list_with_acls(w, rl_volume_fd(fd, w->s->real, &w->hit) == 0 ? -1 : fd, real, n, list, size);
}

static __attribute__((noinline)) long list_volume(struct rl_walk *w, char *list, size_t size)
{
    char names[4096];
    long n = rl_object_real(w, w->s->real);
    if (n >= 0)
        n = rl_by_text(w->hit.magic ? __NR_listxattr : __NR_llistxattr, w->s->real, names, (void *)sizeof names, 0, 0);
    return n < 0 ? n : list_with_acls(w, -1, names, n, list, size);
}

static long list_at(struct rl_walk *w, int fd, const char *path, char *list, size_t size, int flags)
{
    long r = rl_xattr_object(w, fd, path, flags);
    if (r < 0)
        return r;
    if (r == 0)
        return list_descriptor(w, fd, list, size);
    if (w->hit.what == RL_IN_VIEW)
        return list_view(rl_view_entry(w->hit.view), list, size);
    if (rl_xattr_marked(&w->hit)) {
        r = list_marked(w, list, size);
        return rl_sure(w) < 0 ? -ESTALE : r;
    }
    if (rl_xattr_in_volume(w))
        return list_volume(w, list, size);
    char *real = w->s->real;
    r = rl_object_real(w, real);
    if (r >= 0)
        r = rl_by_text(w->hit.magic ? __NR_listxattr : __NR_llistxattr, real, list, (void *)size, 0, 0);
    return r > 0 && size ? rl_list_shown(list, r) : r;
}

long rl_listxattr(int fd, const char *path, char *list, size_t size, int flags)
{
    struct rl_scratch s;
    struct rl_walk w;
    long r;
    rl_walk_start(&w, &s);
    do
        r = list_at(&w, fd, path, list, size, flags);
    while (rl_retry(&w, &r));
    return r;
}
