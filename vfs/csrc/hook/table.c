/* Map a symbol's name to its hook. Only addresses are taken here: this file does not know the hooks' types. */
#include <string.h>

#include "symbols.h"

#pragma GCC visibility push(hidden)
#define DECLARE(name, hook) extern void rl_h_##hook(void);
RL_SYMBOLS(DECLARE)
void *rl_hook_for(const char *name);
#pragma GCC visibility pop

#define BUCKETS 1024 /* several times the number of symbols */

static struct symbol {
    const char *name;
    void *hook;
} bucket[BUCKETS];

static unsigned hash(const char *name)
{
    unsigned h = 2166136261u;

    while (*name)
        h = (h ^ (unsigned char)*name++) * 16777619u;
    return (h ^ h >> 15) % BUCKETS;
}

static void add(const char *name, void *hook)
{
    unsigned at = hash(name);

    while (bucket[at].name)
        at = (at + 1) % BUCKETS;
    bucket[at].name = name;
    bucket[at].hook = hook;
}

static __attribute__((constructor)) void fill(void)
{
#define ADD(name, hook) add(name, (void *)rl_h_##hook);
    RL_SYMBOLS(ADD)
}

void *rl_hook_for(const char *name)
{
    for (unsigned at = hash(name); bucket[at].name; at = (at + 1) % BUCKETS)
        if (!strcmp(bucket[at].name, name))
            return bucket[at].hook;
    return NULL;
}
