/* A new regular file, with the descriptor that the program gets (answer/open.c, rules 2 and 3). */
#include "../internal.h"

/* Its record is an attribute: it is made under a temporary name, and renamed while it is open. */
static __attribute__((noinline)) long create_held(struct rl_walk *w, u32 mode, struct rl_open *o, u32 record)
{
    char temp[RL_REAL_MAX];
    u64 fnv = rl_vhash(w);
    u32 len = (u32)strlen(o->real);
    long r = rl_temp_new_path(temp, sizeof temp, o->real, len);
    long fd = r < 0 ? r : k_open(temp, (o->flags & ~O_TRUNC) | O_CREAT | O_EXCL, mode & 07777);
    if (fd < 0)
        return fd;
    struct rl_record rec;
    r = rl_record_put(fnv, fd, temp, mode, w->s->text, record);
    int held = r == 0;
    if (r > 0)
        r = rl_record_link(w, fnv, o->real, len, w->s->text, (u32)r);
    if (r >= 0)
        r = rl_publish(w, temp, o->real);
    if (r >= 0 && held && w->quiet && rl_record_parse(w->s->text, record, &rec) >= 0) {
        rec.has |= RL_IN_FILE;
        rl_fdcache_created((int)fd, w->moment, &rec);
    }
    if (r >= 0)
        return fd;
    k_unlink(temp, 0);
    k_close(fd);
    return r;
}

/* It needs a record, or a mark of its name must be removed. */
static long create_marked(struct rl_walk *w, const struct rl_owner *owner, struct rl_open *o)
{
    u32 mode = rl_written_mode(owner->mode);
    long n = rl_owner_text(w, owner, mode);
    int held = n > 0 && rl_record_held(mode), white = w->hit.white;
    long r = n < 0 ? n : held && !white ? 0 : rl_lock(w);
    if (r >= 0 && held) {
        r = create_held(w, mode, o, (u32)n);
    } else if (r >= 0) {
        r = k_exists(o->real) ? -EEXIST : rl_record_link(w, rl_vhash(w), o->real, (u32)strlen(o->real), w->s->text, (u32)n);
        if (r >= 0)
            r = k_open(o->real, (o->flags & ~O_TRUNC) | O_CREAT | O_EXCL, mode & 07777);
    }
    if (r >= 0 && white)
        rl_whiteout_drop(w);
    r = rl_lowest(w, r, o->flags);
    rl_unlock(w);
    return r;
}

long rl_open_new(struct rl_walk *w, unsigned mode, struct rl_open *o)
{
    static const struct rl_record none;
    struct rl_owner owner;
    long r = rl_create_begin(w, o->real);
    if (r < 0)
        return r;
    o->flags = rl_readable(o->flags);
    if ((o->flags & O_ACCMODE) == O_RDONLY)
        o->flags &= ~O_TRUNC; /* it is empty (answer/open.c, rule 5) */
    mode &= 07777;
    if (rl_bind_records(w->dir.bind)) {
        o->regular = 1;
        rl_owner_new(w, S_IFREG | mode, &owner);
        o->done_fd = (int)rl_volume_create(w, o->real, o->flags, &owner);
        return o->done_fd;
    }
    if (w->dir.bind >= 0) {
        o->mode = mode & ~(RL_SET_ID | rl_me.umask);
        if (rl_is_text(o->real))
            return 0;
        r = k_open(o->real, o->flags, o->mode); /* its descriptor is closed with the walk */
        o->done_fd = (int)r;
        return r < 0 ? r : 0;
    }
    o->regular = 1;
    rl_owner_new(w, S_IFREG | mode, &owner);
    if (!rl_create_simple(w, &owner))
        r = create_marked(w, &owner, o);
    else if ((r = k_open(o->real, o->flags | O_CREAT | O_EXCL, rl_real_mode(owner.mode) & 07777)) >= 0 && w->quiet)
        rl_fdcache_created((int)r, w->moment, &none);
    if (r == -EEXIST && !(o->flags & O_EXCL))
        return -ESTALE; /* another process made it: start again */
    if (r >= 0) {
        o->done_fd = (int)r;
        rl_late(w);
    }
    return r;
}
