/* Permission bits, as the kernel would apply them to the identities that the program sees. */
#include "../internal.h"
#include "../layers/acl.h"

int rl_is_member(u32 gid, u32 main)
{
    if (gid == main)
        return 1;
    for (u32 i = 0; i < rl_me.groups && i < 64; i++)
        if (rl_me.group[i] == gid)
            return 1;
    return 0;
}

int rl_in_group(u32 gid)
{
    return rl_is_member(gid, rl_me.fsgid);
}

long rl_permit(u32 mode, u32 uid, u32 gid, u32 want, int real_ids)
{
    u32 me = real_ids ? rl_me.uid : rl_me.fsuid;
    if (!me) { /* root: all permissions, but a file without any x bit cannot be executed */
        if ((want & RL_X_OK) && !rl_isdir(mode) && !(mode & 0111))
            return -EACCES;
        return 0;
    }
    u32 bits = mode;
    if (me == uid)
        bits = mode >> 6;
    else if (rl_is_member(gid, real_ids ? rl_me.gid : rl_me.fsgid))
        bits = mode >> 3;
    return (want & ~bits & 7) ? -EACCES : 0;
}

/* The kernel, too, leaves the ACL out if its mask is empty. */
static int by_acl(u32 acl, u32 mode, u32 uid, u32 me)
{
    return (acl & RL_ACL_ACCESS) && (mode & 070) && me && me != uid;
}

long rl_hit_permit(const struct rl_hit *h, u32 want, int real_ids)
{
    if (!by_acl(h->acl, h->mode, h->uid, real_ids ? rl_me.uid : rl_me.fsuid))
        return rl_permit(h->mode, h->uid, h->gid, want, real_ids);
    return (real_ids ? h->acl_real : h->acl_may) >> (want & 7) & 1 ? 0 : -EACCES;
}

long rl_dir_permit(const struct rl_ctx *c, u32 want)
{
    if (!by_acl(c->acl, c->mode, c->uid, rl_me.fsuid))
        return rl_permit(c->mode, c->uid, c->gid, want, 0);
    return c->acl_may >> (want & 7) & 1 ? 0 : -EACCES;
}

long rl_entry_permit_acl(const struct rl_view_entry *e, u32 want, int real_ids)
{
    if ((real_ids ? rl_me.uid : rl_me.fsuid) && rl_acl_in_entry(e))
        return RL_MISS;
    return rl_permit(e->mode, e->uid, e->gid, want, real_ids);
}

long rl_may(const struct rl_hit *h, u32 want)
{
    return h->what == RL_IN_BIND && !h->given ? 0 : rl_hit_permit(h, want, 0);
}

/* The root's own bits are not read on every walk: read them into w->dir if that is the root. */
long rl_root_mode(struct rl_walk *w)
{
    struct rl_hit h;
    struct rl_ctx c;
    if (w->dir.vlen || w->dir.bind >= 0)
        return 0;
    long r = rl_root_hit(w, &c, &h, 0);
    if (r < 0)
        return r;
    rl_ctx_attributes(&w->dir, &h);
    return 0;
}

long rl_may_change(struct rl_walk *w, int victim)
{
    struct rl_ctx *d = &w->dir;
    if ((d->bind >= 0 && !d->given) || !rl_me.fsuid)
        return 0;
    long r = rl_root_mode(w);
    if (r < 0)
        return r;
    r = rl_dir_permit(d, RL_W_OK | RL_X_OK);
    if (r < 0)
        return r;
    if (victim && (d->mode & S_ISVTX) && rl_me.fsuid != w->hit.uid && rl_me.fsuid != d->uid)
        return -EPERM;
    return 0;
}
