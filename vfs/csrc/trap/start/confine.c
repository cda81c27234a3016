/* Confinement by Landlock, from the launch file: the limits for a program that bypasses the handler.
 *
 * 1. The remapping is not a boundary: a program that jumps to the gate can make any call. The kernel then enforces
 *    these rules, which are installed before the first program and inherited by all.
 * 2. Rules name real host paths: layers and the engine's own inputs are readable, the upper is writable, binds have
 *    their declared access. All other files of the host are denied.
 * 3. Device nodes are never made: real root could reach a disk through one.
 * 4. ABI 1 cannot rename across directories, so it is not supported.
 * 5. The right to truncate is not handled, though ABI 3 could: since the kernel requests it at every open, in case it
 *    is needed, it would check it for all directories up to the real root. Instead the filter forbids truncation by
 *    path (checks.c), and the other ways need a descriptor open for writing.
 * 6. Not restricted by any Landlock ABI: stat, chmod, chown, utimes and xattrs of outside files, connecting to UNIX
 *    sockets by name. SECURITY.md says so.
 *
 * Kernel: Documentation/userspace-api/landlock.rst. The structures are defined here because the build machine's headers
 * may be older than the running kernel.
 */
#include <asm/fcntl.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <linux/prctl.h>
#include <linux/stat.h>

#include "../engine.h"

#define LL_CREATE_RULESET 444
#define LL_ADD_RULE 445
#define LL_RESTRICT_SELF 446
#define LL_CREATE_RULESET_VERSION 1
#define LL_RULE_PATH_BENEATH 1

#define LL_EXECUTE (1ull << 0)
#define LL_WRITE_FILE (1ull << 1)
#define LL_READ_FILE (1ull << 2)
#define LL_READ_DIR (1ull << 3)
#define LL_MAKE_CHAR (1ull << 6)
#define LL_MAKE_BLOCK (1ull << 11)
#define LL_TRUNCATE (1ull << 14)
#define LL_IOCTL_DEV (1ull << 15)
#define LL_NET_TCP 3ull      /* bind and connect */
#define LL_SCOPE_ABSTRACT 1ull
#define LL_SCOPE_SIGNAL 2ull

#define READ (LL_EXECUTE | LL_READ_FILE | LL_READ_DIR)
#define OF_FILES (LL_EXECUTE | LL_WRITE_FILE | LL_READ_FILE | LL_IOCTL_DEV)
#define DEVICE (LL_READ_FILE | LL_WRITE_FILE | LL_IOCTL_DEV)
#define PASSED_FDS 10 /* the caller's descriptors to check: 0, 1, 2 and --preserve-fds */

struct ruleset_attr {
    u64 fs, net, scoped;
};
struct path_attr {
    u64 access;
    i32 fd;
} __attribute__((packed));

/* Of rl_confine(), which the one thread of the engine calls before the first program. */
static struct {
    struct ruleset_attr handled;
    long ruleset; /* its descriptor */
    u64 all;      /* every right except making devices */
} state;

static u64 rights_of(long abi)
{
    u64 rights = (1ull << (abi >= 5 ? 16 : 14)) - 1;

    return rights & ~LL_TRUNCATE;
}

static long allow_fd(long fd, u64 access)
{
    struct path_attr rule = {access & state.handled.fs, (i32)fd};
    long r = rl_sys4(LL_ADD_RULE, state.ruleset, LL_RULE_PATH_BENEATH, (long)&rule, 0);

    if (r == -EINVAL) { /* not a directory: only the rights that apply to files */
        rule.access &= OF_FILES;
        r = rule.access ? rl_sys4(LL_ADD_RULE, state.ruleset, LL_RULE_PATH_BENEATH, (long)&rule, 0) : 0;
    }
    return r;
}

/* A missing path, or one that this user cannot reach, needs no rule. */
static long allow_opened(long fd, u64 access)
{
    long r;

    if (fd == -ENOENT || fd == -EACCES || fd == -ENOTDIR || fd == -ENXIO)
        return 0;
    if (fd < 0)
        return fd;
    r = allow_fd(fd, access);
    rl_sys1(__NR_close, fd);
    return r;
}

static long allow(const char *path, u64 access)
{
    return allow_opened(k_open(path, O_PATH | O_CLOEXEC, 0), access);
}

/* A real path. A link on it is one that a program has placed since the path was resolved: it is not followed. */
static long allow_real(const char *path, u64 access)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS};
    long fd = rl_sys4(__NR_openat2, AT_FDCWD, (long)path, (long)&how, sizeof how);

    if (fd == -ELOOP)
        return 0;
    return fd == -ENOSYS || fd == -EPERM ? allow(path, access) : allow_opened(fd, access);
}

