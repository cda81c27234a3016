/* The root of a container as a merged directory, and as an object. */
#include "../internal.h"
#include "../layers/acl.h"

long rl_step_root(struct rl_walk *w, u32 from, struct rl_ctx *c, struct rl_hit *hit)
{
    struct rl_scratch *s = w->s;
    rl_hit_clear(hit);
    memset(c, 0, sizeof *c);
    c->hash = RL_FNV_START;
    c->bind = -1;
    int covered = 0;
    for (u32 i = from; i < rl_nlayers && !covered; i++) {
        const struct rl_layer *l = &rl_layers[i];
        c->mask |= 1u << i;
        memcpy(s->real, l->path, l->len + 1);
        covered = rl_is_opaque(s, l, c->hash, l->len);
    }
    if (!covered && rl_view_entry(RL_VIEW_ROOT))
        c->view = RL_VIEW_ROOT;
    c->mode = S_IFDIR | 0755; /* rl_root_hit() shows the real one; for searching, this is enough */
    c->uid = rl_launch->map_uid;
    c->gid = rl_launch->map_gid;
    return 0;
}

/* An upper's root has the attributes of the root below it, until a record says that they changed. */
static void root_below(struct rl_walk *w, const struct rl_ctx *c, struct rl_hit *hit)
{
    struct rl_hit below;
    const struct rl_view_entry *e = rl_view_entry(c->view);
    u32 mask = c->mask & ~1u & ~rl_ways;
    below.what = RL_NOTHING;
    if (mask) {
        const struct rl_layer *l = &rl_layers[__builtin_ctz(mask)];
        memcpy(w->s->real, l->path, l->len + 1);
        if (k_statx(AT_FDCWD, l->len ? l->path : "/", 0, &below.sx) == 0 &&
            rl_record_read(w->s, l, RL_FNV_START, S_IFDIR, l->len ? l->path : "/", l->len, w->s->text, &below.rec) >= 0) {
            rl_show_real(l, &below);
            if (below.rec.has & RL_HAS_ACLS)
                rl_acl_judge(&below, w->s->text);
            below.what = RL_IN_LAYER;
            hit->lower_ino = below.sx.stx_ino;
        }
    } else if (e) {
        rl_show_view(c->view, &below);
    }
    if (below.what == RL_NOTHING || hit->rec.has & RL_HAS_MODE)
        return;
    hit->mode = below.mode;
    hit->acl = below.acl;
    hit->acl_may = below.acl_may;
    hit->acl_real = below.acl_real;
    hit->uid = hit->rec.has & RL_HAS_UID ? hit->uid : below.uid;
    hit->gid = hit->rec.has & RL_HAS_GID ? hit->gid : below.gid;
}

long rl_root_hit(struct rl_walk *w, struct rl_ctx *c, struct rl_hit *hit, int exact)
{
    struct rl_scratch *s = w->s;
    rl_step_root(w, 0, c, hit);
    if (c->view && (c->mask & ~rl_ways) == 1 && !rl_may_be_recorded(&rl_layers[0], c->hash) && !exact) {
        rl_show_view(c->view, hit); /* no system call: only the times may be older */
    } else if (c->mask) {
        u32 i = (u32)__builtin_ctz(c->mask);
        const struct rl_layer *l = &rl_layers[i];
        memcpy(s->real, l->path, l->len + 1);
        long r = k_statx(AT_FDCWD, l->len ? l->path : "/", 0, &hit->sx);
        if (r < 0)
            return r;
        r = rl_record_read(s, l, RL_FNV_START, S_IFDIR, s->real, l->len, s->text, &hit->rec);
        if (r < 0)
            return r;
        hit->what = RL_IN_LAYER;
        hit->layer = (i32)i;
        rl_show_real(l, hit);
        if (hit->rec.has & RL_HAS_ACLS)
            rl_acl_judge(hit, s->text);
        if (i == 0 && rl_writable())
            root_below(w, c, hit);
        else
            hit->lower_ino = hit->sx.stx_ino;
    } else if (c->view) {
        rl_show_view(c->view, hit);
    }
    if (c->view)
        hit->lower_ino = RL_INO_BASE + rl_view_entry(c->view)->ino;
    rl_ctx_attributes(c, hit);
    return hit->what == RL_NOTHING ? -ENOENT : 0;
}
