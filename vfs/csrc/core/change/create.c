/* The steps before every new name: checks, the parent in the upper, the Bloom bit. */
#include "../internal.h"

/* The real path for the walk's missing last name. Length. */
long rl_create_begin(struct rl_walk *w, char *real)
{
    u32 name = w->dir.vlen + 1;
    if (w->dir.bind >= 0) {
        if (rl_read_only(&w->dir))
            return -EROFS;
        long may = rl_may_change(w, 0);
        return may < 0 ? may : rl_bind_real(w, &w->dir, w->vlen, real);
    }
    if (w->self.bind >= 0)
        return -EROFS; /* a mount point whose host path is missing */
    if (!rl_writable())
        return -EROFS;
    if (rl_reserved(w->v + name, w->vlen - name))
        return -EPERM;
    long r = rl_root_mode(w);
    if (r >= 0)
        r = rl_may_change(w, 0);
    if (r >= 0)
        r = rl_copyup_parents(w);
    if (r >= 0)
        r = rl_hold(w);
    if (r >= 0 && w->lock < 0 && w->at == RL_NO_AT && !rl_current(w)) /* the path may lead to another directory by now */
        r = -ESTALE;
    if (r >= 0)
        r = rl_upper_path(w, w->vlen, real);
    if (r < 0)
        return r;
    rl_bloom_set(&rl_layers[0], rl_bloom_key(rl_vhash(w), RL_KEY_PATH));
    return r;
}

/* Can the object be made by one system call? Not if a whiteout must be removed, or if a dying process may have left a
 * record. */
int rl_create_simple(const struct rl_walk *w, const struct rl_owner *o)
{
    return !w->hit.white && rl_owner_plain(o, rl_real_mode(o->mode)) && (o->mode & S_IFMT) != S_IFCHR &&
           (o->mode & S_IFMT) != S_IFBLK &&
           rl_unrecorded(w);
}

long rl_publish(struct rl_walk *w, const char *temp, const char *real)
{
    long r = k_rename(temp, real, RENAME_NOREPLACE);
    if (r != -EINVAL)
        return r;
    int mine = w->lock < 0; /* a file system without that flag: the lock protects us */
    r = rl_lock(w);
    if (r >= 0)
        r = k_exists(real) ? -EEXIST : k_rename(temp, real, 0);
    if (mine)
        rl_unlock(w);
    return r;
}