static long allow_str(struct rl_str s, u64 access)
{
    return s.len ? allow(rl_launch_str(s), access) : 0;
}

/* /dev: the devices that every program needs. Any other device needs a bind (-v /dev/dri:/dev/dri). */
static long allow_devices(void)
{
    static const struct {
        const char *path;
        u64 access;
    } needed[] = {
        {"/dev", LL_READ_DIR},  {"/dev/null", DEVICE},   {"/dev/zero", DEVICE}, {"/dev/full", DEVICE},
        {"/dev/tty", DEVICE},   {"/dev/random", DEVICE}, {"/dev/urandom", DEVICE}, {"/dev/ptmx", DEVICE},
        {"/dev/pts", DEVICE | LL_READ_DIR}, {"/dev/shm", ~0ull},
    };

    for (u32 i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        long r = allow(needed[i].path, needed[i].access & state.all);

        if (r < 0)
            return r;
    }
    return 0;
}

/* The kernel's own file systems, as opposed to the user's binds, are not shown as owned by the caller. */
static long allow_bind(const struct rl_launch_bind *b)
{
    const char *host = b->host.len ? rl_launch_str(b->host) : "/";

    if (b->flags & RL_BIND_LINK)
        return 0;
    if (!(b->flags & RL_BIND_OWNER)) {
        if (rl_same(host, "/dev"))
            return allow_devices();
        if (b->flags & RL_BIND_PROC) /* /proc/sys and the like belong to root: even root does not need them inside */
            return allow(host, rl_sys0(__NR_geteuid) ? READ | LL_WRITE_FILE : READ);
        return allow(host, READ);
    }
    return allow_real(host, b->flags & RL_BIND_RO ? READ : state.all);
}

/* A rule for a directory covers everything below it. */
static int is_directory(int fd)
{
    struct statx sx;

    return rl_sys(__NR_statx, fd, (long)"", AT_EMPTY_PATH, STATX_TYPE, (long)&sx, 0) < 0 ||
           (sx.stx_mode & S_IFMT) == S_IFDIR;
}

/* Files to which the caller redirected our descriptors may be opened again by name (/dev/stdout). */
static long allow_passed(void)
{
    for (int fd = 0; fd < PASSED_FDS; fd++) {
        long mode = rl_sys3(__NR_fcntl, fd, F_GETFL, 0), r;
        u64 access = 0;

        if (mode < 0 || (mode & O_PATH))
            continue;
        if ((mode & O_ACCMODE) != O_WRONLY)
            access |= LL_READ_FILE;
        if ((mode & O_ACCMODE) != O_RDONLY)
            access |= LL_WRITE_FILE;
        r = is_directory(fd) ? 0 : allow_fd(fd, access | LL_IOCTL_DEV);
        if (r < 0 && r != -EBADFD) /* a pipe or a socket has no path */
            return r;
    }
    return 0;
}

/* For each file that is opened, the kernel walks up to the nearest directory with a rule that suffices, 0.1 us a level:
 * most files of an image are below one of these. They are parts of what the tree's own rule allows. No link is followed:
 * it is an image's, and could lead anywhere. */
static const char *const near_files[] = {"usr/bin", "usr/lib", "usr/share", "usr/include", "usr/local/lib"};

static long allow_tree(struct rl_str tree)
{
    struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH};
    long fd = k_open(rl_launch_str(tree), O_PATH | O_DIRECTORY | O_CLOEXEC, 0), r;

    r = fd < 0 ? allow_opened(fd, READ) : allow_fd(fd, READ);
    for (u32 i = 0; fd >= 0 && r >= 0 && i < sizeof near_files / sizeof near_files[0]; i++) {
        long below = rl_sys4(__NR_openat2, fd, (long)near_files[i], (long)&how, sizeof how);

        r = below < 0 ? 0 : allow_opened(below, READ);
    }
    if (fd >= 0)
        rl_sys1(__NR_close, fd);
    return r;
}

