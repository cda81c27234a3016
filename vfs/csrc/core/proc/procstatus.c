/* The owner that a process has inside the container: /proc/PID and /proc/PID/status, for ps, pgrep -u, userdel.
 *
 * 1. The kernel knows only the real user. The engine provides the identity that a process has inside (rl_identity_of);
 *    for a process whose engine does not provide it, and for other users' processes, the kernel's values are shown.
 * 2. The opened file is a translated copy of that moment. */
#include "../internal.h"

#define STATUS_BYTES 4096
#define GROUPS_BYTES 1024

long (*rl_identity_of)(u64 pid, struct rl_identity *out);

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

/* A line of `text`, translated to `to` if it holds an identity. Returns the end. */
static char *put_line(char *to, const char *line, u32 n, const struct rl_identity *me)
{
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

/* -ENODATA: the file itself will do. */
long rl_status_open(const char *real, u64 pid, int flags)
{
    struct rl_identity who;
    char text[STATUS_BYTES], out[STATUS_BYTES + GROUPS_BYTES], *to = out;
    long fd = k_open(real, O_RDONLY | O_CLOEXEC, 0), n;
    if (fd < 0)
        return fd;
    n = k_read(fd, text, sizeof text - 1);
    k_close(fd);
    text[n > 0 ? n : 0] = 0;
    if (n <= 0 || !of_our_user(text) || !find(pid, &who))
        return -ENODATA;
    for (char *line = text, *end; *line; line = end) {
        for (end = line; *end && *end != '\n';)
            end++;
        end += *end == '\n';
        to = put_line(to, line, (u32)(end - line), &who);
    }
    fd = rl_procfile_begin("status");
    if (fd < 0)
        return fd;
    n = k_write(fd, out, (size_t)(to - out));
    if (n == to - out)
        return rl_procfile_end(fd, flags);
    k_close(fd);
    return n < 0 ? n : -EIO;
}
