/* A wiped directory: one of the view of which nothing is left but, in the upper, the whiteouts of all its names. That is what
 * rm -r leaves of each directory before it removes that, too. It is read once, which tells that it is empty and what has
 * to go with it. */
#ifndef RL_WIPEDDIR_H
#define RL_WIPEDDIR_H

#include "../internal.h"

struct rl_wiped_dir {
    long fd;
    long bytes;
    char *entries; /* all of the upper's directory, as getdents64 gives them */
};

int rl_wiped_dir_open(const struct rl_walk *w, struct rl_wiped_dir *h); /* w->self; 0: it is none, or too large to tell */
long rl_wiped_dir_clear(const struct rl_wiped_dir *h);                  /* remove the marks */
void rl_wiped_dir_close(struct rl_wiped_dir *h);

#endif
