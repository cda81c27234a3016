/* name_to_handle_at: the core makes the handle (core/answer/handle.c). */
#include "../engine.h"
#include "../table/syscalls.h"

long rl_do_name_to_handle_at(struct rl_call *c)
{
    struct rl_handle h;
    long mount = rl_handle(c->dir, c->path, c->flags, &h);
    u32 room;
    i32 id;

    if (mount < 0)
        return mount;
    if (rl_user_read(c, &room, c->rest[0], sizeof room) < 0)
        return -EFAULT;
    if (room > RL_HANDLE_MAX)
        return -EINVAL;
    id = (i32)mount;
    if (rl_user_write(c, c->rest[1], &id, sizeof id) < 0 ||
        rl_user_write(c, c->rest[0], &h, room < RL_HANDLE_BYTES ? RL_HANDLE_HEAD : sizeof h) < 0)
        return -EFAULT;
    return room < RL_HANDLE_BYTES ? -EOVERFLOW : 0;
}
