/* The filter's checks of arguments. They hold for every caller: the gate is no exception, since a program can jump
 * there.
 *
 * 1. The first check that matches decides; a call that matches none is handled as its row says.
 * 2. A check reads the low 32 bits of an argument, never the memory that a pointer points to.
 * 3. These are the checks that neither Landlock nor the kernel's permissions make: docs/gate.md covers all calls.
 * 4. The engine must never make a call that is trapped from the gate as well: it would end the process.
 */
#include <asm/fcntl.h>
#include <asm/ioctls.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/prctl.h>

#include "../engine.h"
#include "syscalls.h"

#define SET_ID 06000
#define NEW_NAMESPACES 0x7e020080 /* CLONE_NEW* */
#define CLONE_VM_ 0x100
#define CLONE_FS_ 0x200
#define CLONE_VFORK_ 0x4000
#define CLONE_THREAD_ 0x10000
#define PR_SET_SYSCALL_USER_DISPATCH_ 59
#define END {0}

/* Landlock checks by the access mode: 3 (for ioctls alone) needs no right, and O_RDONLY | O_TRUNC only the right to
 * read. A set-id program made here would be one for all users of the machine: set-id bits stay in records. */
#define OPENING(flags, mode) { \
    {flags, RL_MASKED, O_TRUNC | O_ACCMODE, O_TRUNC | O_RDONLY, RL_TRAPS_ALL}, \
    {flags, RL_MASKED, O_ACCMODE, O_ACCMODE, RL_TRAPS_ALL}, \
    {mode, RL_ANY_OF, 0, SET_ID, RL_TRAPS_ALL}, END}
const struct rl_check rl_check_open[] = OPENING(1, 2);
const struct rl_check rl_check_openat[] = OPENING(2, 3);
const struct rl_check rl_check_mode1[] = {{1, RL_ANY_OF, 0, SET_ID, RL_TRAPS_ALL}, END};
const struct rl_check rl_check_mode2[] = {{2, RL_ANY_OF, 0, SET_ID, RL_TRAPS_ALL}, END};

/* The whiteout that a rename can leave behind is a device node, for which Landlock then requires no right. */
const struct rl_check rl_check_renameat2[] = {{4, RL_ANY_OF, 0, 4 /* RENAME_WHITEOUT */, RL_TRAPS_ALL}, END};

/* Again, when its removals are whiteouts (process.c). */
const struct rl_check rl_check_exit_group[] = {{0, RL_MARKED, 0, 0, RL_RUNS}, {0, RL_ALWAYS, 0, 0, RL_TRAPS}, END};

/* In a clone the lowest bits are the signal, not CLONE_NEWTIME. */
/* The working directory is known, unless two processes share it, or share only the memory (cwdcache.c, rule 2). */
const struct rl_check rl_check_clone[] = {
    {0, RL_ANY_OF, 0, NEW_NAMESPACES & ~0x80u, EPERM},
    {0, RL_MARKED, 0, 0, RL_RUNS},
    {0, RL_MASKED, CLONE_VM_ | CLONE_FS_, CLONE_FS_, RL_TRAPS},
    {0, RL_MASKED, CLONE_VM_ | CLONE_VFORK_ | CLONE_THREAD_, CLONE_VM_, RL_TRAPS}, END};
const struct rl_check rl_check_unshare[] = {{0, RL_ANY_OF, 0, NEW_NAMESPACES, EPERM}, END};

/* Every process of the user, outside as well. */
const struct rl_check rl_check_kill[] = {{0, RL_EQUAL, 0, (u32)-1, EPERM}, END};
const struct rl_check rl_check_setpriority[] = {{0, RL_EQUAL, 0, 2 /* PRIO_USER */, EPERM}, END};
const struct rl_check rl_check_ioprio_set[] = {{0, RL_EQUAL, 0, 3 /* IOPRIO_WHO_USER */, EPERM}, END};

/* The limit that is the mark (mark.c): no program changes or reads it. The engine has descriptors above that of open
 * files (keptdirs.c). */
const struct rl_check rl_check_getrlimit[] = {{0, RL_EQUAL, 0, RL_RLIMIT_MARK, RL_TRAPS_ALL}, END};
const struct rl_check rl_check_setrlimit[] = {
    {0, RL_EQUAL, 0, RL_RLIMIT_MARK, RL_TRAPS_ALL}, {0, RL_EQUAL, 0, RL_RLIMIT_NOFILE, RL_TRAPS}, END};
/* Setting its own limits, and reading those of other processes. RLIMIT_CPU kills. */
const struct rl_check rl_check_prlimit64[] = {
    {1, RL_EQUAL, 0, RL_RLIMIT_MARK, RL_TRAPS_ALL}, {2, RL_NULL, 0, 0, RL_RUNS}, {0, RL_OTHER, 0, 0, RL_TRAPS_ALL},
    {1, RL_EQUAL, 0, RL_RLIMIT_NOFILE, RL_TRAPS}, {0, RL_ALWAYS, 0, 0, RL_RUNS}, END};

/* All processes of a CPU or of a cgroup, for which the kernel might require no permission. */
const struct rl_check rl_check_perf_event_open[] = {
    {1, RL_ANY_OF, 0, 0x80000000u, EACCES}, {4, RL_ANY_OF, 0, 4 /* PERF_FLAG_PID_CGROUP */, EACCES}, END};

/* Faults of the program itself only: stopping the kernel in its own faults helps to attack it. */
const struct rl_check rl_check_userfaultfd[] = {{0, RL_MASKED, 1, 0, EPERM}, END};

