/* The last part of an exec, in user space: map the program and its interpreter, rebuild the initial stack, tell the
 * kernel about the new program (so that ps shows it), and jump.
 *
 * 1. The new vectors are below the kernel's; the strings stay in place.
 * 2. Only differing entries of the auxiliary vector are changed: AT_RANDOM, AT_SYSINFO_EHDR and the rest are the
 *    kernel's.
 * 3. The interpreter is mapped right above the vdso, as the kernel does: old PMIx (Open MPI) reads /proc/self/maps two
 *    lines at a time after a name in brackets, and would miss the stack in the line after the vdso's.
 * 4. After the program's signal mask is set, no code of the engine runs but the jump.
 */
#include <asm/fcntl.h>
#include <linux/auxvec.h>
#include <linux/prctl.h>
#include <linux/stat.h>

#include "../engine.h"

#define RL_ADDR_NO_RANDOMIZE 0x0040000
#define RL_GRND_INSECURE 4
#define RL_SHOWN_WORDS 48 /* of the kernel's 52 or so (AT_VECTOR_SIZE) */
#define RL_VDSO_ROOM 0x10000ull /* a vdso and its data are smaller */
#define RL_BRK_RANDOM 0x1ffffffull /* 32 MiB */

void rl_enter(u64 stack, u64 entry) __attribute__((noreturn));

/* The base of the program, and the distance to its heap. Neither, with randomisation off. */
static void random_places(u64 stack, u64 *base, u64 *gap)
{
    u64 bits[2] = {0, 0};
    long person = rl_sys1(__NR_personality, 0xffffffff);

    *base = rl_pie_base(stack);
    *gap = 0;
    if (person & RL_ADDR_NO_RANDOMIZE)
        return;
    rl_sys3(__NR_getrandom, (long)bits, sizeof bits, RL_GRND_INSECURE);
    *base += (bits[0] & RL_PIE_RANDOM_PAGES) * RL_PAGE;
    *gap = bits[1] & RL_BRK_RANDOM & ~(RL_PAGE - 1);
}

static u64 count_words(char **list)
{
    u64 n = 0;

    while (list[n])
        n++;
    return n;
}

static void fix_auxv(u64 *av, const struct rl_image *main, const struct rl_image *interp, const char *execfn)
{
    for (; av[0] != AT_NULL; av += 2) {
        switch (av[0]) {
        case AT_PHDR: av[1] = main->phdr; break;
        case AT_PHENT: av[1] = main->phent; break;
        case AT_PHNUM: av[1] = main->phnum; break;
        case AT_BASE: av[1] = interp ? interp->bias : 0; break;
        case AT_ENTRY: av[1] = main->entry; break;
        case AT_EXECFN: av[1] = (u64)execfn; break;
        case AT_UID: av[1] = rl_me.uid; break;
        case AT_EUID: av[1] = rl_me.euid; break;
        case AT_GID: av[1] = rl_me.gid; break;
        case AT_EGID: av[1] = rl_me.egid; break;
        case AT_SECURE: av[1] = rl_me.uid != rl_me.euid || rl_me.gid != rl_me.egid; break;
        /* room for the frame of a trapped call on top of the frame of the program's own signal */
        case AT_MINSIGSTKSZ: av[1] *= 2; break;
        default: break;
        }
    }
}

/* The vectors, copied below the kernel's. Returns the new stack pointer. */
static u64 *build_stack(const struct rl_start *s, u64 **auxv_out, u64 *auxv_words)
{
    u64 envc = count_words(s->envp), auxc = 2, words;
    u64 *sp, *to;

    for (const u64 *a = s->auxv; a[0] != AT_NULL; a += 2)
        auxc += 2;
    words = 1 + s->argc + 1 + envc + 1 + auxc;
    sp = (u64 *)((u64)(s->stack - words) & ~15ull);
    to = sp;
    *to++ = s->argc;
    memcpy(to, s->argv, s->argc * 8);
    to += s->argc;
    *to++ = 0;
    memcpy(to, s->envp, envc * 8);
    to += envc;
    *to++ = 0;
    memcpy(to, s->auxv, auxc * 8);
    *auxv_out = to;
    *auxv_words = auxc;
    return sp;
}

/* Rule 3; 0: anywhere. */
static u64 interpreter_place(const u64 *av)
{
    for (; av[0] != AT_NULL; av += 2)
        if (av[0] == AT_SYSINFO_EHDR)
            return av[1] + RL_VDSO_ROOM;
    return 0;
}

/* The data of this process that the kernel was given, and shows. Set before the program starts; then rl_tell_identity()
 * changes it, in a process of one thread only. */
static struct {
    struct prctl_mm_map told;
    u64 shown[RL_SHOWN_WORDS]; /* the auxiliary vector; the first entry may be RL_AT_IDENTITY */
} state;

static long tell(void)
{
    return rl_sys(__NR_prctl, PR_SET_MM, PR_SET_MM_MAP, (long)&state.told, sizeof state.told, 0, 0);
}

static u64 identity_now(void) { return (u64)rl_me.egid << 32 | rl_me.euid; }

