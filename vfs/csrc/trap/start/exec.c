/* execve and execveat: the kernel executes the engine, whose arguments name the program to run.
 *
 *     engine LAUNCH STATE EXE-VPATH EXECFN REAL INTERPRETER ITS-REAL ARGV…
 *
 * 1. Every step that can fail is checked first, since after the kernel's execve no caller is left for an errno: headers
 *    of the program and of its interpreter, in the kernel's order.
 * 2. Set-id bits change the program's user inside, which is recorded, not real, like its whole identity: on the host it
 *    gains nothing. Those of binds do not count, as if mounted nosuid.
 * 3. The environment is the program's own array, untouched.
 * 4. The real files of the program and of its interpreter (empty: it has none), and the program's path of the latter,
 *    are passed on: the next engine need not look them up again, unless they were removed or replaced by then.
 */
#include <asm/fcntl.h>
#include <linux/prctl.h>

#include "../engine.h"
#include "../table/syscalls.h"

#define RL_EXECVE_CHECK 0x10000 /* AT_EXECVE_CHECK */
#define RL_INTERPRETERS 5 /* the kernel's limit of nested scripts */
#define RL_STATE_BYTES (1024 + RL_PATH_MAX)
#define RL_MEMFD_FLOOR 100
#define RL_PREFIX 8 /* engine LAUNCH STATE EXE-VPATH EXECFN REAL INTERPRETER ITS-REAL */

struct head {
    char text[RL_SCRIPT_HEAD + 1];
    char *interp, *arg;
    char script[RL_PATH_MAX + 32];
};

/* The data of one exec in addition to the slot's two rl_exec; stored in the slot's buf. */
struct plan {
    struct head level[RL_INTERPRETERS];
    u32 scripts;
    char state[RL_STATE_BYTES];
    char execfn[RL_PATH_MAX + 32];
    char *before[2 * RL_INTERPRETERS + 1]; /* interpreters' arguments, the script's path last */
    u32 before_count;
    u64 argv[2048];
};
_Static_assert(sizeof(struct plan) <= RL_BUF_BYTES, "the plan lives in the slot");

/* The headers of an ELF file's interpreter. */
static long check_interpreter(struct rl_call *c, const char *interp)
{
    long r, fd;

    c->slot->exec2.real[0] = 0;
    if (*interp == 0)
        return 0;
    r = rl_exec_find(AT_FDCWD, interp, 0, &c->slot->exec2);
    if (r < 0)
        return r;
    fd = rl_exec_open(&c->slot->exec2);
    if (fd < 0)
        return fd;
    r = rl_elf_check((int)fd, c->slot->exec2.vpath, RL_PATH_MAX); /* a buffer without further use */
    rl_sys1(__NR_close, fd);
    return r == -ENOEXEC ? -ELIBBAD : r;
}

/* Is a file of the upper or of a bind open for writing? Linux before 6.14 does not tell: it rejects the flag. */
static int is_written(struct rl_call *c, int fd)
{
    char *argv[] = {"", NULL};

    return !c->slot->exec.view && rl_sys(__NR_execveat, fd, (long)"", (long)argv, 0, AT_EMPTY_PATH | RL_EXECVE_CHECK, 0) ==
                                      -ETXTBSY;
}

/* Reads one link of the chain. 1: an ELF program that can run; 0: a script, parsed into h. */
static long look_at(struct rl_call *c, struct head *h)
{
    long fd = rl_exec_open(&c->slot->exec), r, n = 0;

    if (fd < 0)
        return fd;
    r = is_written(c, (int)fd) ? -ETXTBSY : rl_elf_check((int)fd, c->slot->path2, RL_PATH_MAX);
    if (r == -ENOEXEC)
        n = rl_sys4(__NR_pread64, fd, (long)h->text, RL_SCRIPT_HEAD, 0);
    rl_sys1(__NR_close, fd);
    if (r >= 0)
        r = check_interpreter(c, c->slot->path2);
    if (r != -ENOEXEC || n < 0)
        return n < 0 ? n : r < 0 ? r : 1;
    if (rl_elf_foreign(c->slot->exec.vpath, (const u8 *)h->text, (size_t)n))
        return -ELIBBAD; /* shells read a file as a script after ENOEXEC, ELF files too */
    h->text[n] = 0;
    return rl_script_parse(h->text, n, &h->interp, &h->arg);
}

/* A program without a name: a memfd, by descriptor or by its /proc name. The descriptor that the next engine finds is a
 * copy that exec does not close. 0 if it is one. */
