/* A second filter, of a process that watches files: of one descriptor, reads and what gives it one more number are
 * trapped.
 *
 * The other filter lets every read() pass without looking at its arguments, so that the kernel does not run it at all:
 * only processes that have this one pay for it. Filters add up, and none can be removed. It holds for all threads.
 */
#include <linux/fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include "../engine.h"
#include "syscalls.h"

#ifdef __NR_dup2
#define RL_DUP2 __NR_dup2
#else
#define RL_DUP2 __NR_dup3
#endif

#define RL_DATA_NR 0
#define RL_DATA_IP 8
#define RL_DATA_ARG0 16
#define RL_DATA_ARG1 24

/* clang-format off */
#define LOAD(at) {BPF_LD | BPF_W | BPF_ABS, 0, 0, at}
#define IF(value, skip) {BPF_JMP | BPF_JEQ | BPF_K, skip, 0, value}
#define UNLESS(value, skip) {BPF_JMP | BPF_JEQ | BPF_K, 0, skip, value}
/* clang-format on */

long rl_filter_reads_of(u32 fd)
{
    u64 start = (u64)rl_gate_start, end = (u64)rl_gate_end;
    struct sock_filter code[] = {
        LOAD(RL_DATA_NR),
        IF(__NR_read, 9), IF(__NR_readv, 8), IF(__NR_preadv2, 7), IF(__NR_dup, 6), IF(RL_DUP2, 5), IF(__NR_dup3, 4),
        UNLESS(__NR_fcntl, 13),
        LOAD(RL_DATA_ARG1), IF(F_DUPFD, 1), UNLESS(F_DUPFD_CLOEXEC, 10),
        LOAD(RL_DATA_ARG0), UNLESS(fd, 8),
        LOAD(RL_DATA_ARG0 + 4), IF((u32)(RL_PASS_MARK >> 32), 6),
        LOAD(RL_DATA_IP + 4), UNLESS((u32)(start >> 32), 3),
        LOAD(RL_DATA_IP), {BPF_JMP | BPF_JGE | BPF_K, 0, 1, (u32)start},
        {BPF_JMP | BPF_JGT | BPF_K, 0, 1, (u32)end},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_TRAP},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
    };
    struct sock_fprog program = {sizeof code / sizeof code[0], code};

    return rl_sys3(__NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, (long)&program);
}

/* A program's own filters would decide before the engine's handler. */
long rl_do_seccomp(struct rl_call *c)
{
    (void)c;
    return -EINVAL;
}
