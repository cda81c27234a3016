/* What a program reads from an inotify descriptor: the kernel's events without those of the engine (watch.c).
 *
 * 1. Events of reserved names are removed. An object that gets its name from a temporary one is a copy-up, and removed,
 *    or a new directory, and becomes IN_CREATE. An object that gets a temporary name is being removed: IN_DELETE.
 * 2. So the kernel must report moves if the program wants to know of any name. What the program has asked for is kept
 *    for each watch, and the rest is removed here; IN_ONESHOT is done here, too.
 * 3. A directory whose times are restored has an IN_ATTRIB directly after a copy-up, or after a change of a record (one
 *    that is removed is touched first).
 * 4. A process that has added no watch to the descriptor (it inherited it by an exec) gets all that the kernel reports,
 *    by rules 1 and 3.
 * 5. Events that the kernel would have merged, had nothing been between them, are merged. */
#include <linux/inotify.h>

#include "../base/base.h"

#define NAMES (IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE)

#define ONCE 0x1000u  /* IN_ONESHOT */
#define OVER 0x2000u  /* and it has been reported */
#define KNOWN 0x4000u /* the program's mask is known */

/* A name has at least 16 bytes, padded with NUL. */
#define BEGINS(name, prefix) (!memcmp(name, prefix, sizeof prefix - 1))

#define INSTANCES 8
#define WATCHES 16384

struct instance {
    i32 fd;
    u32 cookie;  /* of the last move from a temporary name */
    u8 used;
    u8 is_new;   /* it was a new directory's */
    u8 removing; /* the last event was the second half of a removal's rename */
    u8 internal; /* the last event was one of a change that restores the directory's times (rule 3) */
    u16 asked[WATCHES];
};

static struct {
    struct instance of[INSTANCES]; /* `used` is exchanged atomically; the rest is guarded by nothing: one thread reads */
    struct instance unknown;       /* of a descriptor without a place; its table stays empty (rule 4) */
} state RL_BULK;

static struct instance *instance_of(int fd, int make)
{
    for (u32 i = 0; i < INSTANCES; i++) {
        struct instance *x = &state.of[i];
        if (x->used && x->fd == fd)
            return x;
        if (!x->used && make && !__atomic_exchange_n(&x->used, 1, __ATOMIC_ACQ_REL)) {
            x->fd = fd;
            return x;
        }
    }
    return NULL;
}

u32 rl_watch_mask(int fd, u32 mask)
{
    if (!instance_of(fd, 1) || !(mask & (NAMES | IN_ATTRIB)))
        return mask;
    return mask & IN_ONESHOT ? (mask & ~IN_ONESHOT) | NAMES : mask | NAMES;
}

void rl_watch_added(int fd, long wd, u32 mask)
{
    struct instance *x = instance_of(fd, 1);
    if (!x || wd < 0 || wd >= WATCHES)
        return;
    u32 before = mask & IN_MASK_ADD ? x->asked[wd] & ~OVER : 0, once = mask & (NAMES | IN_ATTRIB) ? ONCE : 0;
    x->asked[wd] = (u16)(before | KNOWN | (mask & IN_ALL_EVENTS) | (mask & IN_ONESHOT ? once : 0));
}

static int reserved(const struct inotify_event *e)
{
    return e->len && BEGINS(e->name, RL_WH);
}

/* A temporary name of a new directory (rl_temp_new_path). */
static int is_new_name(const char *name)
{
    size_t n = strlen(name);
    return BEGINS(name, RL_WH_TEMP) && n && name[n - 1] == RL_WH_NEW;
}

/* A mark after whose change the directory's times are restored. */
static int is_quiet(const char *name)
{
    return BEGINS(name, RL_WH_RECORD) || BEGINS(name, RL_WH_RECORD_LONG) || BEGINS(name, RL_WH_OPAQUE);
}

/* The event after `e`, if it is of the same move. */
static const struct inotify_event *other_half(const struct inotify_event *e, const struct inotify_event *next)
{
    return next && next->cookie == e->cookie && (next->mask & IN_MOVED_TO) ? next : NULL;
}

/* Turn the kernel's event into the program's. 0: it is the engine's own. */
static int translate(struct instance *x, struct inotify_event *e, const struct inotify_event *next)
{
    const struct inotify_event *to;
    u8 removing = x->removing;
    x->removing = reserved(e) && (e->mask & IN_MOVED_TO);
    if (reserved(e)) {
        if (e->mask & IN_MOVED_FROM) {
            x->cookie = e->cookie;
            x->is_new = (u8)is_new_name(e->name);
        }
        if (!(e->mask & IN_DELETE)) /* after a rename its old record is removed: nothing follows */
            x->internal = (u8)is_quiet(e->name);
        return 0;
    }
    if ((e->mask & IN_MOVED_TO) && e->cookie && e->cookie == x->cookie) {
        x->cookie = 0;
        x->internal = !x->is_new;
        if (!x->is_new)
            return 0;
        e->mask = IN_CREATE | (e->mask & IN_ISDIR);
        e->cookie = 0;
    } else if ((e->mask & IN_MOVED_FROM) && (to = other_half(e, next)) && reserved(to)) {
        e->mask = IN_DELETE | (e->mask & IN_ISDIR);
        e->cookie = 0;
    } else if ((e->mask & IN_MOVE_SELF) && (removing || (next && next->wd == e->wd && reserved(next)))) {
        return 0;
    } else if ((e->mask & IN_ATTRIB) && (e->mask & IN_ISDIR) && x->internal) {
        x->internal = e->len != 0; /* its parent's watch has it first */
        return 0;
    }
    x->internal = 0;
    return 1;
}

static int asked_for(struct instance *x, int fd, const struct inotify_event *e)
{
    if (e->wd < 0 || e->wd >= WATCHES || !(x->asked[e->wd] & KNOWN) || !(e->mask & IN_ALL_EVENTS))
        return 1; /* IN_IGNORED, IN_UNMOUNT, IN_Q_OVERFLOW */
    u16 *asked = &x->asked[e->wd];
    if (!(e->mask & *asked & IN_ALL_EVENTS) || *asked & OVER)
        return 0;
    if (*asked & ONCE) {
        *asked |= OVER;
        rl_sys(__NR_inotify_rm_watch, fd, e->wd, 0, 0, 0, 0);
    }
    return 1;
}

static int same(const struct inotify_event *a, const struct inotify_event *b)
{
    return a->wd == b->wd && a->mask == b->mask && a->cookie == b->cookie && a->len == b->len &&
           !memcmp(a->name, b->name, a->len);
}

long rl_watch_events(int fd, void *buf, long bytes)
{
    struct instance *x = instance_of(fd, 1);
    struct inotify_event *last = NULL;
    char *p = buf;
    long kept = 0;
    if (!x)
        x = &state.unknown;
    for (long at = 0, size; at < bytes; at += size) {
        struct inotify_event *e = (void *)(p + at);
        size = (long)(sizeof *e + e->len);
        const struct inotify_event *next = at + size < bytes ? (void *)(p + at + size) : NULL;
        int shown = translate(x, e, next);
        if (!shown || !asked_for(x, fd, e) || (last && same(last, e)))
            continue;
        memmove(p + kept, p + at, (size_t)size);
        last = (void *)(p + kept);
        kept += size;
    }
    return kept;
}