static long find_memfd(struct rl_call *c, int dirfd, const char *path)
{
    char link[64], target[16];
    u64 number = (u64)dirfd;
    long n;
    size_t skip = rl_begins(path, RL_OWN_FD) ? sizeof RL_OWN_FD - 1 : rl_begins(path, "/dev/fd/") ? 8 : 0;

    path += skip;
    if ((skip && !rl_number(&path, 10, &number)) || *path || (int)number < 0)
        return -ENOENT;
    rl_put_u64(rl_put(link, RL_OWN_FD), number, 10);
    n = k_readlink(link, target, sizeof target);
    if (n < 7 || memcmp(target, "/memfd:", 7) != 0)
        return -ENOENT;
    n = rl_sys3(__NR_fcntl, (long)number, F_DUPFD, RL_MEMFD_FLOOR);
    if (n < 0)
        return n;
    rl_put_u64(rl_put(c->slot->exec.real, RL_OWN_FD), (u64)n, 10);
    rl_put(c->slot->exec.vpath, c->slot->exec.real);
    c->slot->exec.view = 0;
    c->slot->exec.attr.mode = 0;
    return 0;
}

/* Follows the `#!` chain to a program. 0, with slot->exec the program. */
static long find_program(struct rl_call *c, struct plan *p, int dirfd, const char *path, int flags)
{
    for (p->scripts = 0;; p->scripts++) {
        struct head *h = &p->level[p->scripts < RL_INTERPRETERS ? p->scripts : 0];
        long r = rl_exec_find(dirfd, path, flags, &c->slot->exec);

        if (r < 0 && p->scripts == 0 && find_memfd(c, dirfd, path) == 0)
            r = 0;
        if (r >= 0)
            r = look_at(c, h);
        if (r != 0)
            return r < 0 ? r : 0;
        if (p->scripts == RL_INTERPRETERS)
            return -ELOOP;
        rl_put(h->script, p->scripts ? path : p->execfn);
        path = h->interp;
        dirfd = AT_FDCWD;
        flags = 0;
    }
}

/* interpreter [argument] … script: the innermost interpreter is first. */
static void script_arguments(struct plan *p)
{
    p->before_count = 0;
    for (u32 i = p->scripts; i-- > 0;) {
        p->before[p->before_count++] = p->level[i].interp;
        if (p->level[i].arg)
            p->before[p->before_count++] = p->level[i].arg;
    }
    if (p->scripts)
        p->before[p->before_count++] = p->level[0].script;
}

/* Number of strings in the program's array, or -EFAULT. A NULL array is empty. */
static long count_strings(struct rl_call *c, u64 array)
{
    u64 one = 1;
    long n = 0;

    if (array == 0)
        return 0;
    for (;; n++) {
        if (rl_user_read(c, &one, array + 8 * (u64)n, 8) < 0)
            return -EFAULT;
        if (one == 0)
            return n;
        if (n > 1 << 22)
            return -E2BIG;
    }
}

/* The new argument array: in the plan, or, if it is long, in a mapping recorded in the slot. */
static long make_argv(struct rl_call *c, struct plan *p, u64 argv, u64 **out)
{
    long n = count_strings(c, argv);
    u64 *to = p->argv, need, skip = p->scripts ? 1 : 0;

    if (n < 0)
        return n;
    need = RL_PREFIX + p->before_count + (u64)n + 2;
    if (need > sizeof p->argv / 8) {
        long m = rl_sys(__NR_mmap, 0, (long)(need * 8), 3, 0x22, -1, 0);

        if (m < 0)
            return m;
        c->slot->spill = (u64)m;
        c->slot->spill_bytes = need * 8;
        to = (u64 *)m;
    }
    *out = to;
    *to++ = (u64)rl_launch_str(rl_launch->engine);
    *to++ = (u64)rl_launch_path;
    *to++ = (u64)p->state;
    *to++ = (u64)c->slot->exec.vpath;
    *to++ = (u64)p->execfn;
    *to++ = (u64)c->slot->exec.real;
    *to++ = (u64)c->slot->path2;
    *to++ = (u64)c->slot->exec2.real;
    for (u32 i = 0; i < p->before_count; i++)
        *to++ = (u64)p->before[i];
    if ((u64)n > skip) {
        if (rl_user_read(c, to, argv + 8 * skip, ((u64)n - skip) * 8) < 0)
            return -EFAULT;
        to += (u64)n - skip;
    } else if (n == 0 && !p->scripts) {
        *to++ = (u64)""; /* the kernel does so since 5.18 */
    }
    *to = 0;
    return 0;
}

