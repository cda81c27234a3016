/* Messages to sockets with names of files or the sender's identity: sendmsg, sendmmsg.
 *
 * 1. The kernel is given a copy of the message in a pass buffer; the data is not copied.
 * 2. The identity that a program states is the one inside; the kernel knows only the real one.
 */
#include "sockets.h"

/* A pass buffer. */
struct copied {
    struct rl_message_of_many one;
    struct rl_address address;
    struct rl_source_control source;
    u8 control[RL_PASS_BYTES - sizeof(struct rl_message_of_many) - sizeof(struct rl_address) -
               sizeof(struct rl_source_control)];
};

/* Translates the message at `from` for the kernel. 1: it differs, 0: it is unchanged, or -errno. `dir` as in
 * rl_socket_peer(). */
static long translate(struct rl_call *c, u64 from, struct copied *to, int *dir)
{
    struct rl_message *m = &to->one.m;
    struct rl_address a;
    u8 source[4];
    long n, changed = 0;

    *dir = -1;
    if (rl_user_read(c, m, from, sizeof *m) < 0)
        return -EFAULT;
    n = rl_take_address(c, m->name, m->name_bytes, &a);
    if (n > 0) {
        n = rl_socket_peer(a.path, &to->address, dir, (char *)c->slot->buf);
        m->name = (u64)&to->address;
        m->name_bytes = (u32)n;
        changed = 1;
    } else if (n == 0 && m->name && m->name_bytes > 2 && m->name_bytes <= sizeof a) {
        memcpy(&to->address, &a, sizeof a);
        m->name_bytes = rl_other_peer((int)c->arg[0], &to->address, m->name_bytes, source);
        if (source[0] && !m->control_bytes && rl_socket_protocol((int)c->arg[0]) == RL_PORT_UDP) {
            to->source = rl_source_control(source);
            m->control = (u64)&to->source;
            m->control_bytes = sizeof to->source;
        }
        changed = memcmp(&to->address, &a, sizeof a) != 0;
        if (changed || source[0])
            m->name = (u64)&to->address;
        changed |= source[0] != 0;
    }
    if (n >= 0 && m->control && m->control != (u64)&to->source && m->control_bytes &&
        m->control_bytes <= sizeof to->control) {
        n = rl_user_read(c, to->control, m->control, m->control_bytes);
        if (n >= 0)
            n = rl_credentials_sent(to->control, m->control_bytes);
        if (n > 0) {
            m->control = (u64)to->control;
            changed = 1;
        }
    }
    if (n < 0 && *dir >= 0) {
        rl_sys1(__NR_close, *dir);
        *dir = -1;
    }
    return n < 0 ? n : changed;
}

long rl_do_sendmsg(struct rl_call *c)
{
    struct copied *copy = (struct copied *)rl_pass_buffer();
    u64 arg[6];
    int dir;
    long r = translate(c, c->arg[1], copy, &dir);

    if (r < 0)
        return r;
    memcpy(arg, c->arg, sizeof arg);
    arg[1] = (u64)copy;
    if (dir < 0)
        return rl_resume(c, c->nr, arg);
    r = rl_sys3(__NR_sendmsg, (int)arg[0], (long)copy, (long)arg[2]);
    rl_sys1(__NR_close, dir);
    return r;
}

/* The number of bytes that a datagram will have sent; the kernel stores its own count in the copy. */
static long count_bytes(struct rl_call *c, const struct rl_message *m, u64 to)
{
    u64 vector[2];
    u32 sum = 0;

    for (u64 i = 0; i < m->vector_count && i < RL_MOST_MESSAGES; i++) {
        if (rl_user_read(c, vector, m->vectors + i * sizeof vector, sizeof vector) < 0)
            return -EFAULT;
        sum += (u32)vector[1];
    }
    return rl_user_write(c, to, &sum, sizeof sum);
}

/* The messages before the first that needs a translation, or that one alone: the call may send fewer than requested. */
long rl_do_sendmmsg(struct rl_call *c)
{
    struct copied *copy = (struct copied *)rl_pass_buffer();
    u32 count = (u32)c->arg[2] < RL_MOST_MESSAGES ? (u32)c->arg[2] : RL_MOST_MESSAGES, i = 0;
    u64 arg[6];
    int dir = -1;
    long r = 0;

    for (; i < count && r == 0; i += r == 0)
        if ((r = translate(c, c->arg[1] + i * sizeof copy->one, copy, &dir)) == -EFAULT && i)
            break; /* the kernel sends those before it */
    memcpy(arg, c->arg, sizeof arg);
    arg[2] = i;
    if (i || (r == 0 && count == 0)) {
        if (dir >= 0)
            rl_sys1(__NR_close, dir);
        return rl_resume(c, c->nr, arg);
    }
    if (r < 0)
        return r;
    r = count_bytes(c, &copy->one.m, c->arg[1] + sizeof copy->one.m);
    arg[1] = (u64)copy;
    arg[2] = (u32)c->arg[3];
    if (r >= 0 && dir < 0)
        return rl_resume_then(c, __NR_sendmsg, arg, 1, 0);
    if (r >= 0)
        r = rl_sys3(__NR_sendmsg, (int)arg[0], (long)copy, (long)arg[2]);
    rl_sys1(__NR_close, dir);
    return r < 0 ? r : 1;
}
