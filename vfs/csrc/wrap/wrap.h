/* The program of a wrapped command (docs/howto/wrap.md, docs/format.md section 17): it enters the image of its
 * directory without Python.
 *
 * 1. It becomes the engine by an execve: arguments, descriptors, signals, terminal, process number and exit code are the
 *    program's own.
 * 2. Everything it needs is in `DIR/.rootlay`, DIR being the directory of its own file. Texts that begin with a byte
 *    1 to 3 are below DIR, below the directory of the upper, or the container's ID: so DIR can be moved.
 * 3. A launch file is written for each different set of binds and kept: the next start uses it again.
 * 4. No memory is allocated, except for the lists of arguments and of variables. */
#ifndef RL_WRAP_H
#define RL_WRAP_H

#include "../monitor/monitor.h"

enum { IN_DIR = 1, IN_RUN, IS_ID };
enum upper { SHARED, PRIVATE, THROW_AWAY };

#define PATH_BYTES RL_PATH_MAX
#define ID_DIGITS 64
#define HASH_DIGITS 16
#define BINDS_MAX 8

struct bind {
    char vpath[PATH_BYTES], host[PATH_BYTES];
    u32 flags;
};

/* What is known about one start. */
struct wrap {
    char dir[PATH_BYTES];  /* of the wrapped commands */
    char name[PATH_BYTES]; /* of this one */
    char run[PATH_BYTES];  /* where its upper is */
    char upper_path[PATH_BYTES], filter_path[PATH_BYTES];
    char id[ID_DIGITS + 1];
    char cwd[PATH_BYTES];
    const char *uid, *gid, *groups, *directory, *program;
    char *prepare[8];
    char **env;
    enum upper upper;
    int home, temporary, work, attributes;
    int untidy; /* `run` is a throw-away directory that nobody will remove */
    struct bind binds[BINDS_MAX];
    u32 n_binds;
};

extern struct wrap wrap;

/* ---- settings.c -------------------------------------------------------------------------------- */

void read_settings(void);
const char *setting(const char *key);
/* The next value of a key after `last` (NULL: the first). */
const char *next_setting(const char *key, const char *last);
void expand(char *out, const char *text); /* rule 2; a text that is too long ends the process */
void join(char *out, const char *a, const char *b);

/* ---- upper.c ----------------------------------------------------------------------------------- */

void prepare_upper(void);
void new_name(char *out, const char *directory, const char *start); /* directory + start + a random number */
void tidy_later(void); /* start the process that removes a throw-away upper after its last program */

/* ---- launchfile.c ------------------------------------------------------------------------------ */

void add_bind(const char *path, u32 flags, int needed);
void write_launch(char *path);

/* ---- main.c ------------------------------------------------------------------------------------ */

void fail(const char *what, const char *detail, long error) __attribute__((noreturn));
const char *variable(const char *name);
long read_file(const char *path, char *out, size_t size); /* out: size + 1 bytes, for a NUL. Bytes, or an error */
void real_path(int fd, char *out, size_t size);

#endif
