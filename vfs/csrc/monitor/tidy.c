/* Removes a directory with everything in it, also in trees of any depth: a directory below the first level is renamed to
 * the top, and emptied there. Links are never followed. */
#include "monitor.h"

#define OPEN_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define OWNER_RWX 0700

struct dirent {
    u64 ino, off;
    __u16 bytes;
    u8 type;
    char name[];
};

static u64 hoisted;

static int is_dot(const char *name)
{
    return same(name, ".") || same(name, "..");
}

static void make_usable(long fd, const char *name)
{
    sys(__NR_fchmodat, fd, (long)name, OWNER_RWX, 0, 0);
}

/* Empty one directory of `top`; its own directories go to the top. */
static void flatten(long top, const char *name)
{
    static char listing[32768] __attribute__((aligned(8)));
    char new[40];
    long bytes, fd;
    make_usable(top, name);
    fd = sys(__NR_openat, top, (long)name, OPEN_FLAGS, 0, 0);
    while (fd >= 0 && (bytes = sys(__NR_getdents64, fd, (long)listing, sizeof listing, 0, 0)) > 0)
        for (long at = 0; at < bytes;) {
            struct dirent *d = (struct dirent *)(listing + at);
            at += d->bytes;
            if (is_dot(d->name) || sys(__NR_unlinkat, fd, (long)d->name, 0, 0, 0) == 0)
                continue;
            make_usable(fd, d->name); /* its `..` changes */
            put_number(put(new, ".hoisted-"), ++hoisted);
            rl_rawsys(__NR_renameat2, fd, (long)d->name, top, (long)new, 0, 0);
        }
    sys(__NR_close, fd, 0, 0, 0, 0);
}

void tidy(const char *path)
{
    static char listing[32768] __attribute__((aligned(8)));
    long top = sys(__NR_openat, AT_FDCWD, (long)path, OPEN_FLAGS, 0, 0), bytes;
    int removed = 1;
    while (top >= 0 && removed) {
        removed = 0;
        sys(__NR_lseek, top, 0, 0, 0, 0);
        while ((bytes = sys(__NR_getdents64, top, (long)listing, sizeof listing, 0, 0)) > 0)
            for (long at = 0; at < bytes;) {
                struct dirent *d = (struct dirent *)(listing + at);
                at += d->bytes;
                if (is_dot(d->name))
                    continue;
                if (sys(__NR_unlinkat, top, (long)d->name, 0, 0, 0) < 0) {
                    flatten(top, d->name);
                    if (sys(__NR_unlinkat, top, (long)d->name, AT_REMOVEDIR, 0, 0) < 0)
                        continue;
                }
                removed = 1;
            }
    }
    sys(__NR_close, top, 0, 0, 0, 0);
    sys(__NR_unlinkat, AT_FDCWD, (long)path, AT_REMOVEDIR, 0, 0);
}
