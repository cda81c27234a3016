/* One step of a path: the object of a name in a merged directory.
 *
 * 1. Layers from top to bottom, then the view; the first that has the name or its whiteout decides.
 * 2. Directories merge downwards until one is opaque, redirected, or covered.
 * 3. A redirect starts again from the root of the layers below: recursion, bounded by REDIRECT_DEPTH.
 * 4. No system call if a Bloom filter or the view can answer. A bit of the removal map counts as a whiteout in the upper,
 *    in a directory at its own path.
 * 5. The layer that leads to shown binds (RL_DIR_WAYS) is read last, below the view, though it is the last of the
 *    directory layers: directories that other layers have keep their attributes. */
#include "../internal.h"
#include "../layers/acl.h"

#define REDIRECT_DEPTH 6

static long step(struct rl_walk *w, const struct rl_ctx *dir, const char *base, u32 len, struct rl_ctx *self,
                 struct rl_hit *hit, int depth);

void rl_walk_start(struct rl_walk *w, struct rl_scratch *s)
{
    w->s = s;
    w->aliases = 1;
    w->arena_used = 0;
    w->lock = w->want = w->fd = w->pin = w->own = -1;
    w->at = RL_NO_AT;
    w->at_len = w->tries = 0;
    w->relative = w->steady = 0;
    w->quiet = rl_quiet(&w->moment);
    w->vlen = 0;
    w->slash = w->dot = 0;
    w->v = w->near;
    w->deep = NULL;
    w->near[0] = 0;
}

long rl_layer_path(const struct rl_walk *w, const struct rl_ctx *dir, const char *base, u32 len, u32 i, char *out)
{
    const struct rl_layer *l = &rl_layers[i];
    u32 a = dir->alias[i];
    if (!i && base == w->v && w->at != RL_NO_AT)
        return rl_upper_path(w, len, out);
    u32 from = a ? w->alias[a].vlen : 0;
    const char *text = w->arena + (a ? w->alias[a].off : 0);
    u32 n = a ? w->alias[a].len : 0;
    long r = rl_join(out, RL_REAL_MAX, l->path, l->len, text, n, base + from, len - from);
    if (r != -ENAMETOOLONG)
        return r;
    if (!n)
        return rl_far_join(w, l->path, base + from, len - from, out);
    r = rl_join(w->s->mark, sizeof w->s->mark, l->path, l->len, text, n, "", 0);
    return r < 0 ? r : rl_far_join(w, w->s->mark, base + from, len - from, out);
}

int rl_is_opaque(struct rl_scratch *s, const struct rl_layer *l, u64 fnv, u32 len)
{
    if (l->bloom && len == l->len)
        return (int)l->opaque;
    if (!(l->flags & RL_DIR_MARKS) || !rl_bloom_test(l, rl_bloom_key(fnv, RL_BLOOM_OPAQUE)))
        return 0;
    return rl_opaque_path(s->mark, sizeof s->mark, s->real, len) >= 0 && k_exists(s->mark);
}

static int is_whiteout(struct rl_scratch *s, const struct rl_layer *l, u32 len)
{
    return (l->flags & RL_DIR_MARKS) && rl_whiteout_path(s->mark, sizeof s->mark, s->real, len) >= 0 &&
           k_exists(s->mark);
}

void rl_show_real(const struct rl_layer *l, struct rl_hit *h)
{
    int marks = l->flags & RL_DIR_MARKS;
    h->mode = h->rec.has & RL_HAS_MODE ? h->rec.mode : h->sx.stx_mode;
    if (!(h->mode & S_IFMT)) /* a record without type bits: written wrongly elsewhere; the file has the type */
        h->mode |= h->sx.stx_mode & S_IFMT;
    h->acl = 0;
    h->uid = h->sx.stx_uid;
    h->gid = h->sx.stx_gid;
    if (h->rec.has & RL_HAS_UID)
        h->uid = h->rec.uid;
    else if (marks || h->uid == rl_launch->host_uid)
        h->uid = marks ? l->uid : rl_launch->map_uid;
    if (h->rec.has & RL_HAS_GID)
        h->gid = h->rec.gid;
    else if (marks || h->gid == rl_launch->host_gid)
        h->gid = marks ? l->gid : rl_launch->map_gid;
}