/* The program's auxiliary vector and, if there is room, the entry that is not for the program. */
static void show(const u64 *auxv, u64 words)
{
    u64 *to = state.shown;

    state.told.auxv = (__u64 *)state.shown;
    if (words + 2 > RL_SHOWN_WORDS) {
        state.told.auxv = (__u64 *)auxv;
        state.told.auxv_size = (u32)(words * 8);
        return;
    }
    *to++ = RL_AT_IDENTITY;
    *to++ = identity_now();
    memcpy(to, auxv, words * 8);
    state.told.auxv_size = (u32)((words + 2) * 8);
}

int rl_has_threads(void)
{
    struct statx sx;

    /* a link for ., one for .., and one for each thread */
    return rl_sys(__NR_statx, AT_FDCWD, (long)"/proc/self/task", 0, STATX_NLINK, (long)&sx, 0) < 0 || sx.stx_nlink != 3;
}

/* With threads, the heap might grow at the same time, and the call would undo that for the kernel: then the old
 * identity stays. */
void rl_tell_identity(void)
{
    if (state.shown[0] != RL_AT_IDENTITY || state.shown[1] == identity_now() || rl_memory_is_borrowed() ||
        rl_has_threads())
        return;
    state.shown[1] = identity_now();
    state.told.brk = (u64)rl_sys1(__NR_brk, 0);
    tell();
}

static u64 text_end(const char *text) { return (u64)text + strlen(text) + 1; }

/* Without this the process would show the engine's arguments and have its heap after the engine. */
static void tell_kernel(const struct rl_start *s, const struct rl_image *main, u64 *sp, u64 *auxv, u64 words, u64 gap)
{
    u64 envc = count_words(s->envp), arg_end = text_end(s->argv[s->argc - 1]);

    state.told = (struct prctl_mm_map){
        .start_code = main->start_code, .end_code = main->end_code,
        .start_data = main->start_data, .end_data = main->end_data,
        .start_brk = main->end + gap, .brk = main->end + gap, .start_stack = (u64)sp,
        .arg_start = (u64)s->argv[0], .arg_end = arg_end,
        .env_start = envc ? (u64)s->envp[0] : arg_end, .env_end = envc ? text_end(s->envp[envc - 1]) : arg_end,
        .exe_fd = (u32)-1,
    };
    show(auxv, words);
    if (tell() < 0) { /* then keep the heap where the kernel put it: the heap may be the reason for the error */
        state.told.start_brk = state.told.brk = (u64)rl_sys1(__NR_brk, 0);
        tell();
    }
}

static void set_name(const char *execfn)
{
    const char *base = execfn;

    for (const char *p = execfn; *p; p++)
        if (*p == '/' && p[1])
            base = p + 1;
    rl_sys(__NR_prctl, PR_SET_NAME, (long)base, 0, 0, 0, 0);
}

/* A descriptor of the file at `path`, which was at `real` a moment ago: another process may have removed it since. */
static long open_found(const char *real, const char *path)
{
    static struct rl_exec found RL_BULK;
    long fd = *real ? k_open(real, O_RDONLY | O_CLOEXEC, 0) : -ENOENT, r;

    if (fd >= 0)
        return fd;
    r = rl_exec_find(AT_FDCWD, path, 0, &found);
    return r < 0 ? r : rl_exec_open(&found);
}

long rl_start_program(const struct rl_start *s)
{
    static struct rl_image main, interp;
    char *interpreter = rl_slots[0].path; /* not used by any other code yet */
    u64 base, gap, *sp, *auxv, words, mask;
    int dynamic;
    long r;

    random_places((u64)s->stack, &base, &gap);
    r = rl_elf_map(open_found(s->real, rl_below_root(rl_exe_vpath)), base, &main, interpreter);
    if (r < 0)
        return r;
    if (s->memfd >= 0)
        rl_sys1(__NR_close, s->memfd);
    dynamic = interpreter[0] != 0;
    if (dynamic) {
        const char *real = rl_same(s->interpreter, interpreter) ? s->interpreter_real : "";

        r = rl_elf_map(open_found(real, interpreter), interpreter_place(s->auxv), &interp, interpreter);
        if (r < 0)
            return r;
    }
    sp = build_stack(s, &auxv, &words);
    fix_auxv(auxv, &main, dynamic ? &interp : NULL, s->execfn);
    tell_kernel(s, &main, sp, auxv, words, gap);
    set_name(s->execfn);
    if (main.exec_stack)
        rl_sys3(__NR_mprotect, (long)((u64)sp & ~(RL_PAGE - 1)), RL_PAGE, PROT_READ | PROT_WRITE | PROT_EXEC | PROT_GROWSDOWN);
    if (rl_report_fd >= 0) {
        rl_sys1(__NR_close, rl_report_fd);
        rl_report_fd = -1;
    }
    mask = s->sigmask & ~RL_SIG_NEVER;
    rl_sys4(__NR_rt_sigprocmask, RL_SIG_SETMASK, (long)&mask, 0, 8);
    rl_enter((u64)sp, dynamic ? interp.entry : main.entry);
}
