/* A second filter, of a process that was user 0 inside and became another user: signals to other processes, and access
 * to their memory, are trapped, because only the engine knows which users they belong to (otherusers.c).
 *
 * The other filter lets these calls pass without looking at more than their number: only processes that have this one
 * pay for it. It is inherited, and can only add to what the other one refuses.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>

#include "../engine.h"
#include "syscalls.h"

#define RL_DATA_NR 0
#define RL_DATA_IP 8
#define RL_DATA_ARG0 16

/* clang-format off */
#define LOAD(at) {BPF_LD | BPF_W | BPF_ABS, 0, 0, at}
#define IF(value, skip) {BPF_JMP | BPF_JEQ | BPF_K, skip, 0, value}
/* clang-format on */

/* Nothing is lost if it cannot be installed but that the kernel decides, as for user 0. */
void rl_filter_signals(void)
{
    u64 start = (u64)rl_gate_start, end = (u64)rl_gate_end;
    struct sock_filter code[] = {
        LOAD(RL_DATA_NR),
        IF(__NR_kill, 12), IF(__NR_tkill, 11), IF(__NR_tgkill, 10), IF(__NR_rt_sigqueueinfo, 9),
        IF(__NR_rt_tgsigqueueinfo, 8), IF(__NR_pidfd_send_signal, 7), IF(__NR_process_vm_readv, 6),
        IF(__NR_process_vm_writev, 5), {BPF_JMP | BPF_JEQ | BPF_K, 0, 10, __NR_ptrace},
        LOAD(RL_DATA_ARG0), IF(RL_PTRACE_ATTACH, 2), IF(RL_PTRACE_SEIZE, 1),
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
        LOAD(RL_DATA_IP + 4), {BPF_JMP | BPF_JEQ | BPF_K, 0, 3, (u32)(start >> 32)},
        LOAD(RL_DATA_IP), {BPF_JMP | BPF_JGE | BPF_K, 0, 1, (u32)start},
        {BPF_JMP | BPF_JGT | BPF_K, 0, 1, (u32)end},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_TRAP},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
    };
    struct sock_fprog program = {sizeof code / sizeof code[0], code};

    rl_sys3(__NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, (long)&program);
}
