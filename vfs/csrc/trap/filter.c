/* The seccomp filter, made from the table (syscalls.c) once per container process tree.
 *
 * 1. Foreign entry points (i386's int 0x80, x32) and unknown numbers fail with ENOSYS: what the
 *    engine cannot translate never runs.
 * 2. The number is decided first, by binary search. Calls that are always allowed touch nothing but
 *    the number, so that the kernel (>= 5.11) keeps them in its bitmap and skips the filter.
 * 3. What would truncate by right of its path alone is trapped from the gate as well (confine.c).
 * 4. The instruction pointer is read only for calls that would be trapped: calls from the gate pass.
 */
#include <asm/fcntl.h>
#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>

#include "engine.h"
#include "syscalls.h"

#define RL_FILTER_LIMIT 4000
#define RL_FIXUPS 512
#define RL_DATA_NR 0
#define RL_DATA_ARCH 4
#define RL_DATA_IP 8
#define RL_DATA_ARG(i) (16 + 8 * (u32)(i))
#define RL_PR_SET_SYSCALL_USER_DISPATCH 59
#define RL_AF_UNIX 1
#define RL_AF_NETLINK 16
#define RL_NETLINK_AUDIT 9

struct builder {
    struct sock_filter code[RL_FILTER_LIMIT];
    u32 n;
    u32 fixups;
    u32 fix_at[RL_FIXUPS];
    i32 fix_row[RL_FIXUPS];
};
static struct builder b RL_BULK;

static void emit(u16 code, u32 k, u8 yes, u8 no)
{
    b.code[b.n++] = (struct sock_filter){code, yes, no, k};
}

static void load(u32 offset) { emit(BPF_LD | BPF_W | BPF_ABS, offset, 0, 0); }
static void leave(u32 action) { emit(BPF_RET | BPF_K, action, 0, 0); }

static int same(const struct rl_syscall *x, const struct rl_syscall *y)
{
    if (x->action != y->action)
        return 0;
    switch (x->action) {
    case RL_REFUSED: return x->error == y->error;
    case RL_GUARDED:
    case RL_REFUSED_VALUE:
    case RL_REFUSED_BITS: return x->error == y->error && x->fixed == y->fixed;
    case RL_HANDLED_VALUE:
        return x->fixed == y->fixed && x->rest == y->rest && x->but == y->but && x->options == y->options;
    case RL_HANDLED:
    case RL_HANDLED_IF:
        return x->pass == y->pass && ((x->options ^ y->options) & (RL_NO_GATE | RL_NO_GATE_TRUNC | RL_MARK)) == 0;
    default: return 1;
    }
}

/* A jump whose target is known only when the tails have been laid out. */
static void jump_to_row(i32 row)
{
    b.fix_at[b.fixups] = b.n;
    b.fix_row[b.fixups++] = row;
    emit(BPF_JMP | BPF_JA, 0, 0, 0);
}

/* The search: code that leaves with the decision for any number in [low, high). */
static void search(u32 low, u32 high)
{
    u32 first = low;

    while (first + 1 < high && same(rl_syscall_row(low), rl_syscall_row(first + 1)))
        first++;
    if (first + 1 == high) {
        const struct rl_syscall *row = rl_syscall_row(low);

        if (row->action == RL_HARMLESS)
            leave(SECCOMP_RET_ALLOW);
        else if (row->action == RL_UNKNOWN)
            leave(SECCOMP_RET_ERRNO | ENOSYS);
        else if (row->action == RL_REFUSED)
            leave(SECCOMP_RET_ERRNO | row->error);
        else
            jump_to_row((i32)low);
        return;
    }
    u32 middle = (low + high) / 2, at = b.n;

    emit(BPF_JMP | BPF_JGE | BPF_K, middle, 0, 1);
    emit(BPF_JMP | BPF_JA, 0, 0, 0);
    search(low, middle);
    b.code[at + 1].k = b.n - (at + 2);
    search(middle, high);
}

/* Jumps to the trap sequence, which comes last; build() fills in the distance. */
static void go_trap(void)
{
    emit(BPF_JMP | BPF_JA, 0, 0, 0);
}

