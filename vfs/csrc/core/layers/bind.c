/* Binds: host paths visible inside, /proc, /sys and /dev among them.
 *
 * The walk goes through a bind component by component, so that a symbolic link is read in the virtual root and `..`
 * cannot leave. The kernel checks permissions inside, except for a mount with an owner. */
#include "../internal.h"

static u64 hashes[RL_MAX_BINDS];
static u64 devices[RL_MAX_BINDS] RL_BULK; /* and one: of binds whose owners are shown differently; 0 for others */
static struct {
    u64 filter;        /* bit h & 63 of every mount point's hash. Set by init alone */
    u64 within;        /* the same for the directories that contain mount points */
    int devices_known; /* `devices` is filled; by the first caller: two at once write the same values */
} state;
int rl_shown;

/* Binds that are known to be directories: walking through one takes no system call. (If it was removed, look-ups in it
 * fail with ENOENT.) */
static u8 directory[RL_MAX_BINDS];

void rl_bind_init(void)
{
    state.devices_known = 0;
    state.filter = state.within = 0;
    rl_shown = 0;
    memset(directory, 0, rl_launch->binds < RL_MAX_BINDS ? rl_launch->binds : RL_MAX_BINDS);
    for (u32 i = 0; i < rl_launch->binds; i++) {
        struct rl_bind b = rl_bind(i);
        rl_shown |= (b.flags & RL_BIND_SHOWN) != 0;
        hashes[i] = rl_fnv(RL_FNV_START, b.vpath, b.vlen);
        state.filter |= 1ull << (hashes[i] & 63);
        u32 n = b.vlen;
        while (n && b.vpath[--n] != '/')
            ;
        state.within |= 1ull << (rl_fnv(RL_FNV_START, b.vpath, n) & 63);
    }
}

int rl_bind_may_be_in(u64 hash)
{
    return (int)(state.within >> (hash & 63) & 1);
}

int rl_shown_bind(const char *name, struct rl_bind *b)
{
    for (u32 i = 0; i < rl_launch->binds; i++) { /* longest first */
        u32 k = 1;
        if (!(rl_binds[i].flags & RL_BIND_SHOWN) || rl_launch_str(rl_binds[i].vpath)[1] != *name)
            continue;
        *b = rl_bind(i);
        while (k < b->vlen && b->vpath[k] == name[k - 1])
            k++;
        if (k == b->vlen && (name[k - 1] == '/' || !name[k - 1]))
            return 1;
    }
    return 0;
}

u32 rl_shown_prefix(const char *name)
{
    struct rl_bind b;
    return rl_shown_bind(name, &b) ? b.vlen - 1 : 0;
}

int rl_bind_hash(u64 hash)
{
    if (!(state.filter >> (hash & 63) & 1))
        return 0;
    for (u32 i = 0; i < rl_launch->binds; i++)
        if (hashes[i] == hash)
            return 1;
    return 0;
}

int rl_bind_at(u64 hash, const char *v, u32 len)
{
    if (!(state.filter >> (hash & 63) & 1))
        return -1;
    for (u32 i = 0; i < rl_launch->binds; i++) {
        if (hashes[i] != hash)
            continue;
        struct rl_bind b = rl_bind(i);
        if (b.vlen == len && !memcmp(b.vpath, v, len))
            return (int)i;
    }
    return -1;
}

/* No name can be made, removed or renamed in this directory. */
int rl_read_only(const struct rl_ctx *dir)
{
    return dir->bind >= 0 ? (rl_bind((u32)dir->bind).flags & RL_BIND_RO) != 0 : !rl_writable();
}

/* Is there a mount point at this path, or one below that needs it? Such a name can be neither removed nor renamed. */
int rl_bind_below(const char *v, u32 len)
{
    for (u32 i = 0; i < rl_launch->binds; i++) {
        struct rl_bind b = rl_bind(i);
        if (b.vlen >= len && !memcmp(b.vpath, v, len) && (b.vlen == len || (b.vpath[len] == '/' && !(b.flags & RL_BIND_SHOWN))))
            return 1;
    }
    return 0;
}

/* Is bind i mounted in the directory v[0..len)? Its name there. */
int rl_bind_child(u32 i, const char *v, u32 len, const char **name, u32 *n)
{
    struct rl_bind b = rl_bind(i);
    if (b.vlen < len + 2 || memcmp(b.vpath, v, len) || b.vpath[len] != '/' || (b.flags & RL_BIND_UNLISTED))
        return 0;
    *name = b.vpath + len + 1;
    *n = b.vlen - len - 1;
    for (u32 k = 0; k < *n; k++)
        if ((*name)[k] == '/')
            return 0;
    return 1;
}

int rl_bind_in(const char *v, u32 len)
{
    const char *name;
    u32 n;
    for (u32 i = 0; i < rl_launch->binds; i++)
        if (rl_bind_child(i, v, len, &name, &n))
            return 1;
    return 0;
}

