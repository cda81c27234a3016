/* What no engine of this kind can go below: runs a program under a seccomp filter that lets everything pass, and under
 * Landlock with one rule for everything. The filter reads an argument of the calls that an engine must check one of
 * (docs/gate.md); all others are in the kernel's bitmap, and cost nothing.
 *
 *     floor filter|both PROGRAM [ARGUMENTS…]
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RIGHTS ((1ull << 14) - 1) /* of files, as the engine handles them: without LANDLOCK_ACCESS_FS_TRUNCATE */

static int landlock(void)
{
    struct landlock_ruleset_attr all = {.handled_access_fs = RIGHTS};
    struct landlock_path_beneath_attr rule = {.allowed_access = RIGHTS};
    int set = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof all, 0);
    rule.parent_fd = open("/", O_PATH | O_CLOEXEC);
    if (set < 0 || syscall(SYS_landlock_add_rule, set, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) ||
        syscall(SYS_landlock_restrict_self, set, 0))
        return -1;
    close(rule.parent_fd);
    return close(set);
}

static int filter(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fcntl, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prlimit64, 0, 2),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ~0u, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || (!strcmp(argv[1], "both") && landlock()) || filter()) {
        perror("floor");
        return 125;
    }
    execv(argv[2], argv + 2);
    perror(argv[2]);
    return 127;
}
