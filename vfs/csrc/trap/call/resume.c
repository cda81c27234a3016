/* Calls made in the program's own context, after the handler has returned: those that may block (a FIFO's open,
 * connect) and those that swap the signal mask (ppoll, sigsuspend), so that they are interrupted, restarted and
 * cancelled as without the engine.
 *
 * 1. If the program's system call is followed by a return (the C libraries' cancellable call sites), the call is made
 *    there again: libc decides by the instruction pointer whether a thread may be cancelled. The filter allows it because its
 *    pointer argument is a pass buffer, or its descriptor has the mark. The argument registers are dead after a return
 *    by the calling convention.
 * 2. Elsewhere it is made in the gate, which restores the program's registers.
 * 3. A pass buffer is never freed: the buffers are reused in turn.
 */
#include "../engine.h"
#include "../table/syscalls.h"

#define RL_PASS_BUFFERS 256

static u8 pass[RL_PASS_BUFFERS][RL_PASS_BYTES] __attribute__((aligned(RL_PAGE_MAX)));
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
    u64 sp = *rl_reg_sp(c->uc);

    if (c->stack < sp && sp - c->stack < 65536)
        sp = c->stack;
    return (sp - RL_RED_ZONE - bytes) & ~15ull;
}

/* The filter would allow the call at its own site, and the site can be used again. */
static int site_will_do(struct rl_call *c, long nr, const u64 arg[6])
{
    u8 pass_arg = c->row->pass, after[sizeof RL_RET - 1];
    int passes = c->row->options & RL_MARK ? (arg[0] & ~0xffffffffull) == RL_PASS_MARK
                 : pass_arg                ? rl_arg(arg, pass_arg) >= rl_pass_start() && rl_arg(arg, pass_arg) < rl_pass_end()
                                           : 0;

    return nr == c->nr && passes && rl_user_read(c, after, *rl_reg_ip(c->uc), sizeof after) == 0 &&
           memcmp(after, RL_RET, sizeof after) == 0;
}

extern char rl_gate_call[], rl_gate_then[], rl_gate_accept[], rl_gate_many[];

static void set_registers(struct rl_call *c, long nr, const u64 arg[6])
{
    for (u32 i = 0; i < 6; i++)
        *rl_reg_arg(c->uc, i) = arg[i];
    *rl_reg_nr(c->uc) = (u64)nr;
    c->resumed = 1;
}

/* Make the call by a routine of the gate. */
static long in_gate(struct rl_call *c, const char *routine, long nr, const u64 arg[6], u64 result, u64 then)
{
    struct rl_resume_frame frame;
    u64 sp = room_below(c, sizeof frame);

    rl_resume_frame_fill(&frame, c->uc, result, then);
    if (rl_user_write(c, sp, &frame, sizeof frame) < 0)
        return -EFAULT;
    *rl_reg_sp(c->uc) = sp;
    *rl_reg_ip(c->uc) = (u64)routine;
    set_registers(c, nr, arg);
    return 0;
}

/* A patched site's own instruction will trap and arrive here again (patch.c). */
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
    *rl_reg_ip(c->uc) -= RL_SITE_BYTES;
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
    return in_gate(c, rl_gate_then, nr, arg, again ? RL_AGAIN(c) : (u64)result,
                   *rl_reg_ip(c->uc) - (again ? RL_SITE_BYTES : 0));
}

long rl_resume_accept(struct rl_call *c, const u64 arg[6])
{
    return from_the_site(c) ? 0 : in_gate(c, rl_gate_accept, c->nr, arg, 0, 0);
}

long rl_resume_many(struct rl_call *c)
{
    return from_the_site(c) ? 0 : in_gate(c, rl_gate_many, c->nr, c->arg, 0, 0);
}
