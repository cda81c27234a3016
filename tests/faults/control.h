/* The memory that the fault injectors share; control.py writes it. */
#ifndef CONTROL_H
#define CONTROL_H
#include <stdint.h>

#define FAULT_KILL (-1)
#define FAULT_STOP (-2) /* SIGSTOP: another process works meanwhile. In the core only (engine.c) */

struct control {
    uint32_t count;  /* points so far */
    uint32_t armed;  /* count, and act */
    uint32_t at;     /* the number of the chosen point; 0: none */
    int32_t action;  /* FAULT_KILL, FAULT_STOP, or an errno */
};

/* The action at point n: FAULT_KILL, FAULT_STOP, an errno, or 0. */
static inline int fault_of(const struct control *c, uint32_t n, int takes_space)
{
    if (!c->at || n < c->at)
        return 0;
    if (n == c->at)
        return c->action == 28 || c->action == 122 ? (takes_space ? c->action : 0) : c->action; /* ENOSPC, EDQUOT */
    switch (c->action) {
    case 28:
    case 122:
        return takes_space ? c->action : 0;
    case 30: /* EROFS */
        return c->action;
    default:
        return 0;
    }
}

/* Whether the file system is read-only by now. */
static inline int read_only(const struct control *c)
{
    return c->at && c->action == 30 && c->count >= c->at;
}
#endif