void rl_show_view(u32 id, struct rl_hit *h)
{
    const struct rl_view_entry *e = rl_view_entry(id);
    h->what = RL_IN_VIEW;
    h->view = id;
    h->layer = -1;
    h->mode = e->mode;
    h->uid = e->uid;
    h->gid = e->gid;
    h->rec.has = 0;
    h->acl = 0;
    if (e->xattrs_len)
        rl_acl_judge_view(e, h);
}

void rl_ctx_attributes(struct rl_ctx *c, const struct rl_hit *h)
{
    c->mode = h->mode;
    c->uid = h->uid;
    c->gid = h->gid;
    c->acl = h->acl;
    c->acl_may = h->acl_may;
}

static int new_alias(struct rl_walk *w, u32 off, u32 len, u32 vlen)
{
    if (w->aliases >= RL_ALIASES)
        return -ENAMETOOLONG;
    w->alias[w->aliases].off = (u16)off;
    w->alias[w->aliases].len = (u16)len;
    w->alias[w->aliases].vlen = vlen;
    return w->aliases++;
}

/* The layers below `above`, as `path` (in the arena) shows them, become the lower part of `self`. */
static __attribute__((noinline)) long redirect(struct rl_walk *w, u32 above, u32 off, u32 plen, u32 len,
                                               struct rl_ctx *self, struct rl_hit *hit, int depth)
{
    struct rl_ctx a, b;
    struct rl_hit found;
    const char *path = w->arena + off;
    if (depth >= REDIRECT_DEPTH)
        return -ELOOP;
    long r = rl_step_root(w, above + 1, &a, &found);
    for (u32 end = 0; r >= 0 && end < plen;) {
        for (end++; end < plen && path[end] != '/';)
            end++;
        if (end - a.vlen < 2)
            return -EIO; /* an empty name: not canonical */
        r = step(w, &a, path, end, &b, &found, depth + 1);
        if (r >= 0 && !rl_isdir(found.mode))
            return 0; /* nothing exists there: no lower part */
        a = b;
    }
    if (r < 0)
        return r;
    for (u32 i = above + 1; i < rl_nlayers; i++) {
        if (!(a.mask >> i & 1))
            continue;
        u32 o = off, n = plen, old = a.alias[i];
        if (old) { /* text of the inner redirect, then the rest of this one's path */
            u32 tail = plen - w->alias[old].vlen;
            o = w->arena_used;
            n = w->alias[old].len + tail;
            if (o + n > RL_ARENA)
                return -ENAMETOOLONG;
            memmove(w->arena + o, w->arena + w->alias[old].off, w->alias[old].len);
            memmove(w->arena + o + w->alias[old].len, path + w->alias[old].vlen, tail);
            w->arena_used = (u16)(o + n);
        }
        r = new_alias(w, o, n, len);
        if (r < 0)
            return r;
        self->alias[i] = (u8)r;
    }
    self->mask |= a.mask;
    self->view = a.view;
    if (!hit->lower_ino)
        hit->lower_ino = a.view ? RL_INO_BASE + rl_view_entry(a.view)->ino : rl_ino_of(&a, &found);
    return 0;
}

/* A layer's directory joins `self`. Returns 1 when nothing below it shows. */
static long add_dir(struct rl_walk *w, u32 i, u64 fnv, u32 n, u32 len, struct rl_record *rec, struct rl_ctx *self,
                    struct rl_hit *hit, int depth)
{
    struct rl_scratch *s = w->s;
    self->mask |= 1u << i;
    if (rec->has & RL_HAS_REDIRECT) {
        u32 off = w->arena_used, plen = rec->redirect_len;
        if (off + plen > RL_ARENA)
            return -ENAMETOOLONG;
        memcpy(w->arena + off, s->text + rec->redirect, plen);
        w->arena_used = (u16)(off + plen);
        long r = redirect(w, i, off, plen, len, self, hit, depth);
        return r < 0 ? r : 1;
    }
    return rl_is_opaque(s, &rl_layers[i], fnv, n);
}

