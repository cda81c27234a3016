/* Content of small files of the view, as the hydrator sends it for a copy-up, which then needs no hydrated file: that of
 * the file that was asked for, and of files that are probably copied up next (docs/format.md section 8). */
#include "../internal.h"

static char sent[RL_CONTENT_BYTES] RL_BULK; /* guarded by `busy` */
static struct {
    u32 used, next; /* bytes in `sent`; the place behind the item that was found last. Guarded by `busy` */
    u32 busy; /* permanently held in a child forked at the wrong moment: then each copy needs a hydrated file */
} state;

void rl_content_init(void) { state.used = state.next = 0; }

/* The item of `id` in sent[from..to): its place, or `to`. */
static u32 find(u32 id, u32 from, u32 to)
{
    struct rl_content_item item;
    while (from < to) {
        memcpy(&item, sent + from, sizeof item);
        if (item.entry == id)
            return from;
        from += (u32)sizeof item + item.bytes;
    }
    return to;
}

/* Are the items complete? */
static int is_whole(u32 used)
{
    struct rl_content_item item;
    u32 at = 0;
    while (used - at >= sizeof item) {
        memcpy(&item, sent + at, sizeof item);
        at += (u32)sizeof item;
        if (item.bytes > used - at)
            return 0;
        at += item.bytes;
    }
    return at == used;
}

static long write_item(u32 at, u64 size, long to)
{
    struct rl_content_item item;
    memcpy(&item, sent + at, sizeof item);
    const char *data = sent + at + sizeof item;
    if (item.bytes != size)
        return -EIO;
    state.next = at + (u32)sizeof item + item.bytes;
    for (u64 done = 0; done < size;) {
        long n = k4(__NR_pwrite64, to, (long)(data + done), (long)(size - done), (long)done);
        if (n < 0)
            return n;
        done += (u64)n;
    }
    return 0;
}

static long write_found(u32 id, u64 size, long to)
{
    u32 at = find(id, state.next, state.used);
    if (at == state.used) {
        at = find(id, 0, state.next);
        if (at == state.next)
            return RL_MISS;
    }
    return write_item(at, size, to);
}

static long fetch(u32 id)
{
    state.used = state.next = 0;
    long n = rl_hydrator_content(id, sent, sizeof sent);
    if (n <= 0 || !is_whole((u32)n))
        return RL_MISS;
    state.used = (u32)n;
    return 0;
}

long rl_content_write(u32 id, u64 size, long to, int ask)
{
    if (!size)
        return 0;
    if (ask && size > RL_CONTENT_FILE_BYTES) /* it is hydrated, and no others with it */
        rl_hydrator_content(id, NULL, 0);
    if (size > RL_CONTENT_FILE_BYTES || (!ask && !state.used) || __atomic_exchange_n(&state.busy, 1, __ATOMIC_ACQUIRE))
        return RL_MISS;
    long r = ask ? fetch(id) : 0;
    if (r == 0)
        r = write_found(id, size, to);
    __atomic_store_n(&state.busy, 0, __ATOMIC_RELEASE);
    return r;
}
