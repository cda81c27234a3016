/* Declarations shared by the files of the trap engine.
 *
 * The life of one trapped call: the filter (table/filter.c) raises SIGSYS; the gate (arch.h) claims a slot (call/slots.c)
 * and switches to its stack; call/sigsys.c looks the call up in the table (table/syscalls.c), copies its path arguments
 * (call/usermem.c) and calls the row's handler (files/, sockets/, process/, signals/), which calls the core
 * (../core/core.h); the result is stored in the saved registers.
 *
 * 1. Handlers run on a slot's stack with every signal blocked but SIGSEGV and SIGBUS, which only the
 *    copy routines of usermem.c may cause.
 * 2. A handler accesses the program's memory only through usermem.c.
 * 3. A call that may block for long is not made here but returned to the program's context (resume.c).
 * 4. No floating point, no thread-local storage, no allocation.
 */
#ifndef RL_ENGINE_H
#define RL_ENGINE_H

#pragma GCC visibility push(hidden) /* no indirection through a GOT, which a static program does not need */
#include "../core/base/base.h"
#include "arch.h"

#define RL_SIGBIT(sig) (1ull << ((sig)-1))
#define RL_SIGBUS 7
#define RL_SIGKILL 9
#define RL_SIGSEGV 11
#define RL_SIGSTOP 19
#define RL_SIGSYS 31

#define RL_EXIT_ENGINE 125 /* an error in the engine itself */
#define RL_EXIT_CANNOT_RUN 126
#define RL_EXIT_NOT_FOUND 127

/* ---- one call ---------------------------------------------------------------------------------- */

#define RL_BUF_BYTES 65536

/* A slot: the buffers and the stack of one call. */
struct rl_slot {
    u64 spill, spill_bytes; /* a mapping that an exec from this slot left behind */
    char path[RL_PATH_MAX];
    char path2[RL_PATH_MAX];
    struct rl_open open;
    struct rl_exec exec;
    struct rl_exec exec2;
    u8 buf[RL_BUF_BYTES];
    u8 stack[131072] __attribute__((aligned(16)));
};

struct rl_syscall;
struct rl_call {
    long nr;
    u64 arg[6];
    struct rl_ucontext *uc;
    u64 stack; /* where the frame of a fault may be: on the program's stack */
    struct rl_slot *slot;
    const struct rl_syscall *row;
    int dir, dir2, flags;      /* from the arguments, as the row says */
    const char *path, *path2;  /* copies in the slot, or NULL */
    u64 *rest;                 /* the arguments after the path */
    int resumed;               /* the registers are set already: do not store a result */
    int patched;               /* not from a signal: uc holds nothing but the signal mask */
};

long rl_dispatch(struct rl_call *c);

static inline long rl_sys0(long nr) { return rl_sys(nr, 0, 0, 0, 0, 0, 0); }
static inline long rl_sys1(long nr, long a) { return rl_sys(nr, a, 0, 0, 0, 0, 0); }
static inline long rl_sys2(long nr, long a, long b) { return rl_sys(nr, a, b, 0, 0, 0, 0); }
static inline long rl_sys3(long nr, long a, long b, long c) { return rl_sys(nr, a, b, c, 0, 0, 0); }
static inline long rl_sys4(long nr, long a, long b, long c, long d) { return rl_sys(nr, a, b, c, d, 0, 0); }

/* A bad pointer must not find its SIGSEGV blocked: that would end the process (sigsys.c). */
void rl_unblock_faults(const struct rl_ucontext *uc);

/* ---- patch.c: calls that no longer trap ---------------------------------------------------------- */

/* After a trapped call: `ip` and `sp` as they were when it trapped. */
void rl_patch_trapped(struct rl_call *c, u64 ip, u64 sp);
/* The site of execve in the code around `ip`, before it is called. */
void rl_patch_exec(struct rl_call *c, u64 ip);

/* ---- usermem.c: the program's memory ------------------------------------------------------------- */

