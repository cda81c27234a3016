/* /proc as programs inside see it.
 *
 * For the files of the core alone. */
#ifndef RL_PROC_H
#define RL_PROC_H

#include "../walk/walk.h"

/* The part of a /proc path after the process: "/exe", "/fd/3"; NULL if the path is not in a process's directory. */
const char *rl_proc_part(const char *rel, u64 *pid);

/* ---- procfile.c, procstatus.c ------------------------------------------------------------------- */

long rl_procfile_begin(const char *name);   /* a descriptor to write to */
long rl_procfile_end(long fd, int flags);   /* closes it; returns a read-only descriptor of the text, as by open(2) */
struct rl_open;
long rl_status_open(const struct rl_open *o, u64 pid); /* a descriptor; -ENODATA: the file itself will do */
/* The owner of /proc/PID; rel[0..len): the path after /proc. */
void rl_proc_owner(const char *rel, u32 len, u32 *uid, u32 *gid);

/* ---- procfd.c ----------------------------------------------------------------------------------- */

/* The kernel's listing of a directory of a bind, whose real path is `real`; in /proc without the descriptors that engines
 * keep. */
long rl_proc_list(int fd, const char *real, const struct rl_real *at, char *buf, size_t size);

/* ---- procmaps.c -------------------------------------------------------------------------------- */

long rl_maps_open(const char *real, int flags); /* a descriptor, for reading */
long rl_maps_program(u64 pid, char *out, u64 *ino);

/* ---- running.c --------------------------------------------------------------------------------- */

int rl_busy(const struct rl_walk *w); /* the walk's object is the program of a running process */

#endif
