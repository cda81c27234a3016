/* Parts of both LD_PRELOAD libraries (shim.c, recorder.c): the memory that control.py writes, and all forms of open(2),
 * which call opened() of the file that includes this. */
#ifndef WRAP_H
#define WRAP_H
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "control.h"

/* The memory named by ROOTLAY_FAULT_CONTROL, or NULL. */
static struct control *map_control(void)
{
    const char *path = getenv("ROOTLAY_FAULT_CONTROL");
    int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0) : -1;
    if (fd < 0)
        return NULL;
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    return p == MAP_FAILED ? NULL : p;
}

static int opened(int dirfd, const char *path, int flags, mode_t mode);

static mode_t mode_of(int flags, va_list list)
{
    return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(list, mode_t) : 0;
}

#define OPEN(name, first, dirfd)                                                                                       \
    int name(first const char *path, int flags, ...)                                                                   \
    {                                                                                                                  \
        va_list list;                                                                                                  \
        va_start(list, flags);                                                                                         \
        mode_t mode = mode_of(flags, list);                                                                            \
        va_end(list);                                                                                                  \
        return opened(dirfd, path, flags, mode);                                                                       \
    }
#define DIRFD int dir,
OPEN(open, , AT_FDCWD)
OPEN(open64, , AT_FDCWD)
OPEN(openat, DIRFD, dir)
OPEN(openat64, DIRFD, dir)
#endif
