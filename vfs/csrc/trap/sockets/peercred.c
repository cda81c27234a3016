/* The identity of the peer of an AF_UNIX socket: SO_PEERCRED and SCM_CREDENTIALS report the real user; programs inside
 * compare it with their getuid() (tmux, D-Bus, gpg-agent, PostgreSQL's peer authentication), and send that.
 *
 * 1. A real user other than the container's own is reported unchanged.
 * 2. A peer that runs this same engine keeps its identity at the engine's own address of it: it is read from there.
 * 3. If its memory cannot be read (Yama's ptrace_scope 1, as on Ubuntu, requires a descendant for that), the identity
 *    is read from the entry that the peer put into its auxiliary vector (start.c): a process with threads that changed
 *    its identity shows its old one there.
 * 4. Any other process of the same user, or one that cannot be read, counts as the caller, as owners of binds do.
 */
#include <asm/fcntl.h>
#include <linux/capability.h>
#include <linux/uio.h>

#include "sockets.h"

#define RL_SCM_RIGHTS 1
#define RL_SCM_CREDENTIALS 2
#define RL_PROBE_BYTES 64
#define RL_AUXV_WORDS 64

struct rl_ucred {
    i32 pid;
    u32 uid, gid;
};

static long read_peer(i32 pid, void *to, const void *address, u64 bytes)
{
    struct iovec local = {to, bytes}, remote = {(void *)address, bytes};
    long n = rl_sys(__NR_process_vm_readv, pid, (long)&local, 1, (long)&remote, 1, 0);

    return n == (long)bytes ? 0 : -ESRCH;
}

/* The gate's code identifies the whole engine: another build has its identity elsewhere. */
static int runs_this_engine(i32 pid)
{
    u8 probe[RL_PROBE_BYTES];

    return read_peer(pid, probe, rl_gate_start, sizeof probe) == 0 && memcmp(probe, rl_gate_start, sizeof probe) == 0;
}