static long allow_all(void)
{
    const char *base = (const char *)rl_launch;
    const struct rl_launch_dir *dir = (const void *)(base + rl_launch->off_dirs);
    const struct rl_str *tree = (const void *)(base + rl_launch->off_view_layers);
    const struct rl_launch_bind *bind = (const void *)(base + rl_launch->off_binds);
    char path[RL_PATH_MAX + 32]; /* holds a base's, too */
    long r = allow_str(rl_launch->engine, READ);

    if (r >= 0)
        r = allow(rl_launch_path, LL_READ_FILE);
    if (r >= 0)
        r = allow_str(rl_launch->view, LL_READ_FILE);
    if (r >= 0 && rl_launch->view.len && rl_view_base(rl_launch_str(rl_launch->view), path))
        r = allow(path, LL_READ_FILE);
    if (r >= 0)
        r = allow_str(rl_launch->lock, LL_READ_FILE | LL_WRITE_FILE);
    if (r >= 0)
        r = allow_str(rl_launch->trace, LL_WRITE_FILE);
    if (r >= 0) /* all tables are readable, its own is writable */
        r = allow_str(rl_launch->addresses, LL_READ_FILE);
    if (r >= 0 && rl_launch->address[0])
        r = allow(rl_address_file(rl_launch->address, path), LL_READ_FILE | LL_WRITE_FILE);
    if (r >= 0) /* of an address that it gets while it runs; otherwise it is the lock file */
        r = allow_str(rl_launch->table, LL_READ_FILE | LL_WRITE_FILE);
    for (u32 i = 0; i < rl_launch->dirs && r >= 0; i++) {
        int upper = dir[i].flags & RL_DIR_UPPER; /* a frozen upper, and its filter, belong to other containers, too */
        r = allow_real(dir[i].path.len ? rl_launch_str(dir[i].path) : "/", upper ? state.all : READ);
        if (r >= 0)
            r = allow_str(dir[i].bloom, LL_READ_FILE | (upper ? LL_WRITE_FILE : 0));
        if (r >= 0 && upper && rl_removed_path(rl_launch_str(dir[i].bloom), dir[i].bloom.len, path, sizeof path) >= 0)
            r = allow(path, LL_READ_FILE | LL_WRITE_FILE);
    }
    for (u32 i = 0; i < rl_launch->view_layers && r >= 0; i++)
        r = tree[i].len ? allow_tree(tree[i]) : 0;
    for (u32 i = 0; i < rl_launch->binds && r >= 0; i++)
        r = allow_bind(&bind[i]);
    return r < 0 ? r : allow_passed();
}

/* Real root keeps the capabilities that Docker leaves it, except those that bypass Landlock, or that make a file a
 * privileged program for all users (CAP_SETFCAP; the filter rejects set-id bits): under no_new_privs no exec restores
 * any. Other users have none to drop. */
static void drop_capabilities(void)
{
    static const u8 kept[] = {CAP_CHOWN,  CAP_DAC_OVERRIDE, CAP_FOWNER,  CAP_FSETID,           CAP_KILL,
                              CAP_SETGID, CAP_SETUID,       CAP_SETPCAP, CAP_NET_BIND_SERVICE, CAP_NET_RAW};
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    u64 keep = 0;

    for (u32 i = 0; i < sizeof kept; i++)
        keep |= 1ull << kept[i];
    if (rl_sys2(__NR_capget, (long)&head, (long)data) < 0)
        return;
    for (u32 i = 0; i < 64; i++)
        if (!(keep >> i & 1))
            rl_sys(__NR_prctl, PR_CAPBSET_DROP, i, 0, 0, 0, 0);
    for (u32 i = 0; i < 2; i++) {
        u32 mask = (u32)(keep >> (32 * i));

        data[i].effective &= mask;
        data[i].permitted &= mask;
        data[i].inheritable &= mask;
    }
    rl_sys2(__NR_capset, (long)&head, (long)data);
}

/* 0: confined as the launch file requires. -EOPNOTSUPP: confinement is required and this kernel does not support it. */
long rl_confine(void)
{
    u32 flags = rl_launch->flags;
    long abi, r;

    if (!(flags & (RL_LAUNCH_CONFINE | RL_LAUNCH_REQUIRE)))
        return 0;
    abi = rl_sys3(LL_CREATE_RULESET, 0, 0, LL_CREATE_RULESET_VERSION);
    if (abi < 2)
        return flags & RL_LAUNCH_REQUIRE ? -EOPNOTSUPP : 0;
    state.handled.fs = rights_of(abi);
    state.all = state.handled.fs & ~(LL_MAKE_CHAR | LL_MAKE_BLOCK);
    if (abi >= 4 && (flags & RL_LAUNCH_NO_NETWORK))
        state.handled.net = LL_NET_TCP;
    if (abi >= 6 && !(flags & RL_LAUNCH_UNSCOPED))
        state.handled.scoped = LL_SCOPE_ABSTRACT | LL_SCOPE_SIGNAL;
    state.ruleset = rl_sys3(LL_CREATE_RULESET, (long)&state.handled, sizeof state.handled, 0);
    if (state.ruleset < 0)
        return state.ruleset;
    r = allow_all();
    if (r >= 0)
        r = rl_sys(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0);
    if (r >= 0)
        r = rl_sys2(LL_RESTRICT_SELF, state.ruleset, 0);
    if (r >= 0)
        drop_capabilities();
    rl_sys1(__NR_close, state.ruleset);
    /* The kernel's limit is sixteen nested domains. */
    return r == -E2BIG && !(flags & RL_LAUNCH_REQUIRE) ? 0 : r;
}
