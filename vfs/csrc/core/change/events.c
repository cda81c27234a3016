/* What a program reads from an inotify descriptor: the kernel's events without those of the engine (watch.c).
 *
 * 1. Events of reserved names are removed. An object that gets its name from a temporary one is a copy-up, and removed,
 *    or a new directory, and becomes IN_CREATE. An object that gets a temporary name is being removed: IN_DELETE.
 * 2. So the kernel must report moves if the program wants to know of any name. What the program has asked for is kept
 *    for each watch, and the rest is removed here; IN_ONESHOT is done here, too.
 * 3. A directory whose times are restored has an IN_ATTRIB directly after a copy-up, or after a change of a record (one
 *    that is removed is touched first). So has one whose own record changes: a reserved name is made first (watch.c).
 * 4. A process that has added no watch to the descriptor (it inherited it by an exec) gets all that the kernel reports,
 *    by rules 1 and 3.
 * 5. Events that the kernel would have merged, had nothing been between them, are merged. */
#include "events.h"

#define NAMES (IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE)

#define ONCE 0x1000u  /* IN_ONESHOT */
#define OVER 0x2000u  /* and it has been reported */
#define KNOWN 0x4000u /* the program's mask is known */

/* A name has at least 16 bytes, padded with NUL. */
#define BEGINS(name, prefix) (!memcmp(name, prefix, sizeof prefix - 1))

#define INSTANCES 8
#define NUMBERS 64

/* A descriptor's number; several have the same instance (dup). */
struct number {
    i32 fd;
    u8 used, of;
};

static struct {
    struct rl_instance of[INSTANCES]; /* `used` is exchanged atomically; the rest is guarded by nothing: one thread reads */
    struct number numbers[NUMBERS];
    struct rl_instance unknown;       /* of a descriptor without a place; its table stays empty (rule 4) */
} state RL_BULK;

static struct number *number_of(int fd, int make)
{
    for (u32 i = 0; i < NUMBERS; i++) {
        struct number *n = &state.numbers[i];
        if (n->used && n->fd == fd)
            return n;
        if (!n->used && make && !__atomic_exchange_n(&n->used, 1, __ATOMIC_ACQ_REL)) {
            n->of = INSTANCES;
            n->fd = fd;
            return n;
        }
    }
    return NULL;
}

static struct rl_instance *new_instance(struct number *n)
{
    for (u32 i = 0; n && i < INSTANCES; i++)
        if (!__atomic_exchange_n(&state.of[i].used, 1, __ATOMIC_ACQ_REL)) {
            n->of = (u8)i;
            return &state.of[i];
        }
    return NULL;
}

struct rl_instance *rl_instance_of(int fd, int make)
{
    struct number *n = number_of(fd, make);
    if (n && n->of < INSTANCES)
        return &state.of[n->of];
    return make ? new_instance(n) : NULL;
}

void rl_watch_shared(int fd, int other)
{
    struct number *one = number_of(fd, 0), *two = number_of(other, 1);
    if (one && two)
        two->of = one->of;
}

/* The number was closed and used again for another instance, whose first watch is added, while a duplicate of the old
 * one is still in use. */
static void separate(int fd)
{
    struct number *mine = number_of(fd, 0);
    long pid = rl_sys(__NR_getpid, 0, 0, 0, 0, 0, 0);
    for (u32 i = 0; mine && i < NUMBERS; i++) {
        struct number *n = &state.numbers[i];
        if (n->used && n != mine && n->of == mine->of && n->of < INSTANCES &&
            rl_sys(__NR_kcmp, pid, pid, 0 /* KCMP_FILE */, fd, n->fd, 0) > 0) {
            new_instance(mine);
            return;
        }
    }
}

u32 rl_watch_mask(int fd, u32 mask)
{
    if (!rl_instance_of(fd, 1) || !(mask & (NAMES | IN_ATTRIB)))
        return mask;
    return mask & IN_ONESHOT ? (mask & ~IN_ONESHOT) | NAMES : mask | NAMES;
}

