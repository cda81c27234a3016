/* Which activation is the calling thread in? What the value of a context variable is, in the thread's current context.
 *
 * 1. The value is a Python int: the address of a struct rl_inside. Python is asked with its lock held, and the answer is
 *    kept for the thread: as long as its context is the same object (a reference is held) and nobody has entered or left
 *    an activation since (`generation`), no lock is needed.
 * 2. A thread without a Python context is outside, or, in whole-process mode, where `everywhere` says.
 * 3. The offset of the context in Python's thread state is measured when the engine starts, not compiled in
 *    (docs/adr/0004): one library serves every version.
 * 4. Contexts of other interpreters than the one that started the engine do not know its variable: outside.
 */
#define _GNU_SOURCE
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "hook.h"

/* Python's functions, as ctypes found them, in this order. */
struct python {
    void *(*thread_state)(void);
    void *(*interpreter_of)(void *state);
    int (*lock_held)(void);
    int (*lock)(void);
    void (*unlock)(int state);
    int (*get)(void *variable, void *unset, void **value);
    void *(*as_pointer)(void *value);
    void (*fetch_error)(void **kind, void **value, void **trace);
    void (*restore_error)(void *kind, void *value, void *trace);
    void (*incref)(void *object);
    void (*decref)(void *object);
};

static struct python py;
static void *variable, *interpreter;
static size_t context_offset;
static volatile unsigned generation = 1;
static volatile int alive; /* activations that some context may know */
static struct rl_inside *volatile everywhere;
static struct rl_thread *threads;
static struct rl_box *boxes;
static pthread_mutex_t threads_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_key_t ending;
static __thread struct rl_thread *mine __attribute__((tls_model("initial-exec")));
int rl_lowest_private = 1 << 30;
volatile int rl_process;

static void thread_ends(void *thread)
{
    struct rl_thread *t = thread;

    t->busy = NULL;
    __atomic_store_n(&t->gone, 1, __ATOMIC_RELEASE); /* its reference goes with the next sweep */
    mine = NULL;
}

struct rl_thread *rl_thread(void)
{
    struct rl_thread *t = mine;

    if (t)
        return t;
    t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    mine = t;
    pthread_setspecific(ending, t);
    pthread_mutex_lock(&threads_lock);
    t->next = threads;
    threads = t;
    pthread_mutex_unlock(&threads_lock);
    return t;
}

/* The slow way: ask Python. */
static __attribute__((noinline)) struct rl_inside *look_up(struct rl_thread *t, void *state, void *context)
{
    void *kind, *error, *trace, *value = NULL, *old;
    struct rl_inside *found = NULL;
    unsigned now = generation;
    int saved = errno, held, lock = 0;

    if (py.interpreter_of(state) != interpreter)
        return NULL;
    held = py.lock_held();
    t->bypass++; /* what runs between here and the end, a finalizer for one, is not the program */
    if (!held)
        lock = py.lock();
    py.fetch_error(&kind, &error, &trace);
    if (py.get(variable, NULL, &value) == 0 && value) {
        found = py.as_pointer(value);
        py.decref(value);
    }
    py.restore_error(kind, error, trace);
    py.incref(context);
    old = t->context;
    t->here = found;
    t->generation = now;
    __atomic_store_n(&t->context, context, __ATOMIC_RELEASE);
    if (old)
        py.decref(old);
    if (!held)
        py.unlock(lock);
    t->bypass--;
    errno = saved;
    return found;
}

struct rl_inside *rl_enter(void)
{
    struct rl_thread *t;
    struct rl_inside *here = NULL;
    void *state, *context;

    if (!alive)
        return NULL;
    t = rl_thread();
    if (!t || t->bypass)
        return NULL;
    state = py.thread_state();
    if (state && (context = *(void **)((char *)state + context_offset)) != NULL) {
        if (context == t->context && t->generation == generation)
            here = t->here;
        else
            here = look_up(t, state, context);
    }
    if (!here)
        here = everywhere;
    if (!here)
        return NULL;
    t->now = here;
    t->busy = here->box;
    __asm__ volatile("" ::: "memory"); /* the other half is rl_hook_close()'s membarrier */
    return here;
}

void rl_leave(struct rl_inside **here)
{
    if (*here)
        mine->busy = NULL;
}

/* ---- called from Python ---------------------------------------------------------------------------- */

/* In a forked child there is one thread. */
static void after_fork(void)
{
    struct rl_thread *own = mine;

    rl_process = getpid();
    threads = own; /* the others' memory and references are lost with them */
    if (own)
        own->next = NULL;
    pthread_mutex_init(&threads_lock, NULL);
}

