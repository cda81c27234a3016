/* Owner and mode of new objects: the real file's part and the record's part. */
#include "../internal.h"
#include "../layers/acl.h"

/* The mode that the real file gets for a mode that programs see. A regular file that its owner may read keeps its own,
 * so that no record is needed (git makes each object with 0444): see rl_make_writable(). */
u32 rl_real_mode(u32 mode)
{
    u32 type = mode & S_IFMT, keep = type == S_IFREG ? 0400u : type == S_IFDIR ? 0700u : 0600u;
    if (type == S_IFCHR || type == S_IFBLK)
        type = S_IFREG;
    return type | (mode & 01777) | keep;
}

/* Like rl_real_mode(), for a file that is about to be opened for writing, or to get attributes. */
u32 rl_written_mode(u32 mode)
{
    return rl_real_mode(mode) | 0200u;
}

void rl_owner_made(const struct rl_walk *w, u32 mode, struct rl_owner *o)
{
    o->inherits = 0;
    o->uid = rl_me.fsuid;
    o->gid = rl_me.fsgid;
    o->mode = mode;
    o->major = o->minor = 0;
    if (w->dir.mode & S_ISGID) {
        o->gid = w->dir.gid;
        if (rl_isdir(mode))
            o->mode |= S_ISGID;
        else if ((mode & 02010) == 02010 && rl_me.fsuid && !rl_in_group(o->gid))
            o->mode &= ~(u32)S_ISGID;
    }
}

void rl_owner_new(struct rl_walk *w, u32 mode, struct rl_owner *o)
{
    int inherits = !rl_islnk(mode) && (w->dir.acl & RL_ACL_DEFAULT) && rl_inherited_mode(w, &mode);
    if (!(w->dir.acl & RL_ACL_DEFAULT) && !rl_islnk(mode))
        mode &= ~rl_me.umask;
    rl_owner_made(w, mode, o);
    o->inherits = inherits;
}

int rl_owner_plain(const struct rl_owner *o, u32 real_mode)
{
    return !o->inherits && o->uid == rl_layers[0].uid && o->gid == rl_layers[0].gid &&
           (o->mode == real_mode || rl_islnk(o->mode));
}

/* The fields of a record for `o`; empty if the real file shows the same. */
void rl_owner_fields(const struct rl_owner *o, u32 real_mode, struct rl_record *r)
{
    r->has &= ~(RL_HAS_UID | RL_HAS_GID | RL_HAS_MODE | RL_HAS_DEV);
    if (o->uid != rl_layers[0].uid) {
        r->has |= RL_HAS_UID;
        r->uid = o->uid;
    }
    if (o->gid != rl_layers[0].gid) {
        r->has |= RL_HAS_GID;
        r->gid = o->gid;
    }
    if (o->mode != real_mode && !rl_islnk(o->mode)) {
        r->has |= RL_HAS_MODE;
        r->mode = o->mode;
    }
    u32 type = o->mode & S_IFMT;
    if (type == S_IFCHR || type == S_IFBLK) {
        r->has |= RL_HAS_DEV;
        r->major = o->major;
        r->minor = o->minor;
    }
}

long rl_owner_text(struct rl_walk *w, const struct rl_owner *o, u32 real_mode)
{
    struct rl_record rec = {.has = 0};
    rl_owner_fields(o, real_mode, &rec);
    return o->inherits ? rl_inherited_record(w, o, &rec, w->s->text) : rl_record_format(&rec, "", "", w->s->text);
}

/* May this process change the owner's things (mode, times) of the object? */
long rl_may_own(const struct rl_hit *h)
{
    return !rl_me.fsuid || rl_me.fsuid == h->uid || (h->what == RL_IN_BIND && !h->given) ? 0 : -EPERM;
}