/* 0 or -EFAULT. */
long rl_user_read(struct rl_call *c, void *to, u64 from, size_t n);
long rl_user_write(struct rl_call *c, u64 to, const void *from, size_t n);
/* Length without NUL, -EFAULT, or `too_long` (-ENAMETOOLONG, -ERANGE, …) when there is no NUL in `size` bytes. */
long rl_user_text(struct rl_call *c, char *to, u64 from, size_t size, long too_long);
/* gate.S; `stack`: where the frame of a fault may be. */
long rl_copy_raw(void *to, const void *from, size_t n, u64 stack);
long rl_copy_text(char *to, const char *from, size_t max, u64 stack);

/* ---- slots.c ----------------------------------------------------------------------------------- */

extern struct rl_slot rl_slots[];
void rl_slots_init(void);
struct rl_slot *rl_slot_claim(void);
void rl_slot_free(struct rl_slot *slot);
/* The word that the kernel may clear (set_tid_address) to free the slot of a vfork child that has ended. */
u32 *rl_slot_word(const struct rl_slot *slot);
u32 *rl_patch_lock(void); /* 0: free; wiped in a forked child */
u32 *rl_altstack_lock(void); /* likewise */
/* This is a vfork child: its changes of memory are changes of its parent's memory. */
int rl_memory_is_borrowed(void);
int rl_memory_is_alone(void);     /* not a vfork child's, and of one thread */
extern u32 rl_cwd_is_shared; /* another process may change the working directory. Never cleared; exec passes it on */

/* ---- resume.c: calls made in the program's own context ----------------------------------------- */

#define RL_PASS_BYTES 4608
u64 rl_pass_start(void);
u64 rl_pass_end(void);
/* A buffer whose address makes the filter allow the call; it stays valid for the next 255 of these. */
u8 *rl_pass_buffer(void);
/* In the upper half of argument 0, a descriptor, of calls with RL_MARK: the filter allows them. */
#define RL_PASS_MARK (0x6e50726cull << 32)
long rl_resume(struct rl_call *c, long nr, const u64 arg[6]);
/* The call unchanged, untrapped, of a row with RL_MARK. */
long rl_resume_unchanged(struct rl_call *c);
/* In the gate; if it succeeds, the program's call returns `result`, or, with `again`, is made once more. */
long rl_resume_then(struct rl_call *c, long nr, const u64 arg[6], long result, int again);
/* accept or accept4 in the gate, and then getpeername for the program's address. */
long rl_resume_accept(struct rl_call *c, const u64 arg[6]);
/* recvmmsg in the gate, as the program made it, and once more, trapped, after n messages have arrived: argument 0 then
 * has the mark, and argument 2 is n. */
#define RL_CAME_MARK (0x6e50726dull << 32)
long rl_resume_many(struct rl_call *c);

/* ---- signals.c, fault.c ------------------------------------------------------------------------ */

struct rl_sigaction {
    u64 handler, flags, restorer, mask;
};
#define RL_SA_SIGINFO 4ull
#define RL_SA_RESTORER 0x04000000ull
#define RL_SA_ONSTACK 0x08000000ull
#define RL_SA_RESETHAND 0x80000000ull
#define RL_SIG_DFL 0ull
#define RL_SIG_IGN 1ull
#define RL_SIG_BLOCK 0
#define RL_SIG_UNBLOCK 1
#define RL_SIG_SETMASK 2
#define RL_SIG_FAULTS (RL_SIGBIT(RL_SIGSEGV) | RL_SIGBIT(RL_SIGBUS))
#define RL_SIG_NEVER (RL_SIGBIT(RL_SIGSYS) | RL_SIGBIT(RL_SIGKILL) | RL_SIGBIT(RL_SIGSTOP))

/* Some thread may have SIGSEGV or SIGBUS blocked. Never cleared. The C libraries' own sections that block all signals,
 * their internal ones included, do not count: they pass no pointer of the program's. */
