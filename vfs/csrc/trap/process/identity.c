/* The identity that the program has inside: recorded, not real, since that of the real process never changes.
 *
 * The state is in rl_me: fork inherits it with the memory, exec passes it on as text (the STATE argument). User 0
 * inside may become any user; others may switch between the ids that they have, as in setresuid(2).
 */
#include <linux/capability.h>

#include "../engine.h"
#include "../table/syscalls.h"

#define RL_KEEP 0xffffffffu /* -1: leave this id unchanged */
#define RL_S_ISUID 04000u
#define RL_S_ISGID 02000u
#define RL_S_IXGRP 00010u
#define RL_SHARED_CWD 01000u /* with the umask in STATE: rl_cwd_is_shared */

struct rl_identity rl_me;

/* ---- the STATE argument ------------------------------------------------------------------------ */

static const char *parse_pair(const char *p, u32 *id, u32 *effective)
{
    u64 value;

    if (!rl_number(&p, 10, &value))
        return NULL;
    *id = *effective = (u32)value;
    if (*p == ',') {
        p++;
        if (!rl_number(&p, 10, &value))
            return NULL;
        *effective = (u32)value;
    }
    return *p == ':' ? p + 1 : NULL;
}

long rl_state_parse(const char *text, u64 *sigmask)
{
    struct rl_identity *me = &rl_me;
    const char *p = text;
    u64 value;

    if ((p = parse_pair(p, &me->uid, &me->euid)) == NULL || (p = parse_pair(p, &me->gid, &me->egid)) == NULL ||
        !rl_number(&p, 8, &value))
        return -EINVAL;
    me->suid = me->fsuid = me->euid;
    me->sgid = me->fsgid = me->egid;
    me->umask = value & 0777;
    if (value & RL_SHARED_CWD) {
        rl_cwd_is_shared = 1;
        rl_cwd_ask();
    }
    for (me->groups = 0; *p == ':' || *p == ',';) {
        p++;
        if (!rl_number(&p, 10, &value)) /* an empty list */
            break;
        if (me->groups == sizeof me->group / sizeof me->group[0])
            return -EINVAL;
        me->group[me->groups++] = (u32)value;
        if (*p == ':')
            break;
    }
    if (*p == ':') {
        p++;
        if (!rl_number(&p, 16, &value))
            return -EINVAL;
        *sigmask = value;
        if (*p == ',') {
            p++;
            if (!rl_number(&p, 16, &value))
                return -EINVAL;
            rl_caps.unbound = rl_caps.given_up = value;
        }
    }
    if (*p == ':')
        return rl_root_set(p + 1);
    return *p ? -EINVAL : 0;
}

size_t rl_state_print(char *out, const struct rl_identity *me, u64 sigmask)
{
    char *p = out;

    p = rl_put(rl_put_u64(p, me->uid, 10), ",");
    p = rl_put(rl_put_u64(p, me->euid, 10), ":");
    p = rl_put(rl_put_u64(p, me->gid, 10), ",");
    p = rl_put(rl_put_u64(p, me->egid, 10), ":");
    p = rl_put(rl_put_u64(p, me->umask | (rl_cwd_is_shared ? RL_SHARED_CWD : 0), 8), ":");
    for (u32 i = 0; i < me->groups; i++)
        p = rl_put_u64(i ? rl_put(p, ",") : p, me->group[i], 10);
    p = rl_put_u64(rl_put(p, ":"), sigmask, 16);
    if (rl_caps.unbound)
        p = rl_put_u64(rl_put(p, ","), rl_caps.unbound, 16);
    if (rl_root_len)
        p = rl_put(rl_put(p, ":"), rl_root);
    return (size_t)(p - out);
}

void rl_identity_of_program(struct rl_identity *me, const struct rl_attr *file)
{
    if (file->mode & RL_S_ISUID)
        me->euid = me->suid = me->fsuid = file->uid;
    if ((file->mode & RL_S_ISGID) && (file->mode & RL_S_IXGRP)) /* without: the mark of mandatory locking */
        me->egid = me->sgid = me->fsgid = file->gid;
}

/* ---- reading ------------------------------------------------------------------------------------ */

long rl_do_getuid(struct rl_call *c) { (void)c; return rl_me.uid; }
long rl_do_geteuid(struct rl_call *c) { (void)c; return rl_me.euid; }
long rl_do_getgid(struct rl_call *c) { (void)c; return rl_me.gid; }
long rl_do_getegid(struct rl_call *c) { (void)c; return rl_me.egid; }

static long write_three(struct rl_call *c, u32 a, u32 b, u32 d)
{
    if (rl_user_write(c, c->arg[0], &a, 4) < 0 || rl_user_write(c, c->arg[1], &b, 4) < 0)
        return -EFAULT;
    return rl_user_write(c, c->arg[2], &d, 4);
}