static void drop_spill(struct rl_slot *slot)
{
    if (slot->spill)
        rl_sys2(__NR_munmap, (long)slot->spill, (long)slot->spill_bytes);
    slot->spill = slot->spill_bytes = 0;
}

int rl_own_fd(const char *vpath)
{
    const char *p = vpath + sizeof RL_OWN_FD - 1;
    u64 number;

    return rl_begins(vpath, RL_OWN_FD) && rl_number(&p, 10, &number) ? (int)number : -1;
}

static void drop_memfd(const char *vpath)
{
    long fd = rl_own_fd(vpath);

    if (fd >= 0)
        rl_sys1(__NR_close, fd);
}

/* The value of AT_EXECFN: the path as given; /dev/fd/N for a descriptor. */
static void name_it(struct plan *p, int dirfd, const char *path)
{
    char *to = p->execfn;

    if (*path != '/' && dirfd != AT_FDCWD) {
        to = rl_put_u64(rl_put(to, "/dev/fd/"), (u64)dirfd, 10);
        if (*path)
            *to++ = '/';
    }
    rl_put(to, path);
}

static long run_engine(struct rl_call *c, struct plan *p, u64 *argv, u64 envp)
{
    struct rl_identity me = rl_me;
    u32 *word = rl_slot_word(c->slot);
    u64 old_word = 0;
    int known;
    long r;

    rl_identity_of_program(&me, &c->slot->exec.attr);
    if (c->slot->exec.attr.mode) /* not a memfd */
        rl_running_note(&c->slot->exec.attr);
    rl_state_print(p->state, &me, c->uc->sigmask);
    rl_identity_return();
    rl_signals_before_exec();
    /* A vfork child leaves the slot claimed in its parent's memory: the kernel frees it. */
    known = rl_sys(__NR_prctl, PR_GET_TID_ADDRESS, (long)&old_word, 0, 0, 0, 0) == 0;
    if (known)
        rl_sys1(__NR_set_tid_address, (long)word);
    rl_trace_before_exec();
    if (!rl_memory_is_borrowed())
        rl_removals_settle();
    r = rl_sys3(__NR_execve, (long)rl_launch_str(rl_launch->engine), (long)argv, (long)envp);
    if (known)
        rl_sys1(__NR_set_tid_address, (long)old_word);
    rl_signals_after_failed_exec();
    return r == -ENOENT ? -EIO : r; /* the engine itself is missing: not the program's fault */
}

long rl_exec(struct rl_call *c, int dirfd, const char *path, u64 argv, u64 envp, int flags)
{
    struct plan *p = (struct plan *)c->slot->buf;
    u64 *list = NULL;
    long r;

    drop_spill(c->slot);
    c->slot->exec.vpath[0] = 0;
    name_it(p, dirfd, path);
    r = find_program(c, p, dirfd, path, flags);
    if (r < 0) {
        drop_memfd(c->slot->exec.vpath);
        return r;
    }
    script_arguments(p);
    r = make_argv(c, p, argv, &list);
    if (r >= 0 && (rl_launch->flags & RL_LAUNCH_TRACE))
        rl_trace_exec(c, path);
    if (r >= 0)
        r = run_engine(c, p, list, envp);
    drop_spill(c->slot);
    drop_memfd(c->slot->exec.vpath);
    return r;
}

static long take_and_exec(struct rl_call *c, int dirfd, u64 path, u64 argv, u64 envp, int flags)
{
    long r;

    if (path == 0 && (flags & AT_EMPTY_PATH))
        c->slot->path[0] = 0;
    else if ((r = rl_user_text(c, c->slot->path, path, RL_PATH_MAX, -ENAMETOOLONG)) < 0)
        return r;
    c->path = c->slot->path;
    return rl_exec(c, dirfd, c->path, argv, envp, flags);
}

long rl_do_execve(struct rl_call *c)
{
    return take_and_exec(c, AT_FDCWD, c->arg[0], c->arg[1], c->arg[2], 0);
}

long rl_do_execveat(struct rl_call *c)
{
    int flags = (int)c->arg[4];

    if (flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
        return -EINVAL;
    return take_and_exec(c, (int)c->arg[0], c->arg[1], c->arg[2], c->arg[3], flags);
}
