/* Programs that are started inside run in the container: the real execve gets the trap engine instead.
 *
 * 1. Before a process is made, the parent prepares all data that the child needs (rl_prepare): after vfork() Python
 *    cannot run. The working directory is a descriptor, so a child's chdir() is its own.
 * 2. Errors of execve() are returned here, with its errno: the engine could only print them and exit.
 */
#define _GNU_SOURCE
#include <alloca.h>
#include <pty.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "hook.h"

#define HEAD_BYTES 256 /* of a script's first line: BINPRM_BUF_SIZE */
#define ENGINE_ARGUMENTS 7
#define STATE_BYTES 1024

extern char **environ;

/* The replacement of a program. */
struct command {
    char state[STATE_BYTES], cwd[RL_PATH_MAX], path[RL_PATH_MAX];
    char **argv; /* on the caller's stack */
};

static void write_state(const struct rl_identity *me, char *out)
{
    int n = sprintf(out, "%u:%u:%o:", me->uid, me->gid, me->umask);

    for (u32 i = 0; i < me->groups; i++)
        n += sprintf(out + n, "%s%u", i ? "," : "", me->group[i]);
}

/* Is it an ELF file, or a script whose interpreter exists? 0 or -errno. */
static long check_format(struct rl_activation *here, const char *real)
{
    char head[HEAD_BYTES + 1], *name, *end;
    struct rl_exec interpreter;
    int fd = open(real, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return -errno;
    n = read(fd, head, HEAD_BYTES);
    close(fd);
    if (n >= 4 && !memcmp(head, "\177ELF", 4))
        return 0;
    if (n < 2 || head[0] != '#' || head[1] != '!')
        return -ENOEXEC;
    head[n] = 0;
    name = head + 2 + strspn(head + 2, " \t");
    end = name + strcspn(name, " \t\n");
    *end = 0;
    if (end == name)
        return -ENOEXEC;
    return RL_CORE(here)->exec_prepare(AT_FDCWD, name, 0, &interpreter);
}

/* Can this be executed? `path` is made absolute in c. 0 or -errno. */
static long check(struct rl_activation *here, int dirfd, const char *path, int flags, struct command *c)
{
    struct rl_exec program;
    long r = RL_CORE(here)->getcwd(c->cwd, sizeof c->cwd);

    if (r < 0)
        return r;
    r = RL_CORE(here)->exec_prepare(dirfd, path, flags, &program);
    if (r < 0)
        return r;
    if (dirfd != AT_FDCWD)
        r = snprintf(c->path, sizeof c->path, "%s", program.vpath);
    else if (strchr(path, '/')) /* a script gets its path as called; the engine searches PATH for a bare name */
        r = snprintf(c->path, sizeof c->path, "%s", path);
    else
        r = snprintf(c->path, sizeof c->path, "%s/%s", c->cwd[1] ? c->cwd : "", path);
    return r >= (long)sizeof c->path ? -ENAMETOOLONG : check_format(here, program.real);
}

static size_t count(char *const argv[])
{
    size_t n = 0;

    while (argv && argv[n])
        n++;
    return n;
}

/* engine --exec LAUNCH STATE CWD PATH ARGV[0]…: room for `n` arguments and NULL is after c->argv. */
static void fill(struct rl_activation *here, struct command *c, char *const argv[], size_t n)
{
    struct rl_container *box = here->box;
    char *const head[ENGINE_ARGUMENTS - 1] = {box->engine, "--exec", box->launch, c->state, c->cwd, c->path};

    write_state(RL_CORE(here)->me, c->state);
    memcpy(c->argv, head, sizeof head);
    c->argv[ENGINE_ARGUMENTS - 1] = c->path; /* a program gets a name if none is given */
    if (n)
        memcpy(c->argv + ENGINE_ARGUMENTS - 1, argv, n * sizeof *argv);
    c->argv[ENGINE_ARGUMENTS - 1 + (n ? n : 1)] = NULL;
}

#define COMMAND_FOR(c, argv_)                                                                                         \
    size_t n_ = count(argv_);                                                                                         \
    (c).argv = alloca((ENGINE_ARGUMENTS + n_ + 1) * sizeof(char *))

static int exec_at(struct rl_activation *here, int dirfd, const char *path, int flags, char *const argv[],
                   char *const envp[])
{
    struct command c;
    long r;
    COMMAND_FOR(c, argv);

    r = rl_prepare(here);
    r = r ? -r : check(here, dirfd, path, flags, &c);
    if (r < 0)
        return rl_fail((int)-r);
    fill(here, &c, argv, n_);
    return execve(here->box->engine, c.argv, envp);
}

int rl_h_execve(const char *path, char *const argv[], char *const envp[])
{
    RL_INSIDE(here);
    return here && path ? exec_at(here, AT_FDCWD, path, 0, argv, envp) : execve(path, argv, envp);
}

int rl_h_execv(const char *path, char *const argv[]) { return rl_h_execve(path, argv, environ); }

int rl_h_fexecve(int fd, char *const argv[], char *const envp[])
{
    RL_INSIDE(here);

    if (!here || rl_outside(here, fd, "."))
        return fexecve(fd, argv, envp);
    return exec_at(here, fd, "", AT_EMPTY_PATH, argv, envp);
}

/* ---- search in PATH ----------------------------------------------------------------------------------- */

/* Calls `try` with each candidate until it succeeds or fails with a final error. Returns the last errno. */
static int along_path(const char *name, int (*try)(const char *path, void *with), void *with)
{
    const char *p = getenv("PATH");
    char path[RL_PATH_MAX];
    int denied = 0, error;

    if (!*name)
        return ENOENT;
    if (strchr(name, '/'))
        return try(name, with);
    for (p = p ? p : "/bin:/usr/bin";; p++) {
        size_t n = strcspn(p, ":");
        if (n + strlen(name) + 2 <= sizeof path) {
            memcpy(path, p, n);
            path[n] = '/';
            strcpy(path + n + (n > 0), name);
            error = try(path, with);
            if (error == 0 || (error != ENOENT && error != ENOTDIR && error != EACCES && error != ESTALE))
                return error;
            denied |= error == EACCES;
        }
        p += n;
        if (!*p)
            return denied ? EACCES : ENOENT;
    }
}

struct execution {
    char *const *argv, *const *envp;
};

static int try_execve(const char *path, void *with)
{
    struct execution *e = with;
    char **argv;
    size_t n;

    rl_h_execve(path, e->argv, e->envp);
    if (errno != ENOEXEC)
        return errno;
    n = count(e->argv);
    argv = alloca((n + 3) * sizeof *argv);
    argv[0] = "/bin/sh";
    argv[1] = (char *)path;
    memcpy(argv + 2, e->argv + (n > 0), (n + (n == 0)) * sizeof *argv);
    rl_h_execve("/bin/sh", argv, e->envp);
    return errno;
}

int rl_h_execvpe(const char *name, char *const argv[], char *const envp[])
{
    RL_INSIDE(here);
    struct execution e = {argv, envp};

    return here && name ? rl_fail(along_path(name, try_execve, &e)) : execvpe(name, argv, envp);
}

int rl_h_execvp(const char *name, char *const argv[]) { return rl_h_execvpe(name, argv, environ); }

#define GATHER(argv, first, after)                                                                                    \
    va_list list;                                                                                                     \
    size_t words = 1;                                                                                                 \
    va_start(list, first);                                                                                            \
    while (va_arg(list, char *))                                                                                      \
        words++;                                                                                                      \
    va_end(list);                                                                                                     \
    char **argv = alloca((words + 1) * sizeof(char *));                                                               \
    va_start(list, first);                                                                                            \
    argv[0] = (char *)first;                                                                                          \
    for (size_t i = 1; i <= words; i++)                                                                               \
        argv[i] = va_arg(list, char *);                                                                               \
    after;                                                                                                            \
    va_end(list)

int rl_h_execl(const char *path, const char *first, ...)
{
    GATHER(argv, first, );
    return rl_h_execve(path, argv, environ);
}

int rl_h_execlp(const char *name, const char *first, ...)
{
    GATHER(argv, first, );
    return rl_h_execvpe(name, argv, environ);
}

int rl_h_execle(const char *path, const char *first, ...)
{
    char **envp;
    GATHER(argv, first, envp = va_arg(list, char **));
    return rl_h_execve(path, argv, envp);
}

/* ---- making processes ----------------------------------------------------------------------------------- */

static void get_ready(void)
{
    RL_INSIDE(here);
    int saved = errno;

    if (here)
        rl_prepare(here); /* a missing part shows when a program is executed */
    errno = saved;
}

pid_t rl_h_fork(void)
{
    get_ready();
    return fork();
}

/* vfork() returns twice into its caller's frame: prepare, and jump. */
__attribute__((visibility("hidden"), used)) void rl_before_vfork(void) { get_ready(); }
#if defined(__x86_64__)
__asm__(".text\n.globl rl_h_vfork\n.hidden rl_h_vfork\n.type rl_h_vfork, @function\nrl_h_vfork:\n"
        "    subq $8, %rsp\n    call rl_before_vfork\n    addq $8, %rsp\n    jmp *vfork@GOTPCREL(%rip)\n"
        ".size rl_h_vfork, . - rl_h_vfork\n");
#elif defined(__aarch64__)
__asm__(".text\n.globl rl_h_vfork\n.hidden rl_h_vfork\n.type rl_h_vfork, %function\nrl_h_vfork:\n"
        "    stp x29, x30, [sp, #-16]!\n    bl rl_before_vfork\n    ldp x29, x30, [sp], #16\n    b vfork\n"
        ".size rl_h_vfork, . - rl_h_vfork\n");
#endif

pid_t rl_h_forkpty(int *master, char *name, const struct termios *terminal, const struct winsize *size)
{
    get_ready();
    return forkpty(master, name, terminal, size);
}

struct spawning {
    struct rl_activation *here;
    pid_t *pid;
    const posix_spawn_file_actions_t *actions;
    const posix_spawnattr_t *attributes;
    char *const *argv, *const *envp;
};

static int spawn(const char *path, void *with)
{
    struct spawning *s = with;
    struct command c;
    long r;
    COMMAND_FOR(c, s->argv);

    r = check(s->here, AT_FDCWD, path, 0, &c);
    if (r < 0)
        return (int)-r;
    fill(s->here, &c, s->argv, n_);
    return posix_spawn(s->pid, s->here->box->engine, s->actions, s->attributes, c.argv, s->envp);
}

int rl_h_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                     const posix_spawnattr_t *attributes, char *const argv[], char *const envp[])
{
    RL_INSIDE(here);
    struct spawning s = {here, pid, actions, attributes, argv, envp};
    int error;

    if (!here)
        return posix_spawn(pid, path, actions, attributes, argv, envp);
    error = rl_prepare(here);
    return error ? error : spawn(path, &s);
}