extern u32 rl_faults_blocked;
static inline int rl_blocks_faults(u64 set) { return set != ~0ull && (set & RL_SIG_FAULTS) != 0; }
static inline void rl_note_mask(u64 set)
{
    if (rl_blocks_faults(set))
        rl_faults_blocked = 1;
}

void rl_signals_init(void);
/* Ignored signals stay ignored across exec: set the kernel's action to the one that the program has set. */
void rl_signals_before_exec(void);
void rl_signals_after_failed_exec(void);
struct rl_sigaction *rl_virtual_action(int sig);
int rl_holds_sigsys(int sig); /* the program has put SIGSYS into the mask of this action */
long rl_install_action(int sig, const struct rl_sigaction *want);

/* ---- exec.c, elf.c, start.c -------------------------------------------------------------------- */

struct rl_image {
    u64 bias, entry, phdr, end; /* end: of the last segment, page aligned */
    u64 start_code, end_code, start_data, end_data;
    u32 phnum, phent;
    u32 exec_stack;
};
/* Reads and checks the headers of an open ELF file. 0, or -ENOEXEC or another -errno. */
long rl_elf_check(int fd, char *interp, size_t interp_size);
/* Maps it and closes fd; an error of the close is returned. `want_base`: the base of a position-independent main
 * program, 0 for the kernel's choice. interp[RL_PATH_MAX]: its interpreter, or empty. */
long rl_elf_map(long fd, u64 want_base, struct rl_image *out, char *interp);
/* Name of an ELF header's machine, for messages. */
const char *rl_elf_machine_name(const u8 *head, size_t n);
int rl_elf_foreign(const char *prog, const u8 *head, size_t n); /* 1, after a message: built for another machine */

struct rl_start {
    u64 *stack; /* as the kernel left it: argc, argv, NULL, envp, NULL, auxv */
    u64 argc;
    char **argv; /* the program's own */
    char **envp;
    u64 *auxv;
    const char *execfn;
    const char *real;                            /* the program's real path; "": look it up */
    const char *interpreter, *interpreter_real; /* its name for its interpreter, and that file's real path */
    u64 sigmask;
    int memfd; /* to close when the program is mapped, or -1 */
};
/* Maps the program named by rl_exe_vpath, and its interpreter, and jumps. Returns only on failure. */
long rl_start_program(const struct rl_start *s);

#define RL_OWN_FD "/proc/self/fd/" /* EXE-VPATH of a program that is a memfd: this and a number */
int rl_own_fd(const char *vpath);  /* that number; -1: it is a path */
#define RL_SCRIPT_HEAD 256 /* BINPRM_BUF_SIZE */
/* Parses `#!`: 0 and interp/arg (arg may be NULL) pointing into head, or -ENOEXEC. */
long rl_script_parse(char *head, long n, char **interp, char **arg);
/* All of execve up to the kernel's own; returns only on failure. argv and envp are the program's. */
long rl_exec(struct rl_call *c, int dirfd, const char *path, u64 argv, u64 envp, int flags);

extern const char *rl_launch_path;

/* ---- process.c --------------------------------------------------------------------------------- */

#define RL_PTRACE_ATTACH 16
#define RL_PTRACE_SEIZE 0x4206
int rl_may_trace(i32 pid); /* otherusers.c: by the users inside */
/* Does the request that rl_do_ptrace() deferred. Right before the kernel's execve. */
void rl_trace_before_exec(void);

/* ---- identity.c -------------------------------------------------------------------------------- */

/* `uid[,euid]:gid[,egid]:umask:group,group,…[:signal mask[,dropped capabilities][:root]]`. 0 or -EINVAL. */
long rl_state_parse(const char *text, u64 *sigmask);
/* Apply the set-id bits of this file after an exec of it. */
void rl_identity_of_program(struct rl_identity *me, const struct rl_attr *file);
size_t rl_state_print(char *out, const struct rl_identity *me, u64 sigmask);

