/* getdents64: merged listings with the kernel's own file position as the cursor.
 *
 * 1. A directory that only the upper has is read by the kernel and filtered; it can never become merged.
 * 2. All others are read from a merged list (listing.c), or the view's own (viewlist.c). Position 0 is `.`, 1 is `..`,
 *    then hashes; END after the last entry.
 * 3. Lists that did not fit into one call are kept in a few slots (listslots.c).
 * 4. A directory of a bind is read by the kernel. Mount points in it that its file system does not have come first, with
 *    position 0: Docker makes them there, and so lists them; a container does not change what it binds. */
#include "../internal.h"

#define END RL_LIST_END

static struct {
    /* One more than the descriptor of the last view directory that was read to its end and not opened since; 0: none. Any
     * thread, atomically. */
    i32 ended;
} state;

/* Such a position is meaningless in any other directory. */
static int at_end(int fd)
{
    return fd >= 0 && fd + 1 == __atomic_load_n(&state.ended, __ATOMIC_RELAXED) && k4(__NR_lseek, fd, 0, 1, 0) == END;
}

void rl_fast_list_begin(int fd)
{
    if (fd + 1 == __atomic_load_n(&state.ended, __ATOMIC_RELAXED))
        __atomic_store_n(&state.ended, 0, __ATOMIC_RELAXED);
}

static long put(char *buf, size_t size, size_t at, u64 ino, i64 off, u8 type, const char *name, u32 len)
{
    u32 n = (RL_DIRENT_HEAD + len + 1 + 7) & ~7u;
    if (at + n > size)
        return 0;
    struct rl_dirent *e = (void *)(buf + at);
    e->ino = ino;
    e->off = off;
    e->reclen = (u16)n;
    e->type = type;
    memcpy(e->name, name, len);
    e->name[len] = 0;
    return n;
}

/* Copy the entries that fit, from position *pos on. */
long rl_list_deliver(const struct rl_list *l, char *buf, size_t size, size_t at, i64 *pos)
{
    for (size_t o = 0; o < l->len;) {
        struct rl_dirent *e = (void *)(l->buf + o);
        if (e->off - 1 < *pos) {
            o += e->reclen;
            continue;
        }
        size_t end = o; /* entries with the same position stay together */
        for (struct rl_dirent *f = e; end < l->len && f->off == e->off; f = (void *)(l->buf + end))
            end += f->reclen;
        if (at + (end - o) > size)
            return at ? (long)at : -EINVAL;
        memcpy(buf + at, l->buf + o, end - o);
        at += end - o;
        *pos = e->off;
        o = end;
    }
    *pos = END;
    return (long)at;
}

/* Inode numbers of a directory and of the one above it. */
struct inos {
    u64 own, parent;
};

static long dots(const struct inos *ino, char *buf, size_t size, i64 *pos)
{
    size_t at = 0;
    if (*pos == 0) {
        long n = put(buf, size, at, ino->own, 1, 4, ".", 1);
        if (!n)
            return -EINVAL;
        at += (size_t)n;
        *pos = 1;
    }
    if (*pos == 1) {
        long n = put(buf, size, at, ino->parent, 2, 4, "..", 2);
        if (!n)
            return at ? (long)at : -EINVAL;
        at += (size_t)n;
        *pos = 2;
    }
    return (long)at;
}

/* A directory that only the upper has: the kernel's listing without the marks. */
static long filtered(struct rl_walk *w, int fd, char *buf, size_t size)
{
    const struct rl_layer *l = &rl_layers[0];
    for (;;) {
        long got = k_getdents(fd, buf, size), at = 0;
        if (got <= 0)
            return got;
        for (long o = 0; o < got;) {
            struct rl_dirent *e = (void *)(buf + o);
            u32 n = e->reclen, len = (u32)strlen(e->name);
            o += n;
            if (rl_reserved(e->name, len))
                continue;
            u64 fnv = rl_fnv(rl_fnv(w->self.hash, "/", 1), e->name, len);
            u32 end = w->vlen + 1 + len;
            if (rl_may_be_recorded(l, fnv) && rl_deep_room(w, end + 1) == 0 && e->name[0] != '.') {
                struct rl_ctx self;
                w->v[w->vlen] = '/';
                memcpy(w->v + w->vlen + 1, e->name, len + 1);
                if (rl_step(w, &w->self, w->v, end, &self, &w->hit) == 0 && w->hit.what != RL_NOTHING) {
                    e->ino = rl_ino_of(&self, &w->hit);
                    e->type = (u8)(w->hit.mode >> 12 & 15);
                }
            }
            memmove(buf + at, e, n);
            at += n;
        }
        if (at)
            return at;
    }
}

