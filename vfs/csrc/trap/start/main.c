/* The engine's command lines.
 *
 *     engine --run LAUNCH STATE CWD PROG [ARGS…]     by users and rootlay
 *     engine --report LAUNCH STATE CWD PROG [ARGS…]  the same, by `run -d`: see RL_REPORT_FD
 *     engine --exec LAUNCH STATE CWD PATH ARGV…      by the hook engine, instead of an execve
 *     engine --set LIMITS CGROUP REPORT --run …      by Python's popen: see limits.c
 *     engine LAUNCH STATE EXE-VPATH EXECFN REAL INTERPRETER ITS-REAL ARGV…     by exec.c, with the filter inherited
 *
 * Exit codes of --run and --exec: 125 an error in the engine itself, 126 PROG cannot be executed, 127 PROG was
 * not found; otherwise the program's exit code.
 *
 * With --report the reader of RL_REPORT_FD gets the result: the descriptor is closed when the program starts; before
 * that, the engine's messages are written there too, followed by the exit code (one byte).
 */
#include "../engine.h"

#define RL_DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define RL_RUN_ARGUMENTS 6  /* engine --run LAUNCH STATE CWD PROG */
#define RL_SET_ARGUMENTS 4  /* --set LIMITS CGROUP REPORT */
#define RL_REPORT_FD 3
#define RL_FD_CLOEXEC 1
#define RL_EXEC_ARGUMENTS 9 /* engine LAUNCH STATE EXE-VPATH EXECFN REAL INTERPRETER ITS-REAL ARGV[0] */

const char *rl_launch_path;

static struct rl_exec program RL_BULK;

static void init(const char *launch, const char *state, u64 *sigmask)
{
    long r;

    rl_slots_init();
    if (*launch != '/')
        rl_die(RL_EXIT_ENGINE, "the launch file's path is not absolute: ", launch, NULL);
    rl_launch_path = launch;
    rl_keptdirs_init();
    r = rl_core_init(launch);
    if (r < 0)
        rl_die(RL_EXIT_ENGINE, launch, ": cannot use this launch file: ", rl_error_text(r));
    if (rl_state_parse(state, sigmask) < 0)
        rl_die(RL_EXIT_ENGINE, "bad identity: ", state, NULL);
    rl_note_mask(*sigmask);
    rl_identity_of = rl_identity_read;
    rl_cwd_alone = rl_memory_is_alone;
    rl_own_status = rl_tell_status;
}

/* ---- after an exec inside ------------------------------------------------------------------------- */

/* Both engines are linked to the same address. */
static int is_engine(const char *path)
{
    static const char end[] = "/rootlay/vfs/engine";
    size_t n = strlen(path);

    return n >= sizeof end - 1 && rl_same(path + n - (sizeof end - 1), end);
}

static void start_again(struct rl_start *s, char **argv, u64 argc)
{
    const char *vpath = argv[3];
    long r;

    init(argv[1], argv[2], &s->sigmask);
    rl_signals_init();
    rl_exe_vpath = vpath;
    s->execfn = argv[4];
    s->real = argv[5];
    s->interpreter = argv[6];
    s->interpreter_real = argv[7];
    s->argv = argv + 8;
    s->argc = argc - 8;
    s->memfd = rl_own_fd(vpath);
    r = rl_start_program(s);
    if (r == -EINVAL && is_engine(vpath))
        rl_die(RL_EXIT_ENGINE, "rootlay does not run inside rootlay: start this container outside", NULL, NULL);
    rl_die(RL_EXIT_CANNOT_RUN, vpath, ": ", rl_error_text(r));
}

/* ---- the first program ----------------------------------------------------------------------------- */

