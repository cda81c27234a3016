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
    p = rl_put(rl_put_u64(p, me->umask, 8), ":");
    for (u32 i = 0; i < me->groups; i++)
        p = rl_put_u64(i ? rl_put(p, ",") : p, me->group[i], 10);
    p = rl_put_u64(rl_put(p, ":"), sigmask, 16);
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

static int one_of(u32 id, u32 a, u32 b, u32 d)
{
    return id == RL_KEEP || id == a || id == b || id == d;
}

static long set_uids(u32 real, u32 effective, u32 saved)
{
    struct rl_identity *me = &rl_me;
    const u32 old[3] = {me->uid, me->euid, me->suid};

    if (!rl_capable(CAP_SETUID) && !(one_of(real, me->uid, me->euid, me->suid) && one_of(effective, me->uid, me->euid, me->suid) &&
                       one_of(saved, me->uid, me->euid, me->suid)))
        return -EPERM;
    rl_identity_borrow();
    me->uid = real == RL_KEEP ? me->uid : real;
    me->euid = effective == RL_KEEP ? me->euid : effective;
    me->suid = saved == RL_KEEP ? me->suid : saved;
    me->fsuid = me->euid;
    rl_caps_after(old);
    rl_tell_identity();
    return 0;
}

static long set_gids(u32 real, u32 effective, u32 saved)
{
    struct rl_identity *me = &rl_me;

    if (!rl_capable(CAP_SETGID) && !(one_of(real, me->gid, me->egid, me->sgid) && one_of(effective, me->gid, me->egid, me->sgid) &&
                       one_of(saved, me->gid, me->egid, me->sgid)))
        return -EPERM;
    rl_identity_borrow();
    me->gid = real == RL_KEEP ? me->gid : real;
    me->egid = effective == RL_KEEP ? me->egid : effective;
    me->sgid = saved == RL_KEEP ? me->sgid : saved;
    me->fsgid = me->egid;
    rl_tell_identity();
    return 0;
}

long rl_do_setresuid(struct rl_call *c) { return set_uids((u32)c->arg[0], (u32)c->arg[1], (u32)c->arg[2]); }
long rl_do_setresgid(struct rl_call *c) { return set_gids((u32)c->arg[0], (u32)c->arg[1], (u32)c->arg[2]); }

long rl_do_setuid(struct rl_call *c)
{
    u32 id = (u32)c->arg[0];

    if (id == RL_KEEP)
        return -EINVAL;
    return rl_capable(CAP_SETUID) ? set_uids(id, id, id) : set_uids(RL_KEEP, id, RL_KEEP);
}

long rl_do_setgid(struct rl_call *c)
{
    u32 id = (u32)c->arg[0];

    if (id == RL_KEEP)
        return -EINVAL;
    return rl_capable(CAP_SETGID) ? set_gids(id, id, id) : set_gids(RL_KEEP, id, RL_KEEP);
}

/* The saved id follows the effective one when the real one is set, or the effective one is set to
 * something other than the old real one. */
long rl_do_setreuid(struct rl_call *c)
{
    u32 real = (u32)c->arg[0], effective = (u32)c->arg[1], old = rl_me.uid;
    long r = set_uids(real, effective, RL_KEEP);

    if (r == 0 && (real != RL_KEEP || (effective != RL_KEEP && effective != old)))
        rl_me.suid = rl_me.euid;
    return r;
}

long rl_do_setregid(struct rl_call *c)
{
    u32 real = (u32)c->arg[0], effective = (u32)c->arg[1], old = rl_me.gid;
    long r = set_gids(real, effective, RL_KEEP);

    if (r == 0 && (real != RL_KEEP || (effective != RL_KEEP && effective != old)))
        rl_me.sgid = rl_me.egid;
    return r;
}

long rl_do_setfsuid(struct rl_call *c)
{
    u32 id = (u32)c->arg[0], old = rl_me.fsuid;

    if (id != RL_KEEP && (rl_capable(CAP_SETUID) || one_of(id, rl_me.uid, rl_me.euid, rl_me.suid))) {
        rl_identity_borrow();
        rl_me.fsuid = id;
    }
    return old;
}

long rl_do_setfsgid(struct rl_call *c)
{
    u32 id = (u32)c->arg[0], old = rl_me.fsgid;

    if (id != RL_KEEP && (rl_capable(CAP_SETGID) || one_of(id, rl_me.gid, rl_me.egid, rl_me.sgid))) {
        rl_identity_borrow();
        rl_me.fsgid = id;
    }
    return old;
}

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