/* A directory to list: `w->self`, or, without `w`, one that only the view has. */
struct listed {
    struct rl_walk *w;
    u32 view;
    u64 hash;
    struct inos ino;
};

static long merged(const struct listed *d, int fd, char *buf, size_t size, i64 *pos)
{
    struct rl_list l;
    long at = dots(&d->ino, buf, size, pos);
    if (at < 0 || *pos < 2)
        return at;
    long r = d->w ? rl_list_build(d->w, &l) : rl_list_view(d->view, &l);
    if (r < 0)
        return r;
    r = rl_list_deliver(&l, buf, size, (size_t)at, pos);
    if (*pos == END || r < 0)
        rl_list_free(&l);
    else
        rl_list_to_slot(fd, d->hash, &l);
    return r;
}

/* The next call continues at `pos`. `ahead`: the position is END already. */
static long delivered(long r, int fd, i64 pos, int ahead, int of_view)
{
    long n = r < 0 || (ahead && pos == END) ? r : k4(__NR_lseek, fd, pos, 0, 0);
    if (pos == END && of_view)
        __atomic_store_n(&state.ended, fd + 1, __ATOMIC_RELAXED);
    return n < 0 ? n : r;
}

/* A damaged view's parent may be no entry. */
static u64 view_ino(u32 id)
{
    const struct rl_view_entry *e = rl_view_entry(id);
    return e ? RL_INO_BASE + e->ino : 0;
}

/* The file position. Most listings are read from beginning to end in one call: then it is set to its final value at
 * once. */
static i64 position(int fd, int *ahead)
{
    i64 at = k4(__NR_lseek, fd, END, 1, 0);
    *ahead = at == END;
    if (at < 0)
        return k4(__NR_lseek, fd, 0, 1, 0);
    return *ahead ? 0 : k4(__NR_lseek, fd, at - END, 0, 0);
}

static struct listed listed_view(const struct rl_base *b)
{
    struct listed d = {NULL, b->id, b->hash, {view_ino(b->id), view_ino(rl_view_entry(b->id)->parent)}};
    return d;
}

/* A clear directory that only the view has: listed without a walk. */
static int is_clear(const struct rl_base *b)
{
    return b->kind == RL_BASE_VIEW && b->clear && !rl_base_covered(b) && !rl_bind_may_be_in(b->hash);
}

static long clear(const struct rl_base *b, int fd, char *buf, size_t size)
{
    struct listed d = listed_view(b);
    int ahead;
    i64 pos = position(fd, &ahead);
    if (pos < 0 || pos >= END)
        return pos < 0 ? pos : 0;
    long r = pos > 1 ? rl_list_from_slot(fd, b->hash, buf, size, &pos) : -ENOENT;
    if (r == -ENOENT)
        r = merged(&d, fd, buf, size, &pos);
    if (r < 0 && ahead)
        k4(__NR_lseek, fd, 0, 0, 0);
    return delivered(r, fd, pos, ahead, 1);
}

long rl_fast_list(int fd, char *buf, size_t size)
{
    struct rl_base b;
    i64 pos = 0;
    int ahead;
    if (at_end(fd))
        return 0;
    rl_fdcache_directory(fd, &b, buf, size);
    if (!is_clear(&b))
        return RL_MISS;
    struct listed d = listed_view(&b);
    long at = dots(&d.ino, buf, size, &pos);
    if (at < 0 || pos < 2)
        return RL_MISS;
    long n = rl_list_few(b.id, buf + at, size - (size_t)at);
    if (n < 0 || position(fd, &ahead) < 0 || !ahead)
        return RL_MISS;
    __atomic_store_n(&state.ended, fd + 1, __ATOMIC_RELAXED);
    return at + n;
}

void rl_fast_list_again(int fd)
{
    k4(__NR_lseek, fd, 0, 0, 0);
}