/* Nothing below the upper has this name: whether a whiteout is there makes no difference, and need not be asked. Most
 * new names that existed before (a lock file, an object file) are such. */
static int hides_nothing(const struct rl_ctx *dir, const char *name, u32 len)
{
    return !(dir->mask & ~1u & ~rl_ways) && (!dir->view || !rl_view_find(dir->view, name, len));
}

/* Look the name up in one layer. Returns 0: continue below, 1: decided. */
static long look(struct rl_walk *w, const struct rl_ctx *dir, const char *base, u32 len, u32 i, struct rl_ctx *self,
                 struct rl_hit *hit, int depth)
{
    struct rl_scratch *s = w->s;
    const struct rl_layer *l = &rl_layers[i];
    u64 fnv = self->hash;
    u32 name = dir->vlen + 1;
    if ((l->flags & RL_DIR_MARKS) && rl_reserved(base + name, len - name))
        return 0;
    if (!dir->alias[i] && !rl_bloom_test(l, rl_bloom_key(fnv, RL_KEY_PATH)))
        return 0;
    long n = rl_layer_path(w, dir, base, len, i, s->real);
    if (n < 0)
        return n;
    if (dir->alias[i]) {
        fnv = rl_fnv(RL_FNV_START, s->real + l->len, (u32)n - l->len);
        if (!rl_bloom_test(l, rl_bloom_key(fnv, RL_KEY_PATH)))
            return 0;
    }
    int first = hit->what == RL_NOTHING;
    struct statx *sx = first ? &hit->sx : &s->sx;
    long r = k_lstat(s->real, sx);
    if (r == -ENOENT || r == -ENOTDIR) {
        if ((i == 0 && hides_nothing(dir, base + name, len - name)) || !is_whiteout(s, l, (u32)n))
            return 0;
        if (first && i == 0)
            hit->white = 1;
        return 1;
    }
    if (r < 0)
        return r;
    if (!first && !rl_isdir(sx->stx_mode))
        return 1;
    struct rl_record other, *rec = first ? &hit->rec : &other;
    int recalled = i == 0 && rl_attrcache_find(sx, rec);
    r = recalled ? 1 : rl_record_read(s, l, fnv, sx->stx_mode, s->real, (u32)n, s->text, rec);
    if (r < 0)
        return r;
    if (i == 0 && r > 0 && !recalled && w->quiet)
        rl_attrcache_add(w->moment, sx, rec);
    if (first) {
        hit->what = RL_IN_LAYER;
        hit->layer = (i32)i;
        rl_show_real(l, hit);
        if (hit->rec.has & RL_HAS_ACLS)
            rl_acl_judge(hit, s->text);
    }
    if (!hit->lower_ino && (i > 0 || !rl_writable()))
        hit->lower_ino = rec->has & RL_HAS_INO ? rec->ino : sx->stx_ino;
    return rl_isdir(sx->stx_mode) ? add_dir(w, i, fnv, (u32)n, len, rec, self, hit, depth) : 1;
}

/* Rule 5. That layer is plain: no marks, nothing but directories. */
static long look_for_way(struct rl_walk *w, const struct rl_ctx *dir, const char *base, u32 len, struct rl_ctx *self,
                         struct rl_hit *hit)
{
    u32 i = (u32)__builtin_ctz(rl_ways);
    if ((hit->what != RL_NOTHING && !rl_isdir(hit->mode)) || dir->alias[i] ||
        !rl_bloom_test(&rl_layers[i], rl_bloom_key(self->hash, RL_KEY_PATH)))
        return 0;
    if (hit->what == RL_NOTHING) {
        long r = rl_layer_path(w, dir, base, len, i, w->s->real);
        if (r >= 0)
            r = k_lstat(w->s->real, &hit->sx);
        if (r < 0)
            return r == -ENOENT ? 0 : r;
        hit->what = RL_IN_LAYER;
        hit->layer = (i32)i;
        hit->lower_ino = hit->sx.stx_ino;
        rl_show_real(&rl_layers[i], hit);
    }
    self->mask |= rl_ways;
    return 0;
}

