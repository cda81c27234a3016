/* Cache of merged lists that did not fit into one getdents64, for the next call. A caller that finds the slots busy (in
 * use by another thread, or locked permanently in a child forked at the wrong moment) builds the list again. */
#include "../internal.h"

#define SLOTS 8

static struct slot {
    int used, fd;
    u64 hash;
    struct rl_list list;
} slots[SLOTS]; /* guarded by `busy`, except for a first check */
static struct {
    u32 busy; /* a lock that is only tried, never waited for */
    u32 turn; /* the slot to replace next when all are in use; guarded by `busy` */
} state;

static int slots_take(void)
{
    return !__atomic_exchange_n(&state.busy, 1, __ATOMIC_ACQUIRE);
}

static void slots_give(void)
{
    __atomic_store_n(&state.busy, 0, __ATOMIC_RELEASE);
}

static void slot_drop(struct slot *s)
{
    if (s->used)
        rl_list_free(&s->list);
    s->used = 0;
}

void rl_forget_fd(int fd)
{
    int any = 0;
    for (u32 i = 0; i < SLOTS; i++)
        any |= slots[i].used && slots[i].fd == fd;
    if (!any || !slots_take())
        return;
    for (u32 i = 0; i < SLOTS; i++)
        if (slots[i].fd == fd)
            slot_drop(&slots[i]);
    slots_give();
}

void rl_forget_lists(void)
{
    for (u32 i = 0; i < SLOTS; i++)
        slot_drop(&slots[i]);
}

long rl_list_from_slot(int fd, u64 hash, char *buf, size_t size, i64 *pos)
{
    long r = -ENOENT;
    if (!slots_take())
        return r;
    for (u32 i = 0; i < SLOTS && r == -ENOENT; i++) {
        struct slot *s = &slots[i];
        if (!s->used || s->fd != fd || s->hash != hash)
            continue;
        r = rl_list_deliver(&s->list, buf, size, 0, pos);
        if (*pos == RL_LIST_END)
            slot_drop(s);
    }
    slots_give();
    return r;
}

void rl_list_to_slot(int fd, u64 hash, struct rl_list *l)
{
    if (!slots_take()) {
        rl_list_free(l);
        return;
    }
    struct slot *s = NULL;
    for (u32 i = 0; i < SLOTS && !s; i++)
        if (slots[i].used && slots[i].fd == fd)
            s = &slots[i];
    for (u32 i = 0; i < SLOTS && !s; i++)
        if (!slots[i].used)
            s = &slots[i];
    if (!s)
        s = &slots[state.turn++ % SLOTS];
    slot_drop(s);
    s->used = 1;
    s->fd = fd;
    s->hash = hash;
    s->list = *l;
    slots_give();
}