/* Inode number of the directory above v[0..len). */
static u64 parent_ino(struct rl_walk *w, char *v, u32 len)
{
    while (len && v[len - 1] != '/')
        len--;
    if (!len)
        return 0;
    v[len - 1] = 0;
    u64 ino = rl_resolve_plain(w, v) == 0 ? rl_ino_of(&w->self, &w->hit) : 0;
    v[len - 1] = '/';
    return ino;
}

/* The merged listing of w->self. RL_MISS: `upper`, its descriptor is one of the upper, and nothing else has it. */
static long list_walked(struct rl_walk *w, int fd, int upper, u64 parent, char *buf, size_t size, i64 *pos)
{
    if (upper && w->self.mask == 1 && !w->self.view && !rl_bind_in(w->v, w->vlen))
        return RL_MISS;
    if (*pos >= END)
        return 0;
    u64 own = rl_ino_of(&w->self, &w->hit);
    struct listed d = {w, 0, w->self.hash, {own, w->vlen ? parent : own}};
    return merged(&d, fd, buf, size, pos);
}

/* The merged listing of the directory with the path name[0..len); `only`: its descriptor is one of the upper. */
static long list_named(struct rl_walk *w, int fd, char *name, u32 len, const struct rl_origin *o, int known, char *buf,
                       size_t size, i64 *pos)
{
    int upper = o->place == RL_PLACE_LAYER && !o->index && rl_writable();
    u64 parent = *pos <= 1 ? parent_ino(w, name, len) : 0;
    long r = rl_resolve_plain(w, name);
    if (r >= 0 && !rl_isdir(w->hit.mode))
        r = -ENOTDIR;
    if (r < 0)
        return r == -ENOTDIR && known ? -ENOENT : r; /* removed, and a file now has its name */
    if (!rl_is_origin(w, &w->self, o))
        return -ENOENT;
    if (upper)
        rl_begin_at(w, fd);
    return list_walked(w, fd, o->place == RL_PLACE_LAYER && !o->index, parent, buf, size, pos);
}

/* A directory whose path is too long for a text. */
static long list_deep(struct rl_walk *w, int fd, char *buf, size_t size)
{
    struct rl_since since = rl_since(w);
    i64 pos = k4(__NR_lseek, fd, 0, 1, 0);
    if (pos < 0)
        return pos;
    long r = rl_resolve(w, fd, "..", RL_EXISTS, 0);
    u64 parent = r >= 0 ? rl_ino_of(&w->self, &w->hit) : 0;
    r = rl_resolve(w, fd, "", RL_EMPTY, 0);
    if (r == -EXDEV || (r >= 0 && w->self.bind >= 0)) /* outside, or a bind */
        return k_getdents(fd, buf, size);
    if (r < 0)
        return rl_and_still(w, since, r);
    int upper = w->at != RL_NO_AT;
    r = pos > 1 ? rl_list_from_slot(fd, w->self.hash, buf, size, &pos) : -ENOENT;
    if (r == -ENOENT)
        r = rl_and_still(w, since, list_walked(w, fd, upper, parent, buf, size, &pos));
    if (r == RL_MISS)
        return rl_layers[0].flags & RL_DIR_MARKS ? filtered(w, fd, buf, size) : k_getdents(fd, buf, size);
    return r == -ESTALE ? r : delivered(r, fd, pos, 0, 0);
}

/* A directory of a bind, whose real path is w->s->real[0..len): rule 4. */
static long list_bind(struct rl_walk *w, int fd, const struct rl_real *at, u32 len, char *buf, size_t size)
{
    const size_t least = RL_DIRENT_HEAD + RL_NAME_MAX + 1 + 8; /* for the kernel's next entry */
    struct rl_scratch *s = w->s;
    struct rl_origin o;
    struct statx sx;
    size_t used = 0;
    long n = rl_real_virtual(s->real, len, at, s->text, &o);
    if (n < 0 || !rl_bind_in(s->text, (u32)n) || k4(__NR_lseek, fd, 0, 1, 0) != 0)
        return rl_proc_list(fd, s->real, at, buf, size);
    for (u32 i = 0; i < rl_launch->binds; i++) {
        const char *name; /* the end of the bind's path: a text */
        u32 k;
        if (!rl_bind_child(i, s->text, (u32)n, &name, &k) || k_statx(fd, name, AT_SYMLINK_NOFOLLOW, &sx) != -ENOENT)
            continue;
        struct rl_bind b = rl_bind(i);
        if (size > used + least && rl_bind_status(&b, &sx) == 0)
            used += (size_t)put(buf, size - least, used, sx.stx_ino, 0, (u8)(sx.stx_mode >> 12 & 15), name, k);
    }
    long got = k_getdents(fd, buf + used, size - used);
    return got > 0 ? got + (long)used : got; /* without the kernel's entries the position would stay 0 */
}

