/* Calls made in the program's own context, after the handler has returned: those that may block (a FIFO's open,
 * connect) and those that swap the signal mask (ppoll, sigsuspend), so that they are interrupted, restarted and
 * cancelled as without the engine.
 *
 * 1. If the program's `syscall` is followed by `ret` (the C libraries' cancellable call sites), the call is made there
 *    again: libc decides by the instruction pointer whether a thread may be cancelled. The filter allows it because its
 *    pointer argument is a pass buffer, or its descriptor has the mark. The argument registers are dead after a `ret`
 *    by the calling convention.
 * 2. Elsewhere it is made in the gate, which restores the program's registers.
 * 3. A pass buffer is never freed: the buffers are reused in turn.
 */
#include "../engine.h"
#include "../table/syscalls.h"

#define RL_PASS_BUFFERS 256

static u8 pass[RL_PASS_BUFFERS][RL_PASS_BYTES] __attribute__((aligned(4096)));
static u32 next;

u64 rl_pass_start(void)
{
    return (u64)pass;
}

u64 rl_pass_end(void)
{
    return (u64)pass + sizeof pass;
}

u8 *rl_pass_buffer(void)
{
    return pass[__atomic_fetch_add(&next, 1, __ATOMIC_RELAXED) % RL_PASS_BUFFERS];
}

/* Room on the program's stack; below the signal frame if that is on the same stack, since the kernel still has to read
 * it. */
static u64 room_below(struct rl_call *c, u64 bytes)
{
    u64 sp = c->uc->reg[RL_RSP];

    if (c->stack < sp && sp - c->stack < 65536)
        sp = c->stack;
    return (sp - RL_RED_ZONE - bytes) & ~15ull;
}

/* The filter would allow the call at its own site, and the site can be used again. */
static int site_will_do(struct rl_call *c, long nr, const u64 arg[6])
{
    u8 pass_arg = c->row->pass, after = 0;
    int passes = c->row->options & RL_MARK ? (arg[0] & ~0xffffffffull) == RL_PASS_MARK
                 : pass_arg                ? rl_arg(arg, pass_arg) >= rl_pass_start() && rl_arg(arg, pass_arg) < rl_pass_end()
                                           : 0;

    return nr == c->nr && passes && rl_user_read(c, &after, c->uc->reg[RL_RIP], 1) == 0 && after == RL_RET_OPCODE;
}

extern char rl_gate_call[], rl_gate_then[], rl_gate_accept[], rl_gate_many[];

static const u8 where[6] = {RL_RDI, RL_RSI, RL_RDX, RL_R10, RL_R8, RL_R9};

static void set_registers(struct rl_call *c, long nr, const u64 arg[6])
{
    u64 *reg = c->uc->reg;

    for (u32 i = 0; i < 6; i++)
        reg[where[i]] = arg[i];
    reg[RL_RAX] = (u64)nr;
    c->resumed = 1;
}

/* Make the call by a routine of the gate. */
static long in_gate(struct rl_call *c, const char *routine, long nr, const u64 arg[6], u64 result, u64 then)
{
    u64 *reg = c->uc->reg, sp;
    struct rl_resume_frame frame = {.ip = reg[RL_RIP], .sp = reg[RL_RSP], .result = result, .then = then};

    for (u32 i = 0; i < 6; i++)
        frame.arg[i] = reg[where[i]];
    sp = room_below(c, sizeof frame);
    if (rl_user_write(c, sp, &frame, sizeof frame) < 0)
        return -EFAULT;
    reg[RL_RSP] = sp;
    reg[RL_RIP] = (u64)routine;
    set_registers(c, nr, arg);
    return 0;
}

/* A patched site's own `syscall` will trap and arrive here again (patch.c). */
static int from_the_site(struct rl_call *c)
{
    if (c->patched)
        c->resumed = 1;
    return c->patched;
}

long rl_resume(struct rl_call *c, long nr, const u64 arg[6])
{
    if (from_the_site(c))
        return 0;
    if (!site_will_do(c, nr, arg))
        return in_gate(c, rl_gate_call, nr, arg, 0, 0);
    c->uc->reg[RL_RIP] -= RL_SITE_BYTES;
    set_registers(c, nr, arg);
    return 0;
}

long rl_resume_unchanged(struct rl_call *c)
{
    u64 arg[6];

    memcpy(arg, c->arg, sizeof arg);
    arg[0] = (u32)arg[0] | RL_PASS_MARK;
    return rl_resume(c, c->nr, arg);
}

long rl_resume_then(struct rl_call *c, long nr, const u64 arg[6], long result, int again)
{
    if (from_the_site(c))
        return 0;
    return in_gate(c, rl_gate_then, nr, arg, (u64)result, c->uc->reg[RL_RIP] - (again ? RL_SITE_BYTES : 0));
}

long rl_resume_accept(struct rl_call *c, const u64 arg[6])
{
    return from_the_site(c) ? 0 : in_gate(c, rl_gate_accept, c->nr, arg, 0, 0);
}

long rl_resume_many(struct rl_call *c)
{
    return from_the_site(c) ? 0 : in_gate(c, rl_gate_many, c->nr, c->arg, 0, 0);
}
