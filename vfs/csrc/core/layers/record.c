/* Records: attributes that the real file cannot hold, as the target of a symbolic link (docs/format.md section 6).
 *
 * The text is parsed in place. Unknown fields are skipped (later versions). A known field with an invalid value ends
 * the parsing with -EINVAL: a record is written whole or not at all, so a broken one is damage, and guessing would show
 * wrong owners. */
#include "../internal.h"

static int parse_u32(const char **p, u32 base, u32 *out)
{
    u64 v;
    if (!rl_number(p, base, &v) || v > 0xffffffffu)
        return 0;
    *out = (u32)v;
    return 1;
}

/* The field is an ACL. Names of attributes are in hex. */
static u32 acl_of(const char *p, const char *equals)
{
    static const char same[] = "x73797374656d2e706f7369785f61636c5f", access[] = "616363657373", given[] = "64656661756c74";
    const char *rest = p + sizeof same - 1;
    if (equals - rest == sizeof access - 1 && !memcmp(p, same, sizeof same - 1))
        return memcmp(rest, access, sizeof access - 1) ? 0 : RL_HAS_ACL;
    if (equals - rest == sizeof given - 1 && !memcmp(p, same, sizeof same - 1))
        return memcmp(rest, given, sizeof given - 1) ? 0 : RL_HAS_DEFAULT_ACL;
    return 0;
}

static int parse_field(const char **p, struct rl_record *r)
{
    const char *s = *p;
    *p = s[0] && s[1] == '=' ? s + 2 : s;
    switch (*p == s ? 0 : s[0]) {
    case 'u':
        r->has |= RL_HAS_UID;
        return parse_u32(p, 10, &r->uid);
    case 'g':
        r->has |= RL_HAS_GID;
        return parse_u32(p, 10, &r->gid);
    case 'm':
        r->has |= RL_HAS_MODE;
        return parse_u32(p, 8, &r->mode);
    case 'd':
        r->has |= RL_HAS_DEV;
        if (!parse_u32(p, 10, &r->major) || *(*p)++ != ':')
            return 0;
        return parse_u32(p, 10, &r->minor);
    case 'i':
        r->has |= RL_HAS_INO;
        return rl_number(p, 10, &r->ino);
    case 'l':
        r->has |= RL_HAS_LINKED;
        return rl_number(p, 10, &r->linked);
    default:
        while (**p && **p != ';')
            ++*p;
        return 1;
    }
}

/* An absolute path without `..`: a program that bypasses the engine can write any text, and a `..` would lead out of
 * the layer. */
static int redirect_ok(const char *p, u32 len)
{
    u32 at = 0;
    if (!len || p[0] != '/')
        return 0;
    while (at < len) {
        const char *name = p + ++at;
        u32 n = 0;
        while (at + n < len && name[n] != '/')
            n++;
        if (!n || rl_dots(name, n))
            return 0;
        at += n;
    }
    return 1;
}

long rl_record_parse(const char *text, u32 len, struct rl_record *r)
{
    const char *p = text;
    memset(r, 0, sizeof *r);
    while (*p) {
        if (p[0] == 'r' && p[1] == '=') {
            r->has |= RL_HAS_REDIRECT;
            r->redirect = (u32)(p + 2 - text);
            r->redirect_len = len - r->redirect;
            return redirect_ok(p + 2, r->redirect_len) ? 0 : -EINVAL;
        }
        if (p[0] == 'x') {
            if (!(r->has & RL_HAS_XATTR))
                r->xattrs = (u32)(p - text);
            r->has |= RL_HAS_XATTR;
            const char *field = p;
            while (*p && *p != ';')
                if (*p++ == '=')
                    r->has |= acl_of(field, p - 1);
            r->xattrs_len = (u32)(p - text) - r->xattrs;
        } else if (!parse_field(&p, r)) {
            return -EINVAL;
        }
        if (*p && *p++ != ';')
            return -EINVAL;
    }
    return 0;
}

static char *field(char *p, const char *start, const char *name, u64 v, int base)
{
    if (p != start)
        *p++ = ';';
    return rl_put_u64(rl_put(p, name), v, base);
}

long rl_record_format(const struct rl_record *r, const char *xattrs, const char *redirect, char *out)
{
    char *p = out;
    if (r->has & RL_HAS_UID)
        p = field(p, out, "u=", r->uid, 10);
    if (r->has & RL_HAS_GID)
        p = field(p, out, "g=", r->gid, 10);
    if (r->has & RL_HAS_MODE)
        p = field(p, out, "m=", r->mode, 8);
    if (r->has & RL_HAS_DEV) {
        p = field(p, out, "d=", r->major, 10);
        *p++ = ':';
        p = rl_put_u64(p, r->minor, 10);
    }
    if (r->has & RL_HAS_INO)
        p = field(p, out, "i=", r->ino, 10);
    if (r->has & RL_HAS_LINKED)
        p = field(p, out, "l=", r->linked, 10);
    u32 xn = r->has & RL_HAS_XATTR ? r->xattrs_len : 0, rn = r->has & RL_HAS_REDIRECT ? r->redirect_len : 0;
    if ((u64)(p - out) + xn + rn + 8 > RL_PATH_MAX)
        return -ENOSPC;
    if (xn) {
        if (p != out)
            *p++ = ';';
        memcpy(p, xattrs, xn);
        p += xn;
    }
    if (rn) {
        if (p != out)
            *p++ = ';';
        p = rl_put(p, "r=");
        memcpy(p, redirect, rn);
        p += rn;
    }
    *p = 0;
    return p - out;
}
