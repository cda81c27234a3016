/* An inotify instance as this process knows it (events.c, eventread.c). */
#ifndef RL_EVENTS_H
#define RL_EVENTS_H

#include <linux/inotify.h>

#include "../base/base.h"

#define WATCHES 16384

struct rl_instance {
    i32 wake;    /* the watch of eventread.c, rule 3; 0: none */
    u32 cookie;  /* of the last move from a temporary name */
    u8 used;
    u8 is_new;   /* it was a new directory's */
    u8 removing; /* the last event was the second half of a removal's rename */
    u8 internal; /* the last event was one of a change that restores the directory's times (events.c, rule 3) */
    u16 held_bytes;
    u16 asked[WATCHES];
    u8 held[2 * RL_EVENT_BYTES];
};

struct rl_instance *rl_instance_of(int fd, int make); /* or NULL */
int rl_event_reserved(const struct inotify_event *e);
/* The program's events among those in buf[bytes], which belong to a descriptor without a place if `x` is NULL: bytes. */
long rl_events_shown(struct rl_instance *x, int fd, void *buf, long bytes);

#endif
