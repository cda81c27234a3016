/* The kernel's structures from the core's attributes (attrs.c). */
#ifndef RL_STATS_H
#define RL_STATS_H

#include <asm/stat.h>
#include <linux/stat.h>

#include "engine.h"

void rl_stat_fill(struct stat *st, const struct rl_attr *a);
void rl_statx_fill(struct statx *sx, const struct rl_attr *a);

#endif