static void before_fork(void) { pthread_mutex_lock(&threads_lock); }
static void in_parent(void) { pthread_mutex_unlock(&threads_lock); }

RL_PUBLIC int rl_hook_init(void *const functions[11], void *context_variable, size_t offset)
{
    struct rlimit limit;

    memcpy(&py, functions, sizeof py);
    variable = context_variable;
    context_offset = offset;
    interpreter = py.interpreter_of(py.thread_state());
    rl_process = getpid();
    rl_lowest_private = 512;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < 1024)
        rl_lowest_private = (int)(limit.rlim_cur / 2);
    syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
    if (pthread_key_create(&ending, thread_ends) != 0)
        return -1;
    return pthread_atfork(before_fork, in_parent, after_fork);
}

/* Holds the interpreter's lock: drops the contexts that idle threads remember. */
RL_PUBLIC void rl_hook_sweep(void)
{
    struct rl_thread **at, *t;
    void *drop[256];
    int n = 0;

    generation++;
    pthread_mutex_lock(&threads_lock);
    for (at = &threads; (t = *at) != NULL && n < 256;) {
        void *context = __atomic_exchange_n(&t->context, NULL, __ATOMIC_ACQ_REL);
        if (context)
            drop[n++] = context;
        if (__atomic_load_n(&t->gone, __ATOMIC_ACQUIRE)) {
            *at = t->next;
            free(t);
        } else {
            at = &t->next;
        }
    }
    pthread_mutex_unlock(&threads_lock);
    while (n)
        py.decref(drop[--n]);
}

RL_PUBLIC void rl_hook_bypass(int change)
{
    struct rl_thread *t = rl_thread();

    if (t)
        t->bypass += change;
}

RL_PUBLIC struct rl_inside *rl_hook_inside(struct rl_box *box, int cwd)
{
    struct rl_inside *here = calloc(1, sizeof *here);

    if (!here)
        return NULL;
    here->box = box;
    here->cwd = cwd;
    __atomic_add_fetch(&alive, 1, __ATOMIC_SEQ_CST);
    generation++;
    return here;
}

RL_PUBLIC void rl_hook_public(int fd);

/* No context knows it any more. Returns how many activations are left. */
RL_PUBLIC int rl_hook_ended(struct rl_inside *here)
{
    rl_hook_public(here->cwd);
    free(here);
    return __atomic_sub_fetch(&alive, 1, __ATOMIC_SEQ_CST);
}

RL_PUBLIC void rl_hook_everywhere(struct rl_inside *here)
{
    everywhere = here;
    generation++;
}

RL_PUBLIC int rl_hook_alive(void)
{
    return alive;
}

/* ---- a box ------------------------------------------------------------------------------------------ */

static long stale(void)
{
    return -ESTALE;
}

static const char *no_alias(void)
{
    return "";
}

static struct rl_identity nobody;
#define RL_STALE_ENTRY(name) .name = (void *)stale,
static const struct rl_core stale_core = {.me = &nobody, .alias = no_alias, RL_CORE_CALLS(RL_STALE_ENTRY)};

static long working_directory(long nr, long where)
{
    struct rl_inside *here = mine->now;
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

/* Called in the middle of a hook: what it does is done outside. */
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
    t->bypass++;
    r = ask(entry);
    t->bypass--;
    errno = saved;
    return r;
}

/* `identity`: uid, gid, umask, number of groups, groups. `ask`: makes an entry's real file, returns 0 or -errno. */
static int start_core(const struct rl_core *core, const char *launch, const u32 *identity, void *ask)
{
    struct rl_identity *me = core->me;

    *core->working_directory = working_directory;
    *core->hydrate = ask ? hydrate : NULL;
    *core->who = ask;
    me->uid = me->euid = me->suid = me->fsuid = identity[0];
    me->gid = me->egid = me->sgid = me->fsgid = identity[1];
    me->umask = identity[2];
    me->groups = identity[3] < 64 ? identity[3] : 64;
    memcpy(me->group, identity + 4, me->groups * sizeof(u32));
    return (int)-core->init(launch);
}

/* NULL: `error` has the errno. */
RL_PUBLIC struct rl_box *rl_hook_open(const struct rl_core *core, const char *launch, const u32 *identity, void *ask,
                                      int *error)
{
    struct rl_box *box = calloc(1, sizeof *box);

    *error = box ? start_core(core, launch, identity, ask) : ENOMEM;
    if (*error > 0) {
        free(box);
        return NULL;
    }
    box->core = core;
    pthread_mutex_lock(&threads_lock);
    box->next = boxes;
    boxes = box;
    pthread_mutex_unlock(&threads_lock);
    return box;
}

