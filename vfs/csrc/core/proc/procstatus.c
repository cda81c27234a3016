/* The owner that a process has inside the container: /proc/PID and /proc/PID/status, for ps, pgrep -u, userdel.
 *
 * 1. The kernel knows only the real user. The engine provides the identity that a process has inside (rl_identity_of);
 *    for a process whose engine does not provide it, and for other users' processes, the kernel's values are shown.
 * 2. The opened file is a translated copy of that moment.
 * 3. The engine's own signals and its mask while it handles this very open are not shown. Of another process only
 *    its identity is known: user 0 has all capabilities, others have none, and nobody catches the engine's signals. */
#include <linux/capability.h>

#include "../internal.h"

#define STATUS_BYTES 4096
#define GROUPS_BYTES 1024

long (*rl_identity_of)(u64 pid, struct rl_identity *out);
void (*rl_own_status)(struct rl_own_status *out);

struct shown {
    struct rl_identity who;
    struct rl_own_status own;
    const u64 *blocked; /* NULL: as the kernel says */
};

static int find(u64 pid, struct rl_identity *who)
{
    if ((long)pid == k4(__NR_getpid, 0, 0, 0, 0)) {
        *who = rl_me;
        return 1;
    }
    return rl_identity_of && rl_identity_of(pid, who) == 0;
}

void rl_proc_owner(const char *rel, u32 len, u32 *uid, u32 *gid)
{
    struct rl_identity who;
    u64 pid;
    const char *p = rel + 1;
    if (*uid != rl_launch->host_uid || len < 2 || !rl_number(&p, 10, &pid) || p != rel + len || !find(pid, &who))
        return;
    *uid = who.euid;
    *gid = who.egid;
}

static char *put_four(char *to, const char *name, u32 a, u32 b, u32 c, u32 d)
{
    const u32 ids[4] = {a, b, c, d};
    to = rl_put(to, name);
    for (u32 i = 0; i < 4; i++)
        to = rl_put_u64(rl_put(to, "\t"), ids[i], 10);
    return rl_put(to, "\n");
}

static char *put_mask(char *to, const char *name, u64 mask)
{
    to = rl_put(to, name);
    *to++ = '\t';
    for (int at = 60; at >= 0; at -= 4)
        *to++ = "0123456789abcdef"[mask >> at & 15];
    return rl_put(to, "\n");
}

/* The mask in `line`, with the engine's signals as the program has set them. */
static u64 signals_of(const char *line, const struct rl_own_status *own, u64 set)
{
    u64 mask = 0;
    const char *p = line + sizeof "SigCgt:\t" - 1;
    rl_number(&p, 16, &mask);
    return (mask & ~own->engine) | set;
}

/* A line of `text`, translated to `to` if it differs inside. Returns the end. */
static char *put_line(char *to, const char *line, u32 n, const struct shown *s)
{
    const struct rl_identity *me = &s->who;
    if (rl_begins(line, "CapPrm:"))
        return put_mask(to, "CapPrm:", s->own.permitted);
    if (rl_begins(line, "CapEff:"))
        return put_mask(to, "CapEff:", s->own.effective);
    if (rl_begins(line, "CapBnd:"))
        return put_mask(to, "CapBnd:", s->own.bounding);
    if (rl_begins(line, "SigBlk:") && s->blocked)
        return put_mask(to, "SigBlk:", *s->blocked);
    if (rl_begins(line, "SigIgn:"))
        return put_mask(to, "SigIgn:", signals_of(line, &s->own, s->own.ignored));
    if (rl_begins(line, "SigCgt:"))
        return put_mask(to, "SigCgt:", signals_of(line, &s->own, s->own.caught));
    if (rl_begins(line, "Uid:"))
        return put_four(to, "Uid:", me->uid, me->euid, me->suid, me->fsuid);
    if (rl_begins(line, "Gid:"))
        return put_four(to, "Gid:", me->gid, me->egid, me->sgid, me->fsgid);
    if (!rl_begins(line, "Groups:")) {
        memcpy(to, line, n);
        return to + n;
    }
    to = rl_put(to, "Groups:\t");
    for (u32 i = 0; i < me->groups; i++)
        to = rl_put(rl_put_u64(to, me->group[i], 10), " ");
    return rl_put(to, "\n");
}

static int of_our_user(const char *text)
{
    u64 uid = 0;
    const char *p = text;
    while (*p && !rl_begins(p, "\nUid:\t"))
        p++;
    p += *p ? 6 : 0;
    return *p && rl_number(&p, 10, &uid) && uid == rl_launch->host_uid;
}

static int show(struct shown *s, u64 pid, const u64 *blocked)
{
    if (!find(pid, &s->who))
        return 0;
    u64 all = (1ull << (CAP_LAST_CAP + 1)) - 1, engine = 1ull << (31 - 1) | 1ull << (11 - 1) | 1ull << (7 - 1);
    s->own = (struct rl_own_status){s->who.euid ? 0 : all, s->who.euid ? 0 : all, all, rl_own_status ? engine : 0, 0, 0};
    if (rl_own_status && (long)pid == k4(__NR_getpid, 0, 0, 0, 0))
        rl_own_status(&s->own);
    s->blocked = (long)pid == k4(__NR_gettid, 0, 0, 0, 0) ? blocked : NULL;
    return 1;
}

/* -ENODATA: the file itself will do. */
long rl_status_open(const struct rl_open *o, u64 pid)
{
    struct shown s;
    char text[STATUS_BYTES], out[STATUS_BYTES + GROUPS_BYTES], *to = out;
    long fd = k_open(o->real, O_RDONLY | O_CLOEXEC, 0), n;
    if (fd < 0)
        return fd;
    n = k_read(fd, text, sizeof text - 1);
    k_close(fd);
    text[n > 0 ? n : 0] = 0;
    if (n <= 0 || !of_our_user(text) || !show(&s, pid, o->blocked))
        return -ENODATA;
    for (char *line = text, *end; *line; line = end) {
        for (end = line; *end && *end != '\n';)
            end++;
        end += *end == '\n';
        to = put_line(to, line, (u32)(end - line), &s);
    }
    fd = rl_procfile_begin("status");
    if (fd < 0)
        return fd;
    n = k_write(fd, out, (size_t)(to - out));
    if (n == to - out)
        return rl_procfile_end(fd, o->flags);
    k_close(fd);
    return n < 0 ? n : -EIO;
}