/* Leave with `action` when argument `arg` lies in [low, low + bytes); falls through otherwise. */
static void if_in_range(u32 arg, u64 low, u64 bytes, u32 action)
{
    load(RL_DATA_ARG(arg) + 4);
    emit(BPF_JMP | BPF_JEQ | BPF_K, (u32)(low >> 32), 0, 4);
    load(RL_DATA_ARG(arg));
    emit(BPF_JMP | BPF_JGE | BPF_K, (u32)low, 0, 2);
    emit(BPF_JMP | BPF_JGE | BPF_K, (u32)(low + bytes), 1, 0);
    leave(action);
}

static void if_null(u32 arg)
{
    load(RL_DATA_ARG(arg));
    emit(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 3);
    load(RL_DATA_ARG(arg) + 4);
    emit(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1);
    leave(SECCOMP_RET_ALLOW);
}

/* prctl: what would let a program out of the filter or break the engine is refused; what depends on
 * the virtual identity is handled; the rest runs. */
static void prctl_tail(void)
{
    static const u8 refused[] = {PR_SET_SECCOMP, PR_SET_MM, RL_PR_SET_SYSCALL_USER_DISPATCH};
    static const u8 handled[] = {PR_CAPBSET_DROP, PR_SET_SECUREBITS, PR_CAP_AMBIENT, PR_SET_KEEPCAPS};

    load(RL_DATA_ARG(0));
    for (u32 i = 0; i < sizeof refused; i++) {
        emit(BPF_JMP | BPF_JEQ | BPF_K, refused[i], 0, 1);
        go_trap(); /* refused in the handler: the engine itself sets up PR_SET_MM */
    }
    for (u32 i = 0; i < sizeof handled; i++) {
        emit(BPF_JMP | BPF_JEQ | BPF_K, handled[i], 0, 1);
        go_trap();
    }
    leave(SECCOMP_RET_ALLOW);
}

/* The kernel's audit log takes nothing from a user without privileges, and programs that are root inside fail over its EPERM
 * (sshd, at a login on a terminal): it is as on a kernel without it. */
static void socket_tail(const struct rl_syscall *row)
{
    load(RL_DATA_ARG(0));
    if (rl_launch->flags & RL_LAUNCH_NO_NETWORK) {
        emit(BPF_JMP | BPF_JEQ | BPF_K, RL_AF_UNIX, 0, 1);
        leave(SECCOMP_RET_ALLOW);
        leave(SECCOMP_RET_ERRNO | row->error);
        return;
    }
    emit(BPF_JMP | BPF_JEQ | BPF_K, RL_AF_NETLINK, 1, 0);
    leave(SECCOMP_RET_ALLOW);
    load(RL_DATA_ARG(2));
    emit(BPF_JMP | BPF_JEQ | BPF_K, RL_NETLINK_AUDIT, 0, 1);
    leave(SECCOMP_RET_ERRNO | EPROTONOSUPPORT);
    leave(SECCOMP_RET_ALLOW);
}

