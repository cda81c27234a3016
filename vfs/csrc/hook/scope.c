/* Find the activation of the calling thread: the value of a context variable in the thread's current context.
 *
 * 1. The value is a Python int: the address of a struct rl_activation. Python is called with its lock held, and the
 *    answer is cached for the thread: while its context is the same object (a reference is held) and no activation was
 *    entered or left since (`generation`), no lock is needed.
 * 2. A thread without a Python context is outside, or, in whole-process mode, where `everywhere` says. Threads that
 *    Python does not know, of the pools of Arrow and Polars, have no context: they are where `native` says, the entered
 *    activation, if there is only one.
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
#include <sys/syscall.h>

#include "hook.h"

/* Python's functions, as found by ctypes, in this order. */
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

static struct {
    /* Set by rl_hook_init(), then only read. */
    struct python py;
    void *variable, *interpreter;
    size_t context_offset;
    pthread_key_t ending;
    /* Read by any thread, without a lock. */
    volatile unsigned generation;                /* written with Python's lock */
    volatile int alive;                          /* activations that some context may know; atomically */
    struct rl_activation *volatile everywhere;   /* written with Python's lock */
    struct rl_activation *volatile native;       /* written by rl_hook_native(), which one thread calls at a time */
    volatile int native_seen;                    /* a thread has been where `native` says; never cleared */
    pthread_mutex_t lock; /* guards `threads` and `next` of each */
    struct rl_thread *threads;
} state = {.generation = 1, .lock = PTHREAD_MUTEX_INITIALIZER};
static __thread struct rl_thread *mine __attribute__((tls_model("initial-exec")));
volatile int rl_process;
int rl_first_process;

static void thread_ends(void *thread)
{
    struct rl_thread *t = thread;

    t->busy = NULL;
    __atomic_store_n(&t->gone, 1, __ATOMIC_RELEASE); /* the next sweep drops its reference */
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
    pthread_setspecific(state.ending, t);
    pthread_mutex_lock(&state.lock);
    t->next = state.threads;
    state.threads = t;
    pthread_mutex_unlock(&state.lock);
    return t;
}

/* The slow path: call Python. */
static __attribute__((noinline)) struct rl_activation *look_up(struct rl_thread *t, void *python, void *context)
{
    void *kind, *error, *trace, *value = NULL, *old;
    struct rl_activation *found = NULL;
    unsigned now = state.generation;
    int saved = errno, held, lock = 0;

    if (state.py.interpreter_of(python) != state.interpreter)
        return NULL;
    held = state.py.lock_held();
    t->bypass++; /* other code that runs before the end, a finalizer for example, is not the program */
    if (!held)
        lock = state.py.lock();
    state.py.fetch_error(&kind, &error, &trace);
    if (state.py.get(state.variable, NULL, &value) == 0 && value) {
        found = state.py.as_pointer(value);
        state.py.decref(value);
    }
    state.py.restore_error(kind, error, trace);
    state.py.incref(context);
    old = t->context;
    t->here = found;
    t->generation = now;
    __atomic_store_n(&t->context, context, __ATOMIC_RELEASE);
    if (old)
        state.py.decref(old);
    if (!held)
        state.py.unlock(lock);
    t->bypass--;
    errno = saved;
    return found;
}

/* The activation in `native` is released after a check for busy threads: be busy first. */
static __attribute__((noinline)) struct rl_activation *enter_native(struct rl_thread *t)
{
    struct rl_activation *here;

    state.native_seen = 1;
    t->native = 1;
    do {
        here = state.native;
        if (!here) {
            t->busy = NULL;
            return NULL;
        }
        t->now = here;
        t->busy = here->box;
        __asm__ volatile("" ::: "memory");
    } while (here != state.native);
    return here;
}

struct rl_activation *rl_enter(void)
{
    struct rl_thread *t;
    struct rl_activation *here = NULL;
    void *python, *context;

    if (!state.alive)
        return NULL;
    t = rl_thread();
    if (!t || t->bypass)
        return NULL;
    python = state.py.thread_state();
    if (python && (context = *(void **)((char *)python + state.context_offset)) != NULL) {
        if (context == t->context && t->generation == state.generation)
            here = t->here;
        else
            here = look_up(t, python, context);
    }
    if (!python && state.native)
        return enter_native(t);
    if (!here)
        here = state.everywhere;
    if (!here)
        return NULL;
    t->now = here;
    t->busy = here->box;
    __asm__ volatile("" ::: "memory"); /* the other half is rl_hook_close()'s membarrier */
    return here;
}

