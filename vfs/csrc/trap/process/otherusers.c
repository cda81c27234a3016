/* Signals to processes of other users inside, and access to their memory: the kernel knows one user, so it would permit
 * all of them. The rules are kill(2)'s and ptrace(2)'s; the identity of another process is read as peercred.c does.
 *
 * 1. Only a process that was user 0 inside and became another user is checked (signalfilter.c). User 0 may do all this;
 *    a container whose programs are one user has nothing to check.
 * 2. A process whose identity cannot be read is left to the kernel: it is outside, or of another container, and
 *    Landlock decides.
 * 3. A process group is signalled by one call if all of it may be, else process by process.
 */
#include <linux/capability.h>
#include <linux/fcntl.h>

#include "../engine.h"
#include "../table/syscalls.h"

#define RL_SIGCONT 18
#define RL_TEXT 1024
#define RL_NAMES 2048

static int may_signal(i32 pid, int sig)
{
    const struct rl_identity *me = &rl_me;
    struct rl_identity them;

    if (pid == (i32)rl_sys0(__NR_getpid) || rl_capable(CAP_KILL) || rl_identity_read((u64)pid, &them) < 0)
        return 1;
    if (me->euid == them.suid || me->euid == them.uid || me->uid == them.suid || me->uid == them.uid)
        return 1;
    return sig == RL_SIGCONT && rl_sys1(__NR_getsid, pid) == rl_sys1(__NR_getsid, 0);
}

int rl_may_trace(i32 pid)
{
    const struct rl_identity *me = &rl_me;
    struct rl_identity them;

    if (pid == (i32)rl_sys0(__NR_getpid) || rl_capable(CAP_SYS_PTRACE) || rl_identity_read((u64)pid, &them) < 0)
        return 1;
    return me->fsuid == them.uid && me->fsuid == them.euid && me->fsuid == them.suid && me->fsgid == them.gid &&
           me->fsgid == them.egid && me->fsgid == them.sgid;
}

static long as_called(const struct rl_call *c)
{
    return rl_sys(c->nr, (long)c->arg[0], (long)c->arg[1], (long)c->arg[2], (long)c->arg[3], (long)c->arg[4],
                  (long)c->arg[5]);
}

/* Call `each` for every process of a group; the number for which it returned 0. */
static u32 each_of_group(i32 group, int sig, int (*each)(i32 pid, int sig), u32 *all)
{
    char names[RL_NAMES];
    u32 done = 0;
    long fd = k_open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0), n;

    *all = 0;
    while (fd >= 0 && (n = rl_sys3(__NR_getdents64, fd, (long)names, sizeof names)) > 0)
        for (long at = 0; at < n; at += *(u16 *)(names + at + 16)) {
            const char *p = names + at + 19;
            u64 pid;

            if (!rl_number(&p, 10, &pid) || *p || rl_sys1(__NR_getpgid, (long)pid) != group)
                continue;
            ++*all;
            done += each((i32)pid, sig) == 0;
        }
    if (fd >= 0)
        rl_sys1(__NR_close, fd);
    return done;
}

static int refused(i32 pid, int sig) { return may_signal(pid, sig) ? 0 : -EPERM; }

static int send(i32 pid, int sig)
{
    return may_signal(pid, sig) ? (int)rl_sys2(__NR_kill, pid, sig) : -EPERM;
}

long rl_do_kill(struct rl_call *c)
{
    i32 pid = (i32)c->arg[0];
    int sig = (int)c->arg[1];
    u32 all;

    if (pid == -1)
        return -EPERM; /* as the filter says */
    if (pid > 0)
        return may_signal(pid, sig) ? as_called(c) : -EPERM;
    i32 group = pid ? -pid : (i32)rl_sys1(__NR_getpgid, 0);

    if (each_of_group(group, sig, refused, &all) == all)
        return as_called(c);
    return each_of_group(group, sig, send, &all) ? 0 : -EPERM;
}

/* tkill, rt_sigqueueinfo */
long rl_do_signal_process(struct rl_call *c)
{
    i32 pid = (i32)c->arg[0];

    return pid <= 0 || may_signal(pid, (int)c->arg[1]) ? as_called(c) : -EPERM;
}

/* tgkill, rt_tgsigqueueinfo */
long rl_do_signal_thread(struct rl_call *c)
{
    i32 pid = (i32)c->arg[0];

    return pid <= 0 || may_signal(pid, (int)c->arg[2]) ? as_called(c) : -EPERM;
}

/* The process of a pidfd; 0: it is none, or the process has ended. */
static i32 process_of(int fd)
{
    static const char field[] = "\nPid:\t";
    char path[48], text[RL_TEXT];
    u64 pid = 0;
    long in, n;

    rl_put_u64(rl_put(path, "/proc/self/fdinfo/"), (u32)fd, 10);
    in = k_open(path, O_RDONLY | O_CLOEXEC, 0);
    n = in < 0 ? 0 : rl_sys3(__NR_read, in, (long)text, sizeof text - 1);
    if (in >= 0)
        rl_sys1(__NR_close, in);
    text[n > 0 ? n : 0] = 0;
    for (const char *p = text; *p; p++)
        if (rl_begins(p, field)) {
            p += sizeof field - 1;
            return rl_number(&p, 10, &pid) ? (i32)pid : 0;
        }
    return 0;
}

long rl_do_signal_pidfd(struct rl_call *c)
{
    i32 pid = process_of((int)c->arg[0]);

    return pid <= 0 || may_signal(pid, (int)c->arg[1]) ? as_called(c) : -EPERM;
}

/* process_vm_readv, process_vm_writev */
long rl_do_memory_of(struct rl_call *c)
{
    i32 pid = (i32)c->arg[0];

    return pid <= 0 || rl_may_trace(pid) ? as_called(c) : -EPERM;
}
