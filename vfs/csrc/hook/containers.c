/* Containers in this process: each has its own core, which its activations share, and may switch to another one.
 *
 * A core is unmapped only when no thread is in it (hook.h, rule 4): the thread that takes it away waits for that,
 * without Python's lock.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "hook.h"

static struct {
    pthread_mutex_t lock; /* guards the rest, and `next` of each */
    struct rl_container *first;
} state = {.lock = PTHREAD_MUTEX_INITIALIZER};

static long stale(void)
{
    return -ESTALE;
}

static const char *no_alias(void)
{
    return "";
}

static struct rl_identity nobody; /* rl_note_umask() writes to it; nothing reads it */
#define RL_STALE_ENTRY(name) .name = (void *)stale,
static const struct rl_core stale_core = {.me = &nobody, .alias = no_alias, .upper = no_alias, RL_CORE_CALLS(RL_STALE_ENTRY)};

static long working_directory(long nr, long where)
{
    struct rl_activation *here = rl_thread()->now;
    int fd;

    if (nr == 0)
        return here->cwd;
    if (nr == SYS_chdir)
        fd = open((const char *)where, O_PATH | O_DIRECTORY | O_CLOEXEC);
    else
        fd = openat((int)where, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    dup3(fd, here->cwd, O_CLOEXEC);
    close(fd);
    return 0;
}

/* Work for a container during a hook is done outside, and its descriptors belong to the box. */
static void work_starts(struct rl_thread *t, struct rl_container *box)
{
    t->bypass++;
    t->owner = box;
}

static void work_ends(struct rl_thread *t)
{
    t->bypass--;
    t->owner = NULL;
}

static long hydrate(u32 entry, void *who)
{
    long (*ask)(u32) = who;
    struct rl_thread *t = rl_thread();
    int saved = errno;
    long r;

    if (!t)
        return -ENOMEM;
    if (getpid() != rl_process) /* a child of vfork(): Python would change its parent's memory */
        return RL_HYDRATE_ELSEWHERE;
    work_starts(t, t->busy);
    r = ask(entry);
    work_ends(t);
    errno = saved;
    return r;
}

static long keep_descriptor(long fd, int keep)
{
    int up;

    if (!keep) {
        rl_hook_public((int)fd);
        return 0;
    }
    if (getpid() != rl_process) { /* a child of vfork(): its descriptors are its own, its memory is not */
        close((int)fd);
        return -1;
    }
    up = rl_reservedfd_keep(rl_thread()->busy, (int)fd);
    if (up >= rl_lowest_private)
        return up;
    close(up);
    return -1;
}

/* `identity`: uid, gid, umask, number of groups, groups. `ask`: makes an entry's real file, returns 0 or -errno. */
static int start_core(const struct rl_core *core, const char *launch, const u32 *identity, void *ask)
{
    struct rl_identity *me = core->me;

    *core->host = (struct rl_host){working_directory, ask ? hydrate : NULL, ask, keep_descriptor};
    me->uid = me->euid = me->suid = me->fsuid = identity[0];
    me->gid = me->egid = me->sgid = me->fsgid = identity[1];
    me->umask = identity[2];
    me->groups = identity[3] < 64 ? identity[3] : 64;
    memcpy(me->group, identity + 4, me->groups * sizeof(u32));
    return (int)-core->init(launch);
}

/* NULL: `error` has the errno. */
RL_PUBLIC struct rl_container *rl_hook_open(const struct rl_core *core, const char *launch, const u32 *identity, void *ask,
                                      int *error)
{
    struct rl_container *box = calloc(1, sizeof *box);

    *error = box ? start_core(core, launch, identity, ask) : ENOMEM;
    if (*error > 0) {
        free(box);
        return NULL;
    }
    box->core = core;
    pthread_mutex_lock(&state.lock);
    box->next = state.first;
    state.first = box;
    pthread_mutex_unlock(&state.lock);
    return box;
}

/* Returns when no other thread is in the core that the box had before. */
static void wait_for_threads(struct rl_container *box)
{
    rl_fence_threads();
    while (rl_busy(box))
        sched_yield();
}

/* Switch to another core. `error`: as above; then the old one stays in use. The interpreter's lock is not held. */
RL_PUBLIC void rl_hook_renew(struct rl_container *box, const struct rl_core *core, const char *launch, const u32 *identity,
                             void *ask, int *error)
{
    const struct rl_core *old = box->core;

    *error = start_core(core, launch, identity, ask);
    if (*error > 0)
        return;
    box->core = core;
    wait_for_threads(box);
    old->done();
}

/* No hook uses the container any more; returns when no thread is in its core. The interpreter's lock is not held. */
RL_PUBLIC void rl_hook_close(struct rl_container *box)
{
    const struct rl_core *core = box->core;

    box->core = &stale_core;
    wait_for_threads(box);
    core->done();
    rl_reservedfd_end(box);
    pthread_mutex_lock(&state.lock);
    for (struct rl_container **at = &state.first; *at; at = &(*at)->next)
        if (*at == box) {
            *at = box->next;
            break;
        }
    pthread_mutex_unlock(&state.lock);
}

RL_PUBLIC void rl_hook_on_program(struct rl_container *box, int (*prepare)(void))
{
    box->prepare = prepare;
}

RL_PUBLIC void rl_hook_programs(struct rl_container *box, const char *engine, const char *launch)
{
    if (!box->launch) { /* later ones replace the file of this name */
        box->engine = strdup(engine);
        box->launch = strdup(launch);
    }
}

int rl_prepare(struct rl_activation *here)
{
    struct rl_thread *t = rl_thread();
    int r;

    if (here->box->launch)
        return 0;
    if (!here->box->prepare || getpid() != rl_process)
        return ENOSYS;
    work_starts(t, here->box);
    t->busy = NULL; /* the container may be closed meanwhile */
    r = here->box->prepare();
    t->busy = here->box;
    work_ends(t);
    return r < 0 ? -r : here->box->launch ? 0 : ENOSYS;
}

/* Closed, and no activation refers to it. Directory streams may: then it is kept. */
RL_PUBLIC void rl_hook_free(struct rl_container *box)
{
    if (rl_open_streams())
        return;
    free(box->engine);
    free(box->launch);
    free(box);
}

/* Does this name exist? For the code that makes the directories that lead to shown binds, before any thread is
 * inside. */
RL_PUBLIC int rl_hook_exists(struct rl_container *box, const char *path)
{
    struct rl_attr a;

    return box->core->stat(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &a) == 0;
}

/* The process's umask has changed: apply it to every container. */
void rl_note_umask(unsigned mask)
{
    pthread_mutex_lock(&state.lock);
    for (struct rl_container *box = state.first; box; box = box->next)
        box->core->me->umask = mask;
    pthread_mutex_unlock(&state.lock);
}

void rl_containers_fork(enum rl_fork when)
{
    rl_fork_lock(&state.lock, when);
}