void rl_leave(struct rl_activation **here)
{
    if (*here)
        mine->busy = NULL;
}

void rl_fence_threads(void)
{
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0)
        __sync_synchronize();
}

int rl_busy(const struct rl_container *box)
{
    int busy = 0;

    pthread_mutex_lock(&state.lock);
    for (struct rl_thread *t = state.threads; t; t = t->next)
        busy |= t != mine && t->busy == box && !t->gone;
    pthread_mutex_unlock(&state.lock);
    return busy;
}

/* ---- called from Python ---------------------------------------------------------------------------- */

void rl_fork_lock(pthread_mutex_t *lock, enum rl_fork when)
{
    if (when == RL_BEFORE_FORK)
        pthread_mutex_lock(lock);
    else if (when == RL_IN_PARENT)
        pthread_mutex_unlock(lock);
    else
        pthread_mutex_init(lock, NULL);
}

static void locks(enum rl_fork when)
{
    rl_slots_fork(when);
    rl_containers_fork(when);
    rl_fork_lock(&state.lock, when);
}

/* A forked child has one thread. */
static void after_fork(void)
{
    struct rl_thread *own = mine;

    rl_process = getpid();
    state.threads = own; /* the others' memory and references are lost with them */
    if (own)
        own->next = NULL;
    locks(RL_IN_CHILD);
}

static void before_fork(void) { locks(RL_BEFORE_FORK); }
static void in_parent(void) { locks(RL_IN_PARENT); }

RL_PUBLIC int rl_hook_init(void *const functions[11], void *context_variable, size_t offset)
{
    memcpy(&state.py, functions, sizeof state.py);
    state.variable = context_variable;
    state.context_offset = offset;
    state.interpreter = state.py.interpreter_of(state.py.thread_state());
    rl_first_process = rl_process = getpid();
    rl_reservedfd_init();
    syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
    if (pthread_key_create(&state.ending, thread_ends) != 0)
        return -1;
    return pthread_atfork(before_fork, in_parent, after_fork);
}

/* Drops the contexts that idle threads have cached. Holds the interpreter's lock. */
RL_PUBLIC void rl_hook_sweep(void)
{
    struct rl_thread **at, *t;
    void *drop[256];
    int n = 0;

    state.generation++;
    pthread_mutex_lock(&state.lock);
    for (at = &state.threads; (t = *at) != NULL && n < 256;) {
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
    pthread_mutex_unlock(&state.lock);
    while (n)
        state.py.decref(drop[--n]);
}

RL_PUBLIC void rl_hook_bypass(int change)
{
    struct rl_thread *t = rl_thread();

    if (t)
        t->bypass += change;
}

RL_PUBLIC struct rl_activation *rl_hook_inside(struct rl_container *box, int cwd)
{
    struct rl_activation *here = calloc(1, sizeof *here);

    if (!here)
        return NULL;
    here->box = box;
    here->cwd = cwd;
    __atomic_add_fetch(&state.alive, 1, __ATOMIC_SEQ_CST);
    state.generation++;
    return here;
}

/* No context knows it any more. Returns how many activations are left. */
RL_PUBLIC int rl_hook_ended(struct rl_activation *here)
{
    rl_hook_public(here->cwd);
    free(here);
    return __atomic_sub_fetch(&state.alive, 1, __ATOMIC_SEQ_CST);
}

RL_PUBLIC void rl_hook_everywhere(struct rl_activation *here)
{
    state.everywhere = here;
    state.generation++;
}

/* Returns when no thread is in the previous activation of `native`. The interpreter's lock is not held. */
RL_PUBLIC void rl_hook_native(struct rl_activation *here)
{
    struct rl_activation *old = state.native;
    int busy = 1;

    state.native = here;
    if (!old || old == here || !state.native_seen)
        return;
    rl_fence_threads();
    while (busy) {
        busy = 0;
        pthread_mutex_lock(&state.lock);
        for (struct rl_thread *t = state.threads; t; t = t->next)
            busy |= t->native && t->busy && t->now == old && !t->gone;
        pthread_mutex_unlock(&state.lock);
        if (busy)
            sched_yield();
    }
}

RL_PUBLIC int rl_hook_alive(void)
{
    return state.alive;
}