void rl_hit_clear(struct rl_hit *h)
{
    h->what = RL_NOTHING;
    h->white = h->magic = h->given = h->acl = 0;
    h->layer = -1;
    h->view = h->mode = h->uid = h->gid = 0;
    h->lower_ino = 0;
    h->rec.has = 0;
}

static void ctx_child(const struct rl_ctx *dir, const char *base, u32 len, struct rl_ctx *self)
{
    self->hash = rl_fnv(dir->hash, base + dir->vlen, len - dir->vlen);
    self->vlen = len;
    self->mask = 0;
    self->view = 0;
    self->bind = -1;
    self->given = self->acl = 0;
    memcpy(self->alias, dir->alias, sizeof self->alias);
}

int rl_bits_count(const struct rl_walk *w, const struct rl_ctx *dir, const char *base)
{
    long n = (dir->mask & 1) ? rl_view_path(dir->view, w->s->mark, sizeof w->s->mark) : -1;
    return n >= 0 && (u32)n == dir->vlen && !memcmp(w->s->mark, base, (size_t)n);
}

static long step(struct rl_walk *w, const struct rl_ctx *dir, const char *base, u32 len, struct rl_ctx *self,
                 struct rl_hit *hit, int depth)
{
    rl_hit_clear(hit);
    ctx_child(dir, base, len, self);
    long r = 0;
    for (u32 m = dir->mask & ~rl_ways; m && !r; m &= m - 1)
        r = look(w, dir, base, len, (u32)__builtin_ctz(m), self, hit, depth);
    if (r < 0)
        return r;
    int more = !r;
    if (more && dir->view) {
        u32 name = dir->vlen + 1, id = rl_view_find(dir->view, base + name, len - name);
        const struct rl_view_entry *e = rl_view_entry(id);
        if (e && hit->what == RL_NOTHING && rl_removed(id) && rl_bits_count(w, dir, base)) {
            hit->white = 1;
            more = 0;
        } else if (e && hit->what == RL_NOTHING) {
            rl_show_view(id, hit);
        }
        if (e && e->type == 'd' && rl_isdir(hit->mode))
            self->view = id;
    }
    if (more && (dir->mask & rl_ways)) {
        r = look_for_way(w, dir, base, len, self, hit);
        if (r < 0)
            return r;
    }
    if (self->view)
        hit->lower_ino = RL_INO_BASE + rl_view_entry(self->view)->ino;
    rl_ctx_attributes(self, hit);
    return 0;
}

long rl_step(struct rl_walk *w, const struct rl_ctx *dir, const char *base, u32 len, struct rl_ctx *self,
             struct rl_hit *hit)
{
    if (base == w->v && rl_launch->binds) {
        u64 h = rl_fnv(dir->hash, base + dir->vlen, len - dir->vlen);
        int bind = rl_bind_at(h, base, len);
        if (bind >= 0 || dir->bind >= 0) {
            rl_hit_clear(hit);
            ctx_child(dir, base, len, self);
            return rl_bind_step(w, bind >= 0 ? bind : dir->bind, bind >= 0, len, self, hit);
        }
    }
    return step(w, dir, base, len, self, hit, 0);
}

long rl_step_lower(struct rl_walk *w, struct rl_ctx *self, struct rl_hit *hit)
{
    struct rl_ctx below = w->dir;
    below.mask &= ~1u;
    return step(w, &below, w->v, w->vlen, self, hit, 0);
}

int rl_upper_only(struct rl_walk *w)
{
    struct rl_ctx self;
    struct rl_hit below;
    return rl_unlinked(w) && rl_step_lower(w, &self, &below) == 0 && below.what == RL_NOTHING;
}

long rl_again(struct rl_walk *w)
{
    return w->vlen ? rl_step(w, &w->dir, w->v, w->vlen, &w->self, &w->hit) : rl_root_hit(w, &w->self, &w->hit, 1);
}
