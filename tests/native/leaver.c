/* A program that leaves the engine, and one that has left it.
 *
 *     leaver TOKEN MODE [UPPER CANARY]
 *
 * As a program of the container it starts itself once more, from a memfd through the engine's gate: without the engine,
 * in a session of its own, with no environment and no descriptor. There it does as MODE says, and keeps TOKEN among its
 * arguments (or as its name), by which a test finds it. What it calls then goes through a gate at the old one's address.
 *
 * Freestanding: a C library would make calls at its start that the filter lets only the gate make.
 */
#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <linux/prctl.h>
#include <linux/sched.h>

#define FREESTANDING
#include "machine.h"

typedef unsigned long u64;
typedef long (*gate_function)(long nr, long a, long b, long c, long d, long e, long f);

enum { SIGTERM_ = 15, SIGCONT_ = 18, SIGSTOP_ = 19, IMAGE_ROOM = 8192, PATH = 4300, ESRCH_ = 3, ROOM = 200, SESSIONS = 20 };

static gate_function gate;
static const char gate_code[] = GATE_CODE;

#define C(n, a, b, c, d) raw_call(n, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define G(n, a, b, c, d) through_gate(n, (long[6]){(long)(a), (long)(b), (long)(c), (long)(d)})

static long through_gate(long n, long a[6])
{
    new_form(&n, a);
    return gate(n, a[0], a[1], a[2], a[3], a[4], a[5]);
}

void *memcpy(void *to, const void *from, u64 n)
{
    for (u64 i = 0; i < n; i++)
        ((char *)to)[i] = ((const char *)from)[i];
    return to;
}