/* A plain directory (dircache.c, rule 6), whose path is `name`: rule 1, without a walk. */
static long list_plain(struct rl_walk *w, int fd, const char *name, const struct rl_base *b, char *buf, size_t size)
{
    memcpy(w->v, name, b->len + 1);
    w->vlen = b->len;
    w->self = (struct rl_ctx){.hash = b->hash, .vlen = b->len, .mask = 1, .bind = -1};
    rl_begin_at(w, fd);
    return filtered(w, fd, buf, size);
}

static long list_at(struct rl_walk *w, int fd, char *buf, size_t size)
{
    struct rl_scratch *s = w->s;
    struct rl_since since = rl_since(w);
    struct rl_real at = {RL_PLACE_TREE, 0, 0};
    struct rl_base b;
    enum rl_base_kind known = rl_fdcache_named(fd, &b, s->text, sizeof s->text) ? b.kind : RL_BASE_OTHER;
    if (is_clear(&b))
        return clear(&b, fd, buf, size);
    if (b.deep)
        return list_deep(w, fd, buf, size);
    if (known == RL_BASE_UPPER && b.plain && b.len < RL_LONG && !rl_bind_may_be_in(b.hash))
        return list_plain(w, fd, s->text, &b, buf, size);
    struct rl_origin o;
    long n = known ? rl_base_virtual(&b, s->text, &o) : rl_fd_real(fd, s->real, sizeof s->real);
    if (n == -ENAMETOOLONG || n > RL_LONG)
        return list_deep(w, fd, buf, size);
    if (n < 0 && known)
        return rl_and_still(w, since, n);
    if (n < 0)
        return k_getdents(fd, buf, size);
    if (!known)
        at = rl_classify(s->real, (u32)n);
    else if (known == RL_BASE_UPPER)
        at.place = RL_PLACE_LAYER;
    if (at.place == RL_OUTSIDE)
        return k_getdents(fd, buf, size);
    if (at.place == RL_PLACE_BIND)
        return list_bind(w, fd, &at, (u32)n, buf, size);
    i64 pos = k4(__NR_lseek, fd, 0, 1, 0);
    if (pos < 0)
        return pos == -ESPIPE ? -ENOTDIR : pos;
    if (!known)
        n = rl_real_virtual(s->real, (u32)n, &at, s->text, &o);
    if (n == -ENAMETOOLONG)
        return list_deep(w, fd, buf, size);
    if (n < 0)
        return rl_and_still(w, since, n);
    u32 len = (u32)n;
    long r = -ENOENT;
    if (pos >= END && !(at.place == RL_PLACE_LAYER && at.index == 0))
        return 0;
    if (pos > 1)
        r = rl_list_from_slot(fd, rl_fnv(RL_FNV_START, s->text, len), buf, size, &pos);
    if (r == -ENOENT) {
        char name[RL_PATH_MAX];
        memcpy(name, s->text, len);
        name[len] = 0;
        r = list_named(w, fd, name, len, &o, known, buf, size, &pos);
        r = rl_and_still(w, since, r);
    }
    if (r == RL_MISS)
        return rl_layers[0].flags & RL_DIR_MARKS ? filtered(w, fd, buf, size) : k_getdents(fd, buf, size);
    return r == -ESTALE ? r : delivered(r, fd, pos, 0, known == RL_BASE_VIEW);
}

long rl_getdents64(int fd, void *buf, size_t size)
{
    struct rl_scratch s;
    struct rl_walk w;
    long r;
    rl_walk_start(&w, &s);
    do
        r = list_at(&w, fd, buf, size);
    while (rl_retry(&w, &r));
    return r;
}
