/* /proc as programs inside see it.
 *
 * For the files of the core alone. */
#ifndef RL_PROC_H
#define RL_PROC_H

#include "../walk/walk.h"

/* ---- procfile.c, procstatus.c ------------------------------------------------------------------- */

long rl_procfile_begin(const char *name);   /* a descriptor to write to */
long rl_procfile_end(long fd, int flags);   /* closes it; returns a read-only descriptor of the text, as by open(2) */
struct rl_open;
long rl_status_open(const struct rl_open *o, u64 pid); /* a descriptor; -ENODATA: the file itself will do */
/* The owner of /proc/PID; rel[0..len): the path after /proc. */
void rl_proc_owner(const char *rel, u32 len, u32 *uid, u32 *gid);

/* ---- procmaps.c -------------------------------------------------------------------------------- */

long rl_maps_open(const char *real, int flags); /* a descriptor, for reading */
long rl_maps_program(u64 pid, char *out, u64 *ino);

/* ---- running.c --------------------------------------------------------------------------------- */

int rl_busy(const struct rl_walk *w); /* the walk's object is the program of a running process */

#endif