/* A missing working directory is made, as Docker does: owned by root, whatever user the program runs as. */
static void make_directory(const char *cwd)
{
    static char part[RL_PATH_MAX] RL_BULK;
    struct rl_identity caller = rl_me;
    size_t n = strlen(cwd);

    if (n >= sizeof part)
        return;
    rl_me = (struct rl_identity){.umask = 022};
    memcpy(part, cwd, n + 1);
    for (size_t i = 1; i <= n; i++)
        if (part[i] == '/' || part[i] == 0) {
            part[i] = 0;
            rl_mkdir(AT_FDCWD, part, 0755);
            part[i] = i < n ? '/' : 0;
        }
    rl_me = caller;
}

static void enter_directory(const char *cwd)
{
    static char why[64];
    long r = rl_chdir(cwd);

    if (r == -ENOENT) {
        make_directory(cwd);
        r = rl_chdir(cwd);
    }
    if (r >= 0)
        return;
    rl_put(rl_put(why, ": "), rl_error_text(r));
    rl_die(RL_EXIT_ENGINE, "working directory ", cwd, why);
}

static const char *search_path(char **envp)
{
    for (; *envp; envp++)
        if (rl_begins(*envp, "PATH="))
            return *envp + 5;
    return RL_DEFAULT_PATH;
}

/* PROG as a path: itself, or the first of PATH that is executable. `found` keeps the result of the search. */
static long find_program(const char *prog, char **envp, char *path)
{
    long r, worst = -ENOENT;

    if (*prog == 0)
        return -ENOENT;
    for (const char *p = prog; *p; p++)
        if (*p == '/') {
            if (strlen(prog) >= RL_PATH_MAX)
                return -ENAMETOOLONG;
            rl_put(path, prog);
            return rl_exec_prepare(AT_FDCWD, path, 0, &program);
        }
    for (const char *p = search_path(envp);; p++) {
        size_t n = 0;

        while (p[n] && p[n] != ':')
            n++;
        if (n + strlen(prog) + 2 < RL_PATH_MAX) {
            memcpy(path, p, n);
            path[n] = 0;
            rl_put(n ? rl_put(path + n, "/") : path, prog);
            r = rl_exec_prepare(AT_FDCWD, path, 0, &program);
            if (r >= 0)
                return r;
            if (r == -EACCES)
                worst = r;
        }
        p += n;
        if (*p == 0)
            return worst;
    }
}

static _Noreturn void cannot_run(const char *prog, long error)
{
    static u8 head[64];
    const char *machine = NULL;

    if (error == -ENOENT && program.real[0] == 0)
        rl_die(RL_EXIT_NOT_FOUND, prog, ": not found in the image",
               *prog == '-' ? "; options go before the name of the image or container" : NULL);
    if (error == -ENOEXEC && program.real[0]) {
        long fd = k_open(program.real, 0, 0);

        machine = rl_elf_machine_name(head, (size_t)rl_sys4(__NR_pread64, fd, (long)head, sizeof head, 0));
    }
    if (machine && !rl_same(machine, RL_MACHINE))
        rl_die(RL_EXIT_CANNOT_RUN, prog, ": cannot run on this " RL_MACHINE " machine: built for ", machine);
    if (error == -ENOENT)
        rl_die(RL_EXIT_CANNOT_RUN, prog, ": its interpreter is not in the image", NULL);
    if (error == -EPERM) /* a user without execute permission gets EACCES: this error is from mapping it */
        rl_die(RL_EXIT_CANNOT_RUN, prog, ": Operation not permitted: is its layer mounted noexec? See `rootlay doctor`", NULL);
    rl_die(RL_EXIT_CANNOT_RUN, prog, ": ", rl_error_text(error));
}

/* A script needs arguments that are not on the stack: use the ordinary exec, once more through the kernel. */
static long run_script(const char *path, const struct rl_start *s)
{
    static struct rl_ucontext uc RL_BULK;
    static struct rl_call c RL_BULK;

    uc.sigmask = s->sigmask;
    c.uc = &uc;
    c.slot = rl_slot_claim();
    c.stack = (u64)(s->stack - 64);
    return rl_exec(&c, AT_FDCWD, path, (u64)s->argv, (u64)s->envp, 0);
}