long rl_bind_real(const struct rl_walk *w, const struct rl_ctx *c, u32 len, char *out)
{
    struct rl_bind b = rl_bind((u32)c->bind);
    if (len <= b.vlen && !b.hlen)
        return rl_join(out, RL_REAL_MAX, "/", 1, "", 0, "", 0);
    u32 from = len < b.vlen ? len : b.vlen;
    long r = rl_join(out, RL_REAL_MAX, b.host, b.hlen, w->v + from, len - from, "", 0);
    return r == -ENAMETOOLONG ? rl_far_join(w, b.host, w->v + from, len - from, out) : r;
}

/* Is a directory mounted at this path, of the FNV state h? */
int rl_bind_seen(u64 h, const char *v, u32 len, struct rl_ctx *self)
{
    int bind = rl_launch->binds ? rl_bind_at(h, v, len) : -1;
    if (bind < 0 || bind >= RL_MAX_BINDS || !directory[bind])
        return 0;
    memset(self, 0, sizeof *self);
    self->hash = h;
    self->vlen = len;
    self->bind = bind;
    self->mode = S_IFDIR | 0755; /* no check: the kernel decides below it */
    return 1;
}

void rl_bind_owner(const struct rl_bind *b, int top, u32 *mode, u32 *uid, u32 *gid)
{
    if (top && (b->flags & RL_BIND_GIVEN)) {
        *uid = b->uid;
        *gid = b->gid;
        if (b->flags & RL_BIND_MODE)
            *mode = (*mode & S_IFMT) | b->mode;
    } else if (b->flags & RL_BIND_OWNER) {
        if (*uid == rl_launch->host_uid)
            *uid = rl_me.fsuid;
        if (*gid == rl_launch->host_gid)
            *gid = rl_me.fsgid;
    }
}

int rl_bind_device(u64 dev)
{
    struct statx sx;
    for (u32 i = 0; !state.devices_known && i < rl_launch->binds; i++) {
        struct rl_bind b = rl_bind(i);
        devices[i] = 0;
        if ((b.flags & (RL_BIND_OWNER | RL_BIND_GIVEN | RL_BIND_RECORDS)) && k_near(AT_FDCWD, b.hlen ? b.host : "/", 0, &sx) == 0)
            devices[i] = rl_makedev(sx.stx_dev_major, sx.stx_dev_minor) + 1;
    }
    state.devices_known = 1;
    for (u32 i = 0; i < rl_launch->binds; i++)
        if (devices[i] == dev + 1)
            return 1;
    return 0;
}

long rl_bind_status(const struct rl_bind *b, struct statx *sx)
{
    if (!(b->flags & RL_BIND_LINK))
        return k_statx(AT_FDCWD, b->hlen ? b->host : "/", 0, sx);
    long r = k_statx(AT_FDCWD, "/proc/self", AT_SYMLINK_NOFOLLOW, sx); /* a link of the kernel's */
    if (r >= 0) {
        sx->stx_ino = rl_fnv(RL_FNV_START, b->vpath, b->vlen) >> 1;
        sx->stx_size = b->hlen;
    }
    return r;
}

const char *rl_bind_link(const struct rl_walk *w, u32 *len)
{
    struct rl_bind b = rl_bind((u32)w->self.bind);
    *len = b.hlen;
    return b.flags & RL_BIND_LINK ? b.host : NULL;
}

long rl_bind_step(struct rl_walk *w, int bind, int mount, u32 len, struct rl_ctx *self, struct rl_hit *hit)
{
    struct rl_bind b = rl_bind((u32)bind);
    self->bind = bind;
    long r = rl_bind_real(w, self, len, w->s->real);
    if (r < 0)
        return r;
    r = mount ? rl_bind_status(&b, &hit->sx) : k_statx(AT_FDCWD, w->s->real, AT_SYMLINK_NOFOLLOW, &hit->sx);
    if (r == -ENOENT || r == -ENOTDIR)
        return 0;
    if (r < 0)
        return r;
    int records = (b.flags & RL_BIND_RECORDS) != 0, given = records || (mount && (b.flags & RL_BIND_GIVEN));
    if (mount && !given && bind < RL_MAX_BINDS && rl_isdir(hit->sx.stx_mode))
        directory[bind] = 1;
    hit->given = self->given = (u8)given;
    hit->what = RL_IN_BIND;
    hit->mode = hit->sx.stx_mode;
    hit->uid = hit->sx.stx_uid;
    hit->gid = hit->sx.stx_gid;
    if (records) {
        rl_volume_show(&b, mount, w->s->real, hit);
    } else {
        rl_bind_owner(&b, mount, &hit->mode, &hit->uid, &hit->gid);
    }
    if (b.flags & RL_BIND_PROC)
        rl_proc_owner(w->v + b.vlen, len - b.vlen, &hit->uid, &hit->gid);
    rl_ctx_attributes(self, hit);
    return 0;
}
