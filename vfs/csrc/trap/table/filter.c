/* Build the seccomp filter from the table (syscalls.c), once per container process tree.
 *
 * 1. Foreign entry points (i386's int 0x80, x32) and unknown numbers fail with ENOSYS: a call that the engine cannot
 *    translate never runs.
 * 2. The number is decided first, by binary search. Calls that are always allowed read only the number, so that the
 *    kernel (>= 5.11) keeps them in its bitmap and skips the filter.
 * 3. The row's checks are made next (checks.c): they hold for calls from the gate, too.
 * 4. The instruction pointer is read only for calls that would be trapped: calls from the gate pass.
 */
#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>

#include "../engine.h"
#include "syscalls.h"

#define RL_FILTER_LIMIT 4000
#define RL_FIXUPS 512
#define RL_DATA_NR 0
#define RL_DATA_ARCH 4
#define RL_DATA_IP 8
#define RL_DATA_ARG(i) (16 + 8 * (u32)(i))

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
    if (x->action != y->action || x->checks != y->checks)
        return 0;
    switch (x->action) {
    case RL_REFUSED: return x->error == y->error;
    case RL_HANDLED:
    case RL_HANDLED_IF: return x->pass == y->pass && ((x->options ^ y->options) & (RL_NO_GATE | RL_MARK)) == 0;
    default: return 1;
    }
}

/* A jump whose target is known only after the tails have been laid out. */
static void jump_to_row(i32 row)
{
    b.fix_at[b.fixups] = b.n;
    b.fix_row[b.fixups++] = row;
    emit(BPF_JMP | BPF_JA, 0, 0, 0);
}

/* The search: code that ends with the decision for any number in [low, high). */
static void search(u32 low, u32 high)
{
    u32 first = low;

    while (first + 1 < high && same(rl_syscall_row(low), rl_syscall_row(first + 1)))
        first++;
    if (first + 1 == high) {
        const struct rl_syscall *row = rl_syscall_row(low);

        if (row->action == RL_HARMLESS && !row->checks)
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

/* Jumps to the trap sequence, which is last; build() fills in the distance. */
static void go_trap(void)
{
    emit(BPF_JMP | BPF_JA, 0, 0, 0);
}

/* Return `action` if argument `arg` is in [low, low + bytes); falls through otherwise. */
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

static void go(u32 what)
{
    if (what == RL_TRAPS)
        go_trap();
    else
        leave(what == RL_RUNS ? SECCOMP_RET_ALLOW : what == RL_TRAPS_ALL ? SECCOMP_RET_TRAP : SECCOMP_RET_ERRNO | what);
}

/* Checks of one argument under one mask share the load of it. */
static void check(const struct rl_check *c, const struct rl_check *before)
{
    u32 mask = c->test == RL_MASKED ? c->mask : ~0u, held = before && before->test == RL_MASKED ? before->mask : ~0u;

    if (c->test == RL_ALWAYS) {
        go(c->what);
        return;
    }
    if (c->test == RL_MARKED) {
        load(RL_DATA_ARG(c->arg) + 4);
        emit(BPF_JMP | BPF_JEQ | BPF_K, (u32)(RL_PASS_MARK >> 32), 0, 1);
        go(c->what);
        return;
    }
    if (!before || before->arg != c->arg || before->test == RL_NULL || before->test == RL_MARKED || c->test == RL_NULL ||
        mask != held) {
        load(RL_DATA_ARG(c->arg));
        if (mask != ~0u)
            emit(BPF_ALU | BPF_AND | BPF_K, mask, 0, 0);
    }
    if (c->test == RL_NULL) {
        emit(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 3);
        load(RL_DATA_ARG(c->arg) + 4);
    }
    u16 jump = c->test == RL_ANY_OF ? BPF_JSET : c->test == RL_LEAST ? BPF_JGE : BPF_JEQ;

    emit(BPF_JMP | jump | BPF_K, c->test == RL_NULL ? 0 : c->value, c->test == RL_OTHER, c->test != RL_OTHER);
    go(c->what);
}

static const struct rl_check *checks_of(const struct rl_syscall *row)
{
    if (row->checks == rl_check_socket && (rl_launch->flags & RL_LAUNCH_NO_NETWORK))
        return rl_check_socket_alone;
    return row->checks;
}

static void tail(const struct rl_syscall *row)
{
    const struct rl_check *first = checks_of(row);

    for (const struct rl_check *c = first; c && c->test; c++)
        check(c, c == first ? NULL : c - 1);
    switch (row->action) {
    case RL_HARMLESS:
        leave(SECCOMP_RET_ALLOW);
        break;
    case RL_GUARDED: { /* the next engine inherits this filter, too: the calls at its start must be allowed */
        u64 start = (u64)rl_image_start;

        if_in_range(0, start, (u64)rl_image_end - start, SECCOMP_RET_ERRNO | EINVAL);
        leave(SECCOMP_RET_ALLOW);
        break;
    }
    default:
        if (row->options & RL_NO_GATE) {
            leave(SECCOMP_RET_TRAP);
            break;
        }
        if (row->action == RL_HANDLED_IF)
            if_null(row->pass - 1);
        if (row->options & RL_MARK) {
            load(RL_DATA_ARG(0) + 4);
            emit(BPF_JMP | BPF_JEQ | BPF_K, (u32)(RL_PASS_MARK >> 32), 0, 1);
            leave(SECCOMP_RET_ALLOW);
        } else if (row->pass)
            if_in_range(row->pass - 1, rl_pass_start(), rl_pass_end() - rl_pass_start(), SECCOMP_RET_ALLOW);
        go_trap();
    }
}

/* The gate's own calls are allowed, the others are trapped. */
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