int rl_h_posix_spawnp(pid_t *pid, const char *name, const posix_spawn_file_actions_t *actions,
                      const posix_spawnattr_t *attributes, char *const argv[], char *const envp[])
{
    RL_INSIDE(here);
    struct spawning s = {here, pid, actions, attributes, argv, envp};
    int error;

    if (!here)
        return posix_spawnp(pid, name, actions, attributes, argv, envp);
    error = rl_prepare(here);
    return error ? error : along_path(name, spawn, &s);
}

/* The file is made now, and the child opens its real path. */
int rl_h_spawn_addopen(posix_spawn_file_actions_t *actions, int fd, const char *path, int flags, mode_t mode)
{
    RL_INSIDE(here);
    char real[RL_PATH_MAX + 512];
    ssize_t n;
    long made;

    if (!here || !path)
        return posix_spawn_file_actions_addopen(actions, fd, path, flags, mode);
    made = rl_open_inside(here, AT_FDCWD, path, flags | O_NONBLOCK | O_CLOEXEC, mode);
    if (made < 0)
        return (int)-made;
    n = rl_fd_name((int)made, real, sizeof real);
    close((int)made);
    if (n < 0)
        return EIO;
    return posix_spawn_file_actions_addopen(actions, fd, real, flags & ~(O_CREAT | O_EXCL | O_TRUNC), mode);
}