void rl_watch_added(int fd, long wd, u32 mask)
{
    if (wd == 1)
        separate(fd);
    struct rl_instance *x = rl_instance_of(fd, 1);
    if (!x || wd < 0 || wd >= WATCHES)
        return;
    u32 before = mask & IN_MASK_ADD ? x->asked[wd] & ~OVER : 0, once = mask & (NAMES | IN_ATTRIB) ? ONCE : 0;
    x->asked[wd] = (u16)(before | KNOWN | (mask & IN_ALL_EVENTS) | (mask & IN_ONESHOT ? once : 0));
}

int rl_event_reserved(const struct inotify_event *e)
{
    return e->len && BEGINS(e->name, RL_WH);
}

static int is_temporary(const char *name, char last)
{
    size_t n = strlen(name);
    return BEGINS(name, RL_WH_TEMP) && n && name[n - 1] == last;
}

/* A mark after whose change the directory's times are restored, or an attribute of it or of one in it changes. */
static int is_quiet(const char *name)
{
    return BEGINS(name, RL_WH_RECORD) || BEGINS(name, RL_WH_RECORD_LONG) || BEGINS(name, RL_WH_OPAQUE) ||
           is_temporary(name, RL_WH_QUIET);
}

/* The event after `e`, if it is of the same move. */
static const struct inotify_event *other_half(const struct inotify_event *e, const struct inotify_event *next)
{
    return next && next->cookie == e->cookie && (next->mask & IN_MOVED_TO) ? next : NULL;
}

/* Turn the kernel's event into the program's. 0: it is the engine's own. */
static int translate(struct rl_instance *x, struct inotify_event *e, const struct inotify_event *next)
{
    const struct inotify_event *to;
    u8 removing = x->removing;
    x->removing = rl_event_reserved(e) && (e->mask & IN_MOVED_TO);
    if (rl_event_reserved(e)) {
        if (e->mask & IN_MOVED_FROM) {
            x->cookie = e->cookie;
            x->is_new = (u8)is_temporary(e->name, RL_WH_NEW);
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
    } else if ((e->mask & IN_MOVED_FROM) && (to = other_half(e, next)) && rl_event_reserved(to)) {
        e->mask = IN_DELETE | (e->mask & IN_ISDIR);
        e->cookie = 0;
    } else if ((e->mask & IN_MOVE_SELF) && (removing || (next && next->wd == e->wd && rl_event_reserved(next)))) {
        return 0;
    } else if ((e->mask & IN_ATTRIB) && (e->mask & IN_ISDIR) && x->internal) {
        x->internal = e->len != 0; /* its parent's watch has it first */
        return 0;
    }
    x->internal = 0;
    return 1;
}

static int asked_for(struct rl_instance *x, int fd, const struct inotify_event *e)
{
    if (x->wake && e->wd == x->wake) {
        x->wake = 0;
        return 0;
    }
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

long rl_events_shown(struct rl_instance *x, int fd, void *buf, long bytes)
{
    struct inotify_event *last = NULL;
    char *p = buf;
    long kept = 0;
    if (!x)
        x = &state.unknown;
    for (long at = 0, size; at < bytes; at += size) {
        struct inotify_event *e = (void *)(p + at);
        size = (long)(sizeof *e + e->len);
        const struct inotify_event *next = at + size < bytes ? (void *)(p + at + size) : NULL;
        int visible = translate(x, e, next);
        if (!visible || !asked_for(x, fd, e) || (last && same(last, e)))
            continue;
        memmove(p + kept, p + at, (size_t)size);
        last = (void *)(p + kept);
        kept += size;
    }
    return kept;
}

long rl_watch_events(int fd, void *buf, long bytes)
{
    return rl_events_shown(rl_instance_of(fd, 1), fd, buf, bytes);
}