static void tail(const struct rl_syscall *row)
{
    switch (row->action) {
    case RL_REFUSED_BITS:
    case RL_REFUSED_VALUE:
        load(RL_DATA_ARG(0));
        emit(BPF_JMP | (row->action == RL_REFUSED_BITS ? BPF_JSET : BPF_JEQ) | BPF_K, (u32)row->fixed, 0, 1);
        leave(SECCOMP_RET_ERRNO | row->error);
        leave(SECCOMP_RET_ALLOW);
        break;
    case RL_GUARDED: { /* the inherited filter sees the next engine, too: what that does at its start must pass */
        u64 start = (u64)rl_image_start;

        if (row->fixed >= 0) {
            load(RL_DATA_ARG(2));
            emit(BPF_JMP | BPF_JEQ | BPF_K, (u32)row->fixed, 0, 1);
            leave(SECCOMP_RET_ALLOW);
        }
        if_in_range(0, start, (u64)rl_image_end - start, SECCOMP_RET_ERRNO | EINVAL);
        leave(SECCOMP_RET_ALLOW);
        break;
    }
    case RL_HANDLED_VALUE:
        load(RL_DATA_ARG(row->rest));
        if (row->but)
            emit(BPF_ALU | BPF_AND | BPF_K, ~(u32)row->but, 0, 0);
        emit(BPF_JMP | BPF_JEQ | BPF_K, (u32)row->fixed, 1, 0);
        leave(SECCOMP_RET_ALLOW);
        if (row->options & RL_NO_GATE)
            leave(SECCOMP_RET_TRAP);
        else
            go_trap();
        break;
    case RL_PRCTL:
        prctl_tail();
        break;
    case RL_SOCKET: /* from the gate, too: the engine itself needs AF_UNIX alone */
        socket_tail(row);
        break;
    default:
        if (row->options & RL_NO_GATE) {
            leave(SECCOMP_RET_TRAP);
            break;
        }
        if (row->options & RL_NO_GATE_TRUNC) { /* from the gate, or with a pass buffer: all the same */
            load(RL_DATA_ARG(row->path + 1));
            emit(BPF_JMP | BPF_JSET | BPF_K, O_TRUNC, 0, 3);
            emit(BPF_ALU | BPF_AND | BPF_K, O_ACCMODE, 0, 0);
            emit(BPF_JMP | BPF_JEQ | BPF_K, O_RDONLY, 0, 1);
            leave(SECCOMP_RET_TRAP);
        }
        if (row->action == RL_HANDLED_IF)
            if_null(row->pass);
        if (row->options & RL_MARK) {
            load(RL_DATA_ARG(0) + 4);
            emit(BPF_JMP | BPF_JEQ | BPF_K, (u32)(RL_PASS_MARK >> 32), 0, 1);
            leave(SECCOMP_RET_ALLOW);
        } else if (row->pass != RL_NONE)
            if_in_range(row->pass, rl_pass_start(), rl_pass_end() - rl_pass_start(), SECCOMP_RET_ALLOW);
        go_trap();
    }
}

/* Calls of the gate's own pass, the others are trapped. */
static void trap_sequence(void)
{
    u64 start = (u64)rl_gate_start, end = (u64)rl_gate_end;

    load(RL_DATA_IP + 4);
    emit(BPF_JMP | BPF_JEQ | BPF_K, (u32)(start >> 32), 0, 4);
    load(RL_DATA_IP);
    emit(BPF_JMP | BPF_JGE | BPF_K, (u32)start, 0, 2);
    emit(BPF_JMP | BPF_JGT | BPF_K, (u32)end, 1, 0);
    leave(SECCOMP_RET_ALLOW);
    leave(SECCOMP_RET_TRAP);
}

static void build(void)
{
    u32 tails, trap;

    b.n = b.fixups = 0;
    load(RL_DATA_ARCH);
    emit(BPF_JMP | BPF_JEQ | BPF_K, RL_AUDIT_ARCH, 1, 0);
    leave(SECCOMP_RET_ERRNO | ENOSYS);
    load(RL_DATA_NR);
    emit(BPF_JMP | BPF_JGE | BPF_K, RL_SYSCALL_LIMIT, 0, 1);
    leave(SECCOMP_RET_ERRNO | ENOSYS);
    search(0, RL_SYSCALL_LIMIT);
    tails = b.n;
    for (u32 i = 0; i < b.fixups; i++) {
        u32 j = 0;

        while (j < i && !same(rl_syscall_row(b.fix_row[i]), rl_syscall_row(b.fix_row[j])))
            j++;
        if (j < i) {
            b.code[b.fix_at[i]].k = b.code[b.fix_at[j]].k + b.fix_at[j] - b.fix_at[i];
        } else {
            b.code[b.fix_at[i]].k = b.n - b.fix_at[i] - 1;
            tail(rl_syscall_row(b.fix_row[i]));
        }
    }
    trap = b.n;
    for (u32 i = tails; i < trap; i++) /* the go_trap() jumps */
        if (b.code[i].code == (BPF_JMP | BPF_JA))
            b.code[i].k = trap - i - 1;
    trap_sequence();
}

long rl_filter_install(void)
{
    struct sock_fprog program;
    long r;

    r = rl_sys(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0);
    if (r < 0)
        return r;
    build();
    program.len = (u16)b.n;
    program.filter = b.code;
    return rl_sys3(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, (long)&program);
}
