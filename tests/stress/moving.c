/* Programs work in directories that others rename; every result must be that of a plain directory.
 *
 *     moving fill DIR
 *     moving work DIR OPERATIONS WORKERS RENAMERS SEED [sockets]      fills DIR if it is empty
 *
 * DIR has ROOMS directories with SLOTS directories each. Each worker is in one of those, by its working directory or by a
 * descriptor, and knows the content of its directory: it uses relative names, *at calls, descriptors, getcwd, listings.
 * Renamers exchange directories, move them in three steps, across directories and into each other, and exchange the
 * rooms themselves. A result that a directory without renamers would not give is a difference, and so is a file in a
 * wrong directory at the end. The last line is the count of differences. */
#include "moving.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define LOWS 12 /* workers at most */

struct shared *all;
const char *root;

unsigned long seed;
unsigned pick(unsigned n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed >> 11) % n;
}

void different(int place, const char *format, ...)
{
    char line[512];
    int error = errno, n;
    va_list list;

    if (__atomic_add_fetch(&all->differences, 1, __ATOMIC_RELAXED) > 20)
        return;
    n = snprintf(line, sizeof line, "place %d: ", place);
    va_start(list, format);
    n += vsnprintf(line + n, sizeof line - (size_t)n, format, list);
    va_end(list);
    n += snprintf(line + n, sizeof line - (size_t)n, " (%s)\n", strerror(error));
    if (write(2, line, (size_t)n) < 0)
        _exit(3);
}

void place_path(char *out, const char *of, int place)
{
    sprintf(out, "%s/room%d/slot%d", of, place / SLOTS, place % SLOTS);
}

static void put(int dir, const char *name, const char *text)
{
    int fd = openat(dir, name, O_CREAT | O_WRONLY | O_TRUNC, 0644);

    if (fd < 0 || write(fd, text, strlen(text)) < 0) {
        perror(name);
        _exit(3);
    }
    close(fd);
}

static int fill(void)
{
    char path[400], text[40], name[40];

    for (int i = 0; i < PLACES; i++) {
        sprintf(path, "%s/room%d", root, i / SLOTS);
        mkdir(path, 0755);
        place_path(path, root, i);
        if (mkdir(path, 0755) < 0)
            return perror(path), 3;
        int dir = open(path, O_RDONLY | O_DIRECTORY);
        sprintf(text, "I am %d\n", i);
        put(dir, "me", text);
        mkdirat(dir, "sub", 0755);
        put(dir, "sub/deep", text);
        for (int k = 0; k < LOWS; k++) {
            sprintf(name, "low.%d", k);
            put(dir, name, text);
        }
        close(dir);
    }
    return 0;
}

/* Check that a directory has only its first content. */
static void check_place(int place, int dir)
{
    DIR *list = fdopendir(dir);
    struct dirent *e;
    int me = 0;

    while (list && (e = readdir(list))) {
        const char *n = e->d_name;
        me += !strcmp(n, "me");
        if (strcmp(n, ".") && strcmp(n, "..") && strcmp(n, "me") && strcmp(n, "sub") && strncmp(n, "low.", 4))
            errno = 0, different(place, "%s is left", n);
    }
    if (me != 1)
        different(place, "me is there %d times", me);
    if (list)
        closedir(list);
}

static int work(long operations, int workers, int renamers, int sockets)
{
    int dir[PLACES], pids = 0;
    pid_t pid[64];
    struct stat st;
    char path[400];

    sprintf(path, "%s/room0", root);
    if (access(path, F_OK) < 0 && fill())
        return 3;
    all = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < PLACES; i++) {
        place_path(path, root, i);
        dir[i] = open(path, O_RDONLY | O_DIRECTORY);
        if (dir[i] < 0)
            return perror(path), 3;
    }
    for (int i = 0; i < workers; i++) {
        struct worker w = {.number = i, .place = i % PLACES, .cwd = i % 3 != 1, .low = 1, .sockets = sockets};
        w.dir = dir[w.place];
        sprintf(w.id, "I am %d\n", w.place);
        if (fstat(w.dir, &st) < 0)
            return perror("fstat"), 3;
        w.ino = st.st_ino;
        if ((pid[pids++] = fork()) == 0)
            worker(&w, operations / workers);
    }
    for (int i = 0; i < renamers; i++)
        if ((pid[pids++] = fork()) == 0) {
            seed += 99991u * (unsigned)(i + 1);
            renamer(i);
        }
    for (int i = 0; i < pids; i++) {
        int status;
        if (i == workers)
            __atomic_store_n(&all->stop, 1, __ATOMIC_RELAXED);
        waitpid(pid[i], &status, 0);
        if (status)
            different(i, "process ended with %x", status);
    }
    for (int i = 0; i < PLACES; i++)
        check_place(i, dir[i]);
    printf("%ld operations, %ld renames, %ld differences\n", all->done, all->renamed, all->differences);
    fflush(stdout);
    return all->differences != 0;
}

int moving(int argc, char **argv)
{
    umask(022);
    root = argv[2];
    if (argc == 3)
        return fill();
    seed = strtoul(argv[6], NULL, 10) * 2654435761u + 88172645463325252u;
    return work(atol(argv[3]), atoi(argv[4]), atoi(argv[5]), argc > 7);
}

#ifndef LIBRARY
int main(int argc, char **argv)
{
    return moving(argc, argv);
}
#endif