/* Returns when no other thread is in the core that the box had until now. */
static void wait_for_threads(struct rl_box *box)
{
    int busy;

    if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0)
        __sync_synchronize();
    do {
        busy = 0;
        pthread_mutex_lock(&threads_lock);
        for (struct rl_thread *t = threads; t; t = t->next)
            busy |= t != mine && t->busy == box && !t->gone;
        pthread_mutex_unlock(&threads_lock);
        if (busy)
            sched_yield();
    } while (busy);
}

/* Another core takes over. `error`: as above; then the old one goes on. The interpreter's lock is not held. */
RL_PUBLIC void rl_hook_renew(struct rl_box *box, const struct rl_core *core, const char *launch, const u32 *identity,
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

/* Nothing of a container is asked any more; returns when no thread is in its core. The interpreter's lock is not held. */
RL_PUBLIC void rl_hook_close(struct rl_box *box)
{
    const struct rl_core *core = box->core;

    box->core = &stale_core;
    wait_for_threads(box);
    core->done();
    pthread_mutex_lock(&threads_lock);
    for (struct rl_box **at = &boxes; *at; at = &(*at)->next)
        if (*at == box) {
            *at = box->next;
            break;
        }
    pthread_mutex_unlock(&threads_lock);
}

RL_PUBLIC void rl_hook_on_program(struct rl_box *box, int (*prepare)(void))
{
    box->prepare = prepare;
}

RL_PUBLIC void rl_hook_programs(struct rl_box *box, const char *engine, const char *launch)
{
    if (!box->launch) { /* later ones replace the file of this name */
        box->engine = strdup(engine);
        box->launch = strdup(launch);
    }
}

int rl_prepare(struct rl_inside *here)
{
    struct rl_thread *t = rl_thread();
    int r;

    if (here->box->launch)
        return 0;
    if (!here->box->prepare || getpid() != rl_process)
        return ENOSYS;
    t->bypass++;
    t->busy = NULL; /* the container may be closed meanwhile */
    r = here->box->prepare();
    t->busy = here->box;
    t->bypass--;
    return r < 0 ? -r : here->box->launch ? 0 : ENOSYS;
}

/* Closed, and no activation refers to it. Directory streams may: then it stays. */
RL_PUBLIC void rl_hook_free(struct rl_box *box)
{
    if (rl_open_streams())
        return;
    free(box->engine);
    free(box->launch);
    while (box->throughs)
        free(box->through[--box->throughs].path);
    free(box);
}

RL_PUBLIC int rl_hook_through(struct rl_box *box, const char *path, int writable)
{
    struct rl_prefix *p = &box->through[box->throughs];

    if (box->throughs == RL_THROUGH_MAX || !(p->path = strdup(path)))
        return -1;
    p->len = (u32)strlen(path);
    p->writable = writable;
    box->throughs++;
    return 0;
}

/* The process's umask has changed: for every container. */
void rl_note_umask(unsigned mask)
{
    pthread_mutex_lock(&threads_lock);
    for (struct rl_box *box = boxes; box; box = box->next)
        box->core->me->umask = mask;
    pthread_mutex_unlock(&threads_lock);
}

/* ---- descriptors of ours ---------------------------------------------------------------------------- */

static u64 private_fds[64]; /* bit n: descriptor rl_lowest_private + n */

int rl_private_fd(int fd)
{
    unsigned n = (unsigned)(fd - rl_lowest_private);

    return fd >= rl_lowest_private && n < 64 * 64 && (private_fds[n / 64] >> (n % 64) & 1);
}

RL_PUBLIC int rl_hook_private(int fd)
{
    int up = fcntl(fd, F_DUPFD_CLOEXEC, rl_lowest_private);
    unsigned n = (unsigned)(up - rl_lowest_private);

    if (up < 0)
        return -1;
    close(fd);
    if (n < 64 * 64)
        __atomic_or_fetch(&private_fds[n / 64], 1ull << (n % 64), __ATOMIC_RELAXED);
    return up;
}

RL_PUBLIC void rl_hook_public(int fd)
{
    unsigned n = (unsigned)(fd - rl_lowest_private);

    if (fd >= rl_lowest_private && n < 64 * 64)
        __atomic_and_fetch(&private_fds[n / 64], ~(1ull << (n % 64)), __ATOMIC_RELAXED);
    close(fd);
}