/* A lease on a file that is open for reading blocks processes that open it for writing, outside as well. Unknown
 * commands (F_SETDELEG is one) fail as on a kernel without them. */
const struct rl_check rl_check_fcntl[] = {
    {1, RL_EQUAL, 0, 1024 /* F_SETLEASE */, EINVAL}, {1, RL_LEAST, 0, 1039 /* F_GETDELEG */, EINVAL}, END};

/* Input pushed into a terminal is read by a shell outside. Ioctls of file systems that require only a descriptor open
 * for reading (flags, versions, permanent sealing, subvolumes, sharing of extents): all of them, except those that only
 * read. */
#define TYPE(letter) {1, RL_MASKED, 0xff00, (u32)(letter) << 8, ENOTTY}
const struct rl_check rl_check_ioctl[] = {
    {1, RL_EQUAL, 0, TIOCSTI, EIO},
    {1, RL_EQUAL, 0, 0x541c /* TIOCLINUX */, EPERM},
    {1, RL_MASKED, 0xff00, 0x5400, RL_RUNS},
    {1, RL_EQUAL, 0, FS_IOC_GETFLAGS, RL_RUNS},
    {1, RL_EQUAL, 0, FS_IOC_GETVERSION, RL_RUNS},
    {1, RL_EQUAL, 0, FS_IOC_FSGETXATTR, RL_RUNS},
    {1, RL_EQUAL, 0, FS_IOC_FIEMAP, RL_RUNS},
    {1, RL_EQUAL, 0, 0xc0046686 /* FS_IOC_MEASURE_VERITY */, RL_RUNS},
    {1, RL_EQUAL, 0, 0x4008669b /* Lustre's striping */, RL_RUNS},
    {1, RL_EQUAL, 0, FICLONE, RL_RUNS}, /* open for reading there, for writing here */
    {1, RL_EQUAL, 0, FICLONERANGE, RL_RUNS},
    TYPE('f'), TYPE('v'), TYPE('X'), TYPE('r') /* FAT */, TYPE('o') /* OCFS2 */, TYPE(0x94) /* Btrfs, all: FIDEDUPERANGE */,
    TYPE(0x97) /* Ceph */, TYPE(0xbc) /* bcachefs */, TYPE(0xcf) /* CIFS */, TYPE(0xf5) /* F2FS */,
    END};

/* Address families, as in Docker: the rejected ones are, as a rule, not the network that a program needs (AF_VSOCK: the
 * host of this virtual machine); they fail as on a kernel without them. The kernel's audit log accepts nothing from a
 * user without privileges, and programs that are root inside fail on its EPERM (sshd, at a login on a terminal). */
#define FAMILY(number) {0, RL_EQUAL, 0, number, RL_RUNS}
const struct rl_check rl_check_socket[] = {
    FAMILY(1 /* AF_UNIX */), FAMILY(2 /* AF_INET */), FAMILY(10 /* AF_INET6 */), FAMILY(17 /* AF_PACKET */),
    FAMILY(29 /* AF_CAN */), FAMILY(38 /* AF_ALG */), FAMILY(43 /* AF_SMC */),
    {0, RL_OTHER, 0, 16 /* AF_NETLINK */, EAFNOSUPPORT}, {2, RL_EQUAL, 0, 9 /* NETLINK_AUDIT */, EPROTONOSUPPORT}, END};
const struct rl_check rl_check_socket_alone[] = {{0, RL_OTHER, 0, 1 /* AF_UNIX */, EAFNOSUPPORT}, END};

/* SO_PEERCRED. */
const struct rl_check rl_check_getsockopt[] = {{2, RL_EQUAL, 0, 17, RL_TRAPS}, END};
/* TRACEME and SETOPTIONS. */
const struct rl_check rl_check_ptrace[] = {{0, RL_MASKED, ~0x4200u, 0, RL_TRAPS}, END};
/* The calls that the next engine makes at its start, under this same filter. */
const struct rl_check rl_check_madvise[] = {{2, RL_EQUAL, 0, MADV_WIPEONFORK, RL_RUNS}, END};

/* Options that depend on the identity inside are handled. A program's own filters and dispatch would run before
 * ours. */
const struct rl_check rl_check_prctl[] = {
    {0, RL_EQUAL, 0, PR_SET_SECCOMP, EINVAL},
    {0, RL_EQUAL, 0, PR_SET_SYSCALL_USER_DISPATCH_, EINVAL},
    {0, RL_EQUAL, 0, PR_SET_MM, RL_TRAPS}, /* the engine's start sets it */
    {0, RL_EQUAL, 0, PR_CAPBSET_READ, RL_TRAPS},
    {0, RL_EQUAL, 0, PR_CAPBSET_DROP, RL_TRAPS},
    {0, RL_EQUAL, 0, PR_SET_SECUREBITS, RL_TRAPS},
    {0, RL_EQUAL, 0, PR_CAP_AMBIENT, RL_TRAPS},
    {0, RL_EQUAL, 0, PR_SET_KEEPCAPS, RL_TRAPS},
    END};
/* The engine's own second filter (readfilter.c), for all threads: it can only take away. */
const struct rl_check rl_check_seccomp[] = {
    {0, RL_OTHER, 0, 1 /* SECCOMP_SET_MODE_FILTER */, EINVAL},
    {1, RL_OTHER, 0, 1 /* SECCOMP_FILTER_FLAG_TSYNC */, EINVAL}, END};