long rl_do_getresuid(struct rl_call *c) { return write_three(c, rl_me.uid, rl_me.euid, rl_me.suid); }
long rl_do_getresgid(struct rl_call *c) { return write_three(c, rl_me.gid, rl_me.egid, rl_me.sgid); }

long rl_do_getgroups(struct rl_call *c)
{
    int room = (int)c->arg[0];

    if (room < 0 || (room > 0 && (u32)room < rl_me.groups))
        return -EINVAL;
    if (room > 0 && rl_user_write(c, c->arg[1], rl_me.group, rl_me.groups * 4) < 0)
        return -EFAULT;
    return rl_me.groups;
}

/* ---- changing ------------------------------------------------------------------------------------ */

/* Those in rl_me, and the capability to set them at will. */
struct ids {
    u32 *id; /* real, effective, saved, of file access */
    u32 capability;
};
static const struct ids uids = {rl_me.uids, CAP_SETUID}, gids = {rl_me.gids, CAP_SETGID};

static int may_set(const struct ids *a, u32 id)
{
    return rl_capable(a->capability) || id == RL_KEEP || id == a->id[0] || id == a->id[1] || id == a->id[2];
}

static long set_three(const struct ids *a, u32 real, u32 effective, u32 saved)
{
    const u32 new[3] = {real, effective, saved}, old[3] = {a->id[0], a->id[1], a->id[2]};

    if (!may_set(a, real) || !may_set(a, effective) || !may_set(a, saved))
        return -EPERM;
    rl_identity_borrow();
    for (u32 i = 0; i < 3; i++)
        if (new[i] != RL_KEEP)
            a->id[i] = new[i];
    a->id[3] = a->id[1];
    if (a == &uids)
    {
        rl_caps_after(old);
        if (old[1] == 0 && a->id[1] != 0)
            rl_filter_signals();
    }
    rl_tell_identity();
    return 0;
}

static long set_one(const struct ids *a, u32 id)
{
    if (id == RL_KEEP)
        return -EINVAL;
    return rl_capable(a->capability) ? set_three(a, id, id, id) : set_three(a, RL_KEEP, id, RL_KEEP);
}

/* The saved id follows the effective one when the real one is set, or the effective one is set to
 * something other than the old real one. */
static long set_two(const struct ids *a, u32 real, u32 effective)
{
    u32 old = a->id[0];
    long r = set_three(a, real, effective, RL_KEEP);

    if (r == 0 && (real != RL_KEEP || (effective != RL_KEEP && effective != old)))
        a->id[2] = a->id[1];
    return r;
}

/* For the access to files alone. The old one, even if it stays. */
static long set_fourth(const struct ids *a, u32 id)
{
    u32 old = a->id[3];

    if (id != RL_KEEP && may_set(a, id)) {
        rl_identity_borrow();
        a->id[3] = id;
    }
    return old;
}

long rl_do_setuid(struct rl_call *c) { return set_one(&uids, (u32)c->arg[0]); }
long rl_do_setgid(struct rl_call *c) { return set_one(&gids, (u32)c->arg[0]); }
long rl_do_setreuid(struct rl_call *c) { return set_two(&uids, (u32)c->arg[0], (u32)c->arg[1]); }
long rl_do_setregid(struct rl_call *c) { return set_two(&gids, (u32)c->arg[0], (u32)c->arg[1]); }
long rl_do_setresuid(struct rl_call *c) { return set_three(&uids, (u32)c->arg[0], (u32)c->arg[1], (u32)c->arg[2]); }
long rl_do_setresgid(struct rl_call *c) { return set_three(&gids, (u32)c->arg[0], (u32)c->arg[1], (u32)c->arg[2]); }
long rl_do_setfsuid(struct rl_call *c) { return set_fourth(&uids, (u32)c->arg[0]); }
long rl_do_setfsgid(struct rl_call *c) { return set_fourth(&gids, (u32)c->arg[0]); }

long rl_do_setgroups(struct rl_call *c)
{
    u32 groups[sizeof rl_me.group / sizeof rl_me.group[0]];
    u64 n = c->arg[0];

    if (!rl_capable(CAP_SETGID))
        return -EPERM;
    if (n > sizeof groups / sizeof groups[0])
        return -EINVAL;
    if (rl_user_read(c, groups, c->arg[1], n * 4) < 0)
        return -EFAULT;
    rl_identity_borrow();
    memcpy(rl_me.group, groups, n * 4);
    rl_me.groups = (u32)n;
    return 0;
}

/* The core applies the mask; the kernel's own is 0 (rl_core_init). */
long rl_do_umask(struct rl_call *c)
{
    u32 old = rl_me.umask;

    rl_identity_borrow();
    rl_me.umask = (u32)c->arg[0] & 0777;
    return old;
}
