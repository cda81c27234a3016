/* The renamers of the program `moving`: they exchange and move the directories of its workers. */
#include "moving.h"

#include <sys/syscall.h>

#define EXCHANGE 2
#define NOREPLACE 1

static long move_to(int from, const char *a, int to, const char *b, unsigned flags)
{
    return syscall(SYS_renameat2, from, a, to, b, flags);
}

/* Move a directory from its place to a free slot. */
static void put_back(int dir, const char *from)
{
    char to[400];

    for (int i = 0; i < 100000; i++) {
        place_path(to, root, (int)pick(PLACES));
        if (move_to(dir, from, AT_FDCWD, to, NOREPLACE) == 0)
            return;
    }
    different(-1, "no place for %s", from);
}

/* Move into another directory, by its descriptor, and back. */
static void one_nesting(const char *a, const char *b, int me)
{
    char aside[20];
    int dir = open(b, O_RDONLY | O_DIRECTORY);

    sprintf(aside, "sub/in%d", me);
    if (dir >= 0 && strcmp(a, b) && move_to(AT_FDCWD, a, dir, aside, NOREPLACE) == 0)
        put_back(dir, aside);
    if (dir >= 0)
        close(dir);
}

static void one_rename(int me)
{
    char a[400], b[400], aside[420];

    place_path(a, root, (int)pick(PLACES));
    place_path(b, root, (int)pick(PLACES));
    switch (pick(8)) {
    case 0: /* the directories above */
        sprintf(a, "%s/room%u", root, pick(ROOMS));
        sprintf(b, "%s/room%u", root, pick(ROOMS));
        move_to(AT_FDCWD, a, AT_FDCWD, b, EXCHANGE);
        break;
    case 1:
        one_nesting(a, b, me);
        break;
    case 2:
    case 3: /* in three steps */
        sprintf(aside, "%s/aside%d", root, me);
        if (move_to(AT_FDCWD, a, AT_FDCWD, aside, NOREPLACE) == 0) {
            move_to(AT_FDCWD, b, AT_FDCWD, a, NOREPLACE);
            put_back(AT_FDCWD, aside);
        }
        break;
    default:
        if (strcmp(a, b))
            move_to(AT_FDCWD, a, AT_FDCWD, b, EXCHANGE);
    }
    __atomic_add_fetch(&all->renamed, 1, __ATOMIC_RELAXED);
}

void renamer(int me)
{
    while (!__atomic_load_n(&all->stop, __ATOMIC_RELAXED))
        one_rename(me);
    _exit(0);
}