static int is_script(const char *real)
{
    char head[2];
    long fd = k_open(real, O_CLOEXEC, 0);
    long n = rl_sys4(__NR_pread64, fd, (long)head, sizeof head, 0);

    rl_sys1(__NR_close, fd);
    return n == 2 && head[0] == '#' && head[1] == '!';
}

static void confine(void)
{
    long r = rl_confine();

    if (r == -EOPNOTSUPP || r == -ENOSYS)
        rl_die(RL_EXIT_ENGINE, "--confine=require: this kernel cannot confine (Landlock of Linux 5.19 or newer is needed)",
               NULL, NULL);
    if (r < 0)
        rl_die(RL_EXIT_ENGINE, "the kernel refuses the confinement: ", rl_error_text(r), "; see `rootlay doctor`");
}

/* `words`: number of elements of argv before the program's own. */
static void start_first(struct rl_start *s, char **argv, u64 argc, u64 words)
{
    static char path[RL_PATH_MAX] RL_BULK;
    const char *prog = argv[5];
    struct statx root;
    long r;

    rl_sys4(__NR_rt_sigprocmask, RL_SIG_BLOCK, 0, (long)&s->sigmask, 8);
    init(argv[2], argv[3], &s->sigmask);
    rl_mark_process();
    rl_prevent_core_files();
    confine(); /* before the upper changes: a program that bypasses the engine may be swapping directories */
    r = k_statx(AT_FDCWD, "/", 0, &root);
    if (r < 0)
        rl_die(RL_EXIT_ENGINE, "a sandbox around rootlay refuses the system call statx: ", rl_error_text(r), "; see `rootlay doctor`");
    rl_make_mount_points();
    enter_directory(argv[4]);
    r = find_program(prog, s->envp, path);
    if (r < 0) {
        program.real[0] = 0;
        cannot_run(prog, r);
    }
    rl_signals_init();
    r = rl_filter_install();
    if (r < 0)
        rl_die(RL_EXIT_ENGINE, "the kernel refuses the seccomp filter: ", rl_error_text(r), "; see `rootlay doctor`");
    rl_exe_vpath = program.vpath;
    s->execfn = path;
    s->real = program.real;
    s->interpreter = s->interpreter_real = "";
    s->memfd = -1;
    s->argv = argv + words;
    s->argc = argc - words;
    if (is_script(program.real)) {
        r = run_script(path, s);
    } else {
        rl_identity_of_program(&rl_me, &program.attr);
        r = rl_start_program(s);
    }
    cannot_run(prog, r);
}

_Noreturn void rl_main(u64 *stack)
{
    u64 argc = stack[0];
    char **argv = (char **)(stack + 1);
    struct rl_start s = {.stack = stack, .envp = argv + argc + 1};

    s.auxv = (u64 *)s.envp;
    while (*s.auxv++)
        ;
    rl_arch_init(s.auxv);
    if (argc > RL_SET_ARGUMENTS && rl_same(argv[1], "--set")) {
        rl_set_before(argv[2], argv[3], argv[4]);
        argv += RL_SET_ARGUMENTS;
        argc -= RL_SET_ARGUMENTS;
    }
    if (argc >= RL_RUN_ARGUMENTS && rl_same(argv[1], "--run"))
        start_first(&s, argv, argc, 5);
    if (argc >= RL_RUN_ARGUMENTS && rl_same(argv[1], "--report")) {
        rl_report_fd = RL_REPORT_FD;
        rl_sys3(__NR_fcntl, rl_report_fd, F_SETFD, RL_FD_CLOEXEC); /* the kernel starts a script */
        start_first(&s, argv, argc, 5);
    }
    if (argc >= RL_RUN_ARGUMENTS + 1 && rl_same(argv[1], "--exec"))
        start_first(&s, argv, argc, 6);
    if (argc >= RL_EXEC_ARGUMENTS && argv[1][0] == '/')
        start_again(&s, argv, argc);
    rl_die(RL_EXIT_ENGINE, "usage: engine --run LAUNCH STATE CWD PROG [ARGS...]", NULL, NULL);
}