/* The identity that a process shows: 0, or -ESRCH. */
static long read_shown(i32 pid, u32 *uid, u32 *gid)
{
    u64 auxv[RL_AUXV_WORDS];
    char path[32];
    long fd, n;

    rl_put(rl_put_u64(rl_put(path, "/proc/"), (u64)pid, 10), "/auxv");
    fd = k_open(path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return -ESRCH;
    n = rl_sys3(__NR_read, fd, (long)auxv, sizeof auxv) / 8;
    rl_sys1(__NR_close, fd);
    for (long i = 0; i + 1 < n; i += 2)
        if (auxv[i] == RL_AT_IDENTITY) {
            *uid = (u32)auxv[i + 1];
            *gid = (u32)(auxv[i + 1] >> 32);
            return 0;
        }
    return -ESRCH;
}

long rl_identity_read(u64 pid, struct rl_identity *out)
{
    if (runs_this_engine((i32)pid) && read_peer((i32)pid, out, &rl_me, sizeof *out) == 0)
        return 0;
    *out = (struct rl_identity){.groups = 0};
    if (read_shown((i32)pid, &out->euid, &out->egid) < 0)
        return -ESRCH;
    out->uid = out->suid = out->fsuid = out->euid;
    out->gid = out->sgid = out->fsgid = out->egid;
    return 0;
}

static void make_virtual(struct rl_ucred *cred)
{
    u32 uid = rl_me.euid, gid = rl_me.egid;
    struct rl_identity peer;

    if (cred->pid != (i32)rl_sys0(__NR_getpid) && rl_identity_read((u64)cred->pid, &peer) == 0) {
        uid = peer.euid;
        gid = peer.egid;
    }
    if (cred->uid == rl_launch->host_uid)
        cred->uid = uid;
    if (cred->gid == rl_launch->host_gid)
        cred->gid = gid;
}

/* Only the option SO_PEERCRED is handled here, of any level. */
long rl_do_getsockopt(struct rl_call *c)
{
    struct rl_ucred cred;
    u32 room, bytes = sizeof cred;
    long r;

    if ((i32)c->arg[1] != RL_SOL_SOCKET)
        return rl_sys(__NR_getsockopt, (int)c->arg[0], (int)c->arg[1], (int)c->arg[2], (long)c->arg[3], (long)c->arg[4],
                      0);
    if (rl_user_read(c, &room, c->arg[4], sizeof room) < 0)
        return -EFAULT;
    if ((i32)room < 0)
        return -EINVAL;
    r = rl_sys(__NR_getsockopt, (int)c->arg[0], RL_SOL_SOCKET, (int)c->arg[2], (long)&cred, (long)&bytes, 0);
    if (r < 0)
        return r;
    if (bytes == sizeof cred && cred.pid > 0) /* 0: a socket that has no peer */
        make_virtual(&cred);
    bytes = room < bytes ? room : bytes;
    if (rl_user_write(c, c->arg[3], &cred, bytes) < 0)
        return -EFAULT;
    return rl_user_write(c, c->arg[4], &bytes, sizeof bytes);
}

/* ---- SCM_CREDENTIALS ------------------------------------------------------------------------------ */

static int is_credentials(const struct rl_control *head)
{
    return head->level == RL_SOL_SOCKET && head->type == RL_SCM_CREDENTIALS &&
           head->bytes >= sizeof *head + sizeof(struct rl_ucred);
}

/* Descriptors: only watchers matter. */
static long rights_received(struct rl_call *c, u64 at, u64 bytes)
{
    i32 fd;

    for (; bytes >= sizeof fd; at += sizeof fd, bytes -= sizeof fd) {
        if (rl_user_read(c, &fd, at, sizeof fd) < 0)
            return -EFAULT;
        rl_watch_received(fd);
    }
    return 0;
}

long rl_credentials_received(struct rl_call *c, u64 control, u64 bytes)
{
    struct rl_control head;
    struct rl_ucred cred;

    for (u64 at = 0; at + sizeof head <= bytes; at += RL_CONTROL_ALIGN(head.bytes)) {
        if (rl_user_read(c, &head, control + at, sizeof head) < 0)
            return -EFAULT;
        if (head.bytes < sizeof head || head.bytes > bytes - at)
            break;
        if (head.level == RL_SOL_SOCKET && head.type == RL_SCM_RIGHTS && rl_anything_watched() &&
            rights_received(c, control + at + sizeof head, head.bytes - sizeof head) < 0)
            return -EFAULT;
        if (!is_credentials(&head))
            continue;
        if (rl_user_read(c, &cred, control + at + sizeof head, sizeof cred) < 0)
            return -EFAULT;
        if (cred.pid > 0) /* 0: a process that is not visible from here */
            make_virtual(&cred);
        if (rl_user_write(c, control + at + sizeof head, &cred, sizeof cred) < 0)
            return -EFAULT;
    }
    return 0;
}

long rl_credentials_sent(u8 *control, u64 bytes)
{
    const struct rl_identity *me = &rl_me;
    struct rl_control head;
    struct rl_ucred cred;
    long changed = 0;

    for (u64 at = 0; at + sizeof head <= bytes; at += RL_CONTROL_ALIGN(head.bytes)) {
        memcpy(&head, control + at, sizeof head);
        if (head.bytes < sizeof head || head.bytes > bytes - at)
            break; /* the kernel returns the right error */
        if (!is_credentials(&head))
            continue;
        memcpy(&cred, control + at + sizeof head, sizeof cred);
        if (!rl_capable(CAP_SETUID) && cred.uid != me->uid && cred.uid != me->euid && cred.uid != me->suid)
            return -EPERM;
        if (!rl_capable(CAP_SETGID) && cred.gid != me->gid && cred.gid != me->egid && cred.gid != me->sgid)
            return -EPERM;
        cred.uid = rl_launch->host_uid;
        cred.gid = rl_launch->host_gid;
        memcpy(control + at + sizeof head, &cred, sizeof cred);
        changed = 1;
    }
    return changed;
}