static int equal(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

static char *put(char *to, const char *from)
{
    while ((*to = *from++))
        to++;
    return to;
}

static u64 hex(const char *text)
{
    u64 n = 0;

    for (; (*text >= '0' && *text <= '9') || (*text >= 'a' && *text <= 'f'); text++)
        n = n * 16 + (u64)(*text <= '9' ? *text - '0' : *text - 'a' + 10);
    return n;
}

static void put_hex(char *to, u64 n)
{
    for (int shift = 60; shift >= 0; shift -= 4)
        *to++ = "0123456789abcdef"[n >> shift & 15];
    *to = 0;
}

static _Noreturn void end(long code)
{
    for (;;)
        C(__NR_exit_group, code, 0, 0, 0);
}

static _Noreturn void rest(void)
{
    for (;;)
        C(__NR_pause, 0, 0, 0, 0);
}

/* ---- inside --------------------------------------------------------------------------------------- */

static char maps[1 << 18];

static int same(const char *a, const char *b, int n)
{
    while (n && *a == *b)
        a++, b++, n--;
    return n == 0;
}

static int is_gate(const char *code)
{
    if (!same(code, GATE_HEAD, sizeof GATE_HEAD - 1))
        return 0;
    for (int i = 6; i < GATE_BYTES + 4; i++)
        if (same(code + i, GATE_TAIL, sizeof GATE_TAIL - 1))
            return 1;
    return 0;
}

/* The engine's text is where /proc/self/maps shows it; the gate is found by its code. */
static u64 find_gate(void)
{
    long fd = C(__NR_open, "/proc/self/maps", O_RDONLY, 0, 0), n = 0, got;
    u64 start = 0;

    while ((got = C(__NR_read, fd, maps + n, sizeof maps - 1 - (u64)n, 0)) > 0)
        n += got;
    C(__NR_close, fd, 0, 0, 0);
    for (char *line = maps; *line;) {
        u64 from = hex(line);
        char *to = line;

        while (*to != '-')
            to++;
        if (from >> 28 == ENGINE_BASE >> 28) {
            start = start ? start : from;
            for (char *p = to; *p && *p != '\n'; p++)
                if (p[0] == ' ' && p[3] == 'x')
                    for (u64 at = from; at + 40 < hex(to + 1) && !gate; at++)
                        if (is_gate((const char *)at))
                            gate = (gate_function)at;
        }
        while (*line && *line++ != '\n')
            ;
    }
    return start;
}

static void leave(char **argv)
{
    static char start[20], place[20], block[65536];
    u64 from = find_gate();
    long own = C(__NR_open, "/proc/self/exe", O_RDONLY, 0, 0), copy = C(__NR_memfd_create, "", 0, 0, 0), n;
    char *words[] = {argv[1], argv[2], start, place, argv[3] ? argv[3] : "", argv[3] ? argv[4] : "", 0}, *none[] = {0};

    if (!gate)
        end(3);
    while ((n = C(__NR_read, own, block, sizeof block, 0)) > 0)
        C(__NR_write, copy, block, n, 0);
    put_hex(start, from);
    put_hex(place, (u64)gate);
    if (C(__NR_fork, 0, 0, 0, 0) == 0) {
        C(__NR_setsid, 0, 0, 0, 0);
        if (C(__NR_fork, 0, 0, 0, 0))
            end(0);
        gate(__NR_execveat, copy, (long)"", (long)words, (long)none, 0x1000 /* AT_EMPTY_PATH */, 0);
        end(4);
    }
}

/* ---- outside -------------------------------------------------------------------------------------- */

static void make_gate(const char *start, const char *place)
{
    u64 at = hex(place), low = hex(start) - 4096, bytes = (at & ~4095ul) + IMAGE_ROOM - low;
    long r = raw_call(__NR_mmap, (long)low, (long)bytes, 7, 0x32 /* private, fixed, anonymous */, -1, 0);

    if (r < 0 && r > -4096)
        end(5);
    memcpy((void *)at, gate_code, sizeof gate_code);
    gate = (gate_function)at;
}

static char thread_stack[4096] __attribute__((aligned(16)));

/* The first thread ends, another one goes on: to /proc the process is a zombie. */
static _Noreturn void end_leader(const char *token)
{
    long flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;
    long r = raw_call(__NR_clone, flags, (long)(thread_stack + sizeof thread_stack - 16), 0, 0, 0, 0);

    if (r == 0) {
        raw_call(__NR_prctl, PR_SET_NAME, (long)token, 0, 0, 0, 0);
        rest();
    }
    for (;;)
        C(__NR_exit, 0, 0, 0, 0);
}

static _Noreturn void hop(void)
{
    for (;;)
        if (C(__NR_fork, 0, 0, 0, 0))
            end(0);
}

/* The processes of a storm, in memory that all of them share: it bounds itself, whatever else the user's processes do.
 * 0: free, -1: taken. A process that ends between the two leaves its place taken. */
static int *places;
static int room;

static void make_room(int n)
{
    places = (int *)raw_call(__NR_mmap, 0, (long)(n * sizeof *places), 3, 0x21 /* shared, anonymous */, -1, 0);
    if ((long)places < 0 && (long)places > -4096)
        end(6);
    places[0] = (int)C(__NR_getpid, 0, 0, 0, 0);
    room = n;
}

static int take_place(void)
{
    for (int i = 0; i < room; i++) {
        int pid = __atomic_load_n(&places[i], __ATOMIC_ACQUIRE);
        int free = pid == 0 || (pid > 0 && G(__NR_kill, pid, 0, 0, 0) == -ESRCH_);

        if (free && __atomic_compare_exchange_n(&places[i], &pid, -1, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            return i;
    }
    return -1;
}

/* As fork(), or -1: the storm has all its processes. */
static long bounded_fork(void)
{
    int at = take_place();
    long child;

    if (at < 0) {
        C(__NR_wait4, -1, 0, 1 /* WNOHANG */, 0);
        C(__NR_sched_yield, 0, 0, 0, 0);
        return -1;
    }
    child = C(__NR_fork, 0, 0, 0, 0);
    __atomic_store_n(&places[at], child < 0 ? 0 : child ? (int)child : (int)C(__NR_getpid, 0, 0, 0, 0), __ATOMIC_RELEASE);
    return child;
}

static _Noreturn void storm(void)
{
    make_room(ROOM);
    for (;;)
        bounded_fork();
}

/* As `storm`, each in a session of its own. */
static _Noreturn void scatter(void)
{
    make_room(SESSIONS);
    for (;;)
        if (bounded_fork() == 0)
            C(__NR_setsid, 0, 0, 0, 0);
}

/* Whoever dies is started anew, and who is stopped continued, by the others. */
static _Noreturn void revive(void)
{
    make_room(ROOM);
    for (;;) {
        long child = bounded_fork();

        if (child > 0)
            while (C(__NR_wait4, child, 0, 1 /* WNOHANG */, 0) == 0) {
                C(__NR_kill, 0, SIGCONT_, 0, 0);
                C(__NR_sched_yield, 0, 0, 0, 0);
            }
        else
            C(__NR_getppid, 0, 0, 0, 0);
    }
}

static void hide(void)
{
    static const u64 ignore[4] = {1};

    raw_call(__NR_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0, 0);
    raw_call(__NR_prctl, PR_SET_NAME, (long)"kworker/0:1", 0, 0, 0, 0);
    for (int n = 1; n < 65; n++)
        gate(__NR_rt_sigaction, n, (long)ignore, 0, 8, 0, 0);
}

/* Directories that are links to the canary half of the time, and back, and made again where somebody removes them. */
static _Noreturn void swap(const char *upper, const char *canary)
{
    static const char *const names[] = {"/a", "/b", "/sub", "/.wh.c", "/.wh..wh.t.1.1.00000000", "/.wh..wh.m.a"};
    static char directory[4][PATH], link[4][PATH], path[PATH];

    for (u64 n = 0;; n++)
        for (int i = 0; i < 4; i++) {
            char digit[] = {(char)('0' + i), 0};

            if (n % 50 == 0) {
                put(put(put(directory[i], upper), "/d"), digit);
                put(put(put(link[i], upper), "/l"), digit);
                G(__NR_mkdir, directory[i], 0755, 0, 0);
                G(__NR_symlink, canary, link[i], 0, 0);
                for (int j = 0; j < 6; j++) {
                    put(put(path, directory[i]), names[j]);
                    if (j == 2)
                        G(__NR_mkdir, path, 0755, 0, 0);
                    else
                        C(__NR_close, G(__NR_open, path, O_CREAT | O_WRONLY, 0600, 0), 0, 0, 0);
                }
            }
            gate(__NR_renameat2, AT_FDCWD, (long)directory[i], AT_FDCWD, (long)link[i], 2 /* exchange */, 0);
            for (volatile int wait = 0; wait < 1000; wait++)
                ;
        }
}

/* A child that has lost its mark would outlive the rest. */
static void unmark(void)
{
    static const u64 other[2] = {7, 7};

    if (C(__NR_fork, 0, 0, 0, 0) == 0) {
        G(__NR_prlimit64, 0, 10, other, 0);
        rest();
    }
    if (C(__NR_fork, 0, 0, 0, 0) == 0) {
        C(__NR_setrlimit, 10, other, 0, 0);
        rest();
    }
}

static void act(char **argv)
{
    const char *mode = argv[1];

    for (int fd = 0; fd < 64; fd++)
        C(__NR_close, fd, 0, 0, 0);
    make_gate(argv[2], argv[3]);
    if (equal(mode, "swap"))
        swap(argv[4], argv[5]);
    if (equal(mode, "hop"))
        hop();
    if (equal(mode, "storm"))
        storm();
    if (equal(mode, "scatter"))
        scatter();
    if (equal(mode, "revive"))
        revive();
    if (equal(mode, "leader"))
        end_leader(argv[0]);
    if (equal(mode, "unmark"))
        unmark();
    if (equal(mode, "hide"))
        hide();
    if (equal(mode, "stopped"))
        C(__NR_kill, C(__NR_getpid, 0, 0, 0, 0), SIGSTOP_, 0, 0);
    rest();
}

__attribute__((used)) void leaver_main(long *stack)
{
    char **argv = (char **)(stack + 1);

    if (argv[1] && stack[0] == 6 && hex(argv[2]) >> 28 == ENGINE_BASE >> 28)
        act(argv);
    leave(argv);
    end(0);
}

#ifdef __x86_64__
__asm__(".globl _start\n_start: mov %rsp,%rdi\n and $-16,%rsp\n call leaver_main\n");
#else
__asm__(".globl _start\n_start: mov x0, sp\n bl leaver_main\n");
#endif
