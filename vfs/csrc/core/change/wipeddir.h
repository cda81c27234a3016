/* A wiped directory: a directory of the view of which the upper has nothing but the whiteouts of all its names. rm -r
 * leaves each directory in this state before it removes it, too. It is read once, which shows that it is empty and
 * which marks to remove with it. */
#ifndef RL_WIPEDDIR_H
#define RL_WIPEDDIR_H

#include "../internal.h"

struct rl_wiped_dir {
    long fd;
    long bytes;
    char *entries; /* all of the upper's directory, in getdents64's format */
};

int rl_wiped_dir_open(const struct rl_walk *w, struct rl_wiped_dir *h); /* w->self; 0: it is not one, or too large */
long rl_wiped_dir_clear(const struct rl_wiped_dir *h);                  /* remove the marks */
void rl_wiped_dir_close(struct rl_wiped_dir *h);

#endif