/* ---- vfork.c --------------------------------------------------------------------------------- */

void rl_identity_borrow(void); /* before a change: of ids, groups, capabilities, umask, root */
void rl_identity_return(void); /* right before the kernel's execve */
void rl_identity_settle(void); /* before a call is handled */
extern u32 rl_identity_lent;   /* work may be pending */

/* ---- identity as seen by other processes: start.c ------------------------------------------------- */

/* The identity of this process for processes that cannot read its memory (peercred.c): an entry in the auxiliary vector
 * that the kernel shows, the effective uid in the lower half. Call it after a change. */
#define RL_AT_IDENTITY 0x6e50726cull
void rl_tell_identity(void);
int rl_has_threads(void);

/* ---- peercred.c --------------------------------------------------------------------------------- */

long rl_identity_read(u64 pid, struct rl_identity *out); /* of another process: 0 or -ESRCH */

/* ---- capability.c ------------------------------------------------------------------------------ */

/* A program's threads share them. */
struct rl_caps {
    u64 permitted, effective;
    int keep; /* PR_SET_KEEPCAPS */
    u64 unbound;       /* dropped from the bounding set: an exec does not give them again */
    u64 given_up, off; /* what user 0 has no longer, and what it has but not in effect */
};
extern struct rl_caps rl_caps;
int rl_capable(u32 capability);
void rl_tell_status(struct rl_own_status *out);
/* After the user ids have changed; `old`: real, effective and saved before. */
void rl_caps_after(const u32 old[3]);

/* ---- confine.c --------------------------------------------------------------------------------- */

/* Restricts this process and its descendants. 0, or -errno: then no program may be started. */
long rl_confine(void);

/* ---- porttable.c ------------------------------------------------------------------------------- */

char *rl_address_file(const u8 address[4], char *out); /* out: RL_PATH_MAX + 32 */

/* ---- keptdirs.c --------------------------------------------------------------------------------- */

void rl_keptdirs_init(void);
extern u32 rl_keptdirs_pending; /* the next open must call this: */
void rl_keptdirs_settle(void);
/* Set the limit of open files, soft and hard; `old`: the program's address for the one before, or 0. */
long rl_keptdirs_limit(const u64 limit[2], u64 old);

/* ---- filter.c, mark.c, trace.c, warn.c ---------------------------------------------------------------- */

long rl_filter_install(void);
void rl_filter_signals(void); /* signalfilter.c: the process is no longer user 0 */
long rl_filter_reads_of(u32 fd); /* readfilter.c: trap them from now on */
void rl_watch_received(int fd);  /* files/watches.c: a descriptor that another process has sent */
void rl_mark_process(void);
void rl_prevent_core_files(void);
long rl_mark_exchange(struct rl_call *c, u64 set, u64 get);
long rl_set_open_files(struct rl_call *c, u64 set, u64 get); /* RLIMIT_NOFILE: process.c */
extern char rl_gate_start[], rl_gate_end[];
extern char __executable_start[], _end[]; /* the linker's names for the ends of the engine */
#define rl_image_start __executable_start
#define rl_image_end _end
static inline int rl_in_engine(u64 ip) { return ip >= (u64)rl_image_start && ip < (u64)rl_image_end; }

void rl_trace(struct rl_call *c, long result);
void rl_trace_exec(struct rl_call *c, const char *path);

/* limits.c: limits, cgroup and report descriptor of the first program. Dies if one is refused. */
void rl_set_before(const char *limits, const char *cgroup, const char *report);

/* The descriptor that `run -d` and popen read (main.c); -1: none. */
extern int rl_report_fd;
extern int rl_report_alone; /* why no program starts is written to it only, not to fd 2 */
/* After one line "rootlay: a b c" on fd 2, any of them NULL. */
void rl_warn(const char *a, const char *b, const char *c);
_Noreturn void rl_die(int code, const char *a, const char *b, const char *c);
const char *rl_error_text(long error);

#pragma GCC visibility pop

#endif
