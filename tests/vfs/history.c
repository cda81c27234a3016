/* A random history of file operations below a directory, the same for the same seed: what each call answers, and after
 * every few of them a digest of the whole tree. Run in a container and in a mount of overlayfs, it must print the same.
 *
 *     history DIRECTORY SEED FIRST LAST EVERY HEAVY
 *
 * Operations FIRST to before LAST are done; the digest is printed after every EVERYth, and as a listing when EVERY is 0
 * (after the last; with FIRST equal to LAST, without any). HEAVY is 1: most operations remove, move or make names again.
 * A time is part of the digest where it was set by an operation (a day long ago), but not that of a FIFO, which a write
 * changes here as on other file systems, and not on overlayfs; the number of links while FIRST is 0:
 * later, overlayfs still counts names of lower files that are gone, where an image that was committed has them no more.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define FILES 4096
#define LONG_AGO 1000000000 /* seconds */

static uint64_t state;
static uint32_t below(uint32_t n) /* xorshift64* */
{
    state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
    return (uint32_t)((state * 0x2545f4914f6cdd1dull) >> 33) % n;
}

static uint64_t mix(uint64_t h, const void *data, size_t n)
{
    for (const unsigned char *p = data; n--; p++)
        h = (h ^ *p) * 0x100000001b3ull;
    return h;
}

/* ---- what the tree looks like -------------------------------------------------------------------------- */

static int listing, with_links;
static uint64_t digest;
static struct {
    dev_t dev;
    ino_t ino;
} files[FILES]; /* in the order in which they are met: hard links have one number */
static int file_count;

static int number_of(const struct stat *st)
{
    for (int i = 0; i < file_count; i++)
        if (files[i].dev == st->st_dev && files[i].ino == st->st_ino)
            return i;
    if (file_count < FILES)
        files[file_count].dev = st->st_dev, files[file_count].ino = st->st_ino;
    return file_count++;
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static uint64_t attributes(const char *path)
{
    char names[4096], value[4096], *sorted[64];
    int count = 0;
    uint64_t h = 0;
    ssize_t n = llistxattr(path, names, sizeof names);

    for (char *p = names; n > 0 && p < names + n && count < 64; p += strlen(p) + 1)
        sorted[count++] = p;
    qsort(sorted, (size_t)count, sizeof *sorted, by_text);
    for (int i = 0; i < count; i++) {
        ssize_t size = lgetxattr(path, sorted[i], value, sizeof value);
        h = mix(mix(h, sorted[i], strlen(sorted[i])), value, size > 0 ? (size_t)size : 0);
    }
    return h;
}

static uint64_t content(const char *path, const struct stat *st)
{
    static char text[1 << 16];
    ssize_t n = 0;
    int fd;

    if (S_ISLNK(st->st_mode))
        n = readlink(path, text, sizeof text);
    else if (S_ISREG(st->st_mode) && (fd = open(path, O_RDONLY | O_CLOEXEC)) >= 0) {
        n = read(fd, text, sizeof text);
        close(fd);
    }
    return mix(1, text, n > 0 ? (size_t)n : 0);
}

static int visible(const struct dirent *e) { return strcmp(e->d_name, ".") && strcmp(e->d_name, ".."); }

static void look(const char *path)
{
    char line[5000];
    struct stat st;
    struct dirent **found;
    int count, n;

    if (lstat(path, &st)) {
        printf("    %s: %s\n", path, strerror(errno)); /* listed, and not there */
        digest++;
        return;
    }
    int is_dir = S_ISDIR(st.st_mode);
    n = snprintf(line, sizeof line, "%s %o %u:%u n%d #%d s%lld r%x t%lld c%llx x%llx\n", path, st.st_mode, st.st_uid,
                 st.st_gid, is_dir || !with_links ? 0 : (int)st.st_nlink, is_dir ? 0 : number_of(&st), is_dir ? 0 : (long long)st.st_size,
                 S_ISCHR(st.st_mode) ? (unsigned)st.st_rdev : 0,
                 st.st_mtime < LONG_AGO && !S_ISFIFO(st.st_mode) ? (long long)st.st_mtime : -1ll, (unsigned long long)content(path, &st),
                 (unsigned long long)attributes(path));
    digest = mix(digest, line, (size_t)n);
    if (listing)
        fputs(line, stdout);
    if (!is_dir || (count = scandir(path, &found, visible, NULL)) < 0)
        return;
    char **names = calloc((size_t)count + 1, sizeof *names);
    for (int i = 0; i < count; i++)
        names[i] = found[i]->d_name;
    qsort(names, (size_t)count, sizeof *names, by_text);
    for (int i = 0; i < count; i++) {
        snprintf(line, sizeof line, "%s/%s", path, names[i]);
        look(line);
    }
    for (int i = 0; i < count; i++)
        free(found[i]);
    free(found);
    free(names);
}

/* ---- operations ------------------------------------------------------------------------------------------ */

/* Three levels of a few names: most exist, or nearly. */
static char *path(char *out)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    static const char *const tails[] = {"", "", "", "", "", "", "/", "/."};
    char *p = out;
    uint32_t levels = 1 + below(3);

    for (uint32_t i = 0; i < levels; i++) {
        if (i)
            *p++ = '/';
        if (below(24) == 0) {
            memset(p, 'n', 251);
            p += 251, *p = 0;
        } else {
            p = stpcpy(p, names[below(4)]);
        }
    }
    if (below(12) == 0)
        strcpy(p, tails[below(8)]);
    return out;
}

static int write_with(const char *p, int flags, mode_t mode)
{
    static const uint16_t sizes[] = {0, 1, 6, 5000};
    static const char text[5000] = "hello\n";
    uint16_t size = sizes[below(4)];
    int fd = open(p, flags | O_NONBLOCK | O_CLOEXEC, mode), r = 0;

    if (fd < 0)
        return -1;
    if ((flags & O_ACCMODE) != O_RDONLY && write(fd, text, size) < 0)
        r = -1;
    close(fd);
    return r;
}

static int names_of(const char *p)
{
    struct dirent **found;
    int count = scandir(p, &found, visible, NULL);

    for (int i = 0; i < count; i++)
        free(found[i]);
    if (count > 0)
        free(found);
    return count;
}

static int remove_tree(const char *p, int depth)
{
    char name[5000];
    struct stat st;
    struct dirent **found;
    int count, failed = 0;

    if (lstat(p, &st))
        return -1;
    if (!S_ISDIR(st.st_mode))
        return unlink(p);
    count = depth < 8 ? scandir(p, &found, visible, NULL) : -1;
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof name, "%s/%s", p, found[i]->d_name);
        failed |= remove_tree(name, depth + 1);
        free(found[i]);
    }
    if (count >= 0)
        free(found);
    return failed ? -2 : rmdir(p);
}

/* overlayfs redirects a moved directory by 256 bytes of path at most, and says EXDEV beyond. */
static int too_long_to_move(const char *one, const char *two)
{
    struct stat st;

    if (!strstr(one, "nnn") && !strstr(two, "nnn"))
        return 0;
    return (!lstat(one, &st) && S_ISDIR(st.st_mode)) || (!lstat(two, &st) && S_ISDIR(st.st_mode));
}

static struct timespec began; /* the operation, by the clock of files' times */

/* What a change of an object has returned: 99 where its time (st_ctime) does not tell. */
static int told(const char *one, int r, int follow)
{
    struct stat st;
    int shown = r ? -1 : follow ? stat(one, &st) : lstat(one, &st);

    if (shown || st.st_ctim.tv_sec > began.tv_sec)
        return r;
    return st.st_ctim.tv_sec == began.tv_sec && st.st_ctim.tv_nsec >= began.tv_nsec ? r : 99;
}

/* Whether a truncation to the size that a file has sets its time is each file system's own: ext4 does, XFS does not. */
static int truncate_to(const char *one, off_t size)
{
    struct stat st;

    return !stat(one, &st) && S_ISREG(st.st_mode) && st.st_size == size ? 0 : truncate(one, size);
}

/* Where a directory is refused because the other is not empty, overlayfs may have changed the time of the one that it was
 * in, by copying it up; so that is set, there as here. */
static int moved(const char *one, int r)
{
    const struct timespec times[2] = {{5, 0}, {5, 0}};
    char parent[1024];

    if (r && errno == ENOTEMPTY) {
        utimensat(AT_FDCWD, dirname(strcpy(parent, one)), times, 0);
        errno = ENOTEMPTY;
    }
    return r;
}

static int heavy;

static uint32_t an_operation(void)
{
    static const uint8_t often[] = {0, 0, 2, 4, 4, 7, 7, 7, 8, 9, 9, 10, 11, 12, 13, 14, 14, 15, 25, 28, 28, 28, 28};

    return heavy && below(4) ? often[below(sizeof often)] : below(28);
}

static int operate(char *what)
{
    static const int open_flags[] = {O_RDONLY, O_RDWR, O_DIRECTORY, O_NOFOLLOW, O_RDONLY | O_TRUNC, O_PATH};
    static const uint16_t modes[] = {0755, 0700, 0777, 01777, 0711, 0644, 0600, 04755, 02755};
    static const char *const attribute_names[] = {"user.a", "user.b", "trusted.b", "security.c"};
    static const char *const targets[] = {"a", "b/c", ".", "a/", "./b", "../d", "c"};
    static const int owners[] = {-1, 0, 1, 65534};
    char one[1024], two[1024], text[300];
    struct timespec times[2] = {{5, 0}, {0, 7}};
    struct stat st;
    uint32_t op = an_operation();
    int r;

    path(one);
    path(two);
    snprintf(what, 2200, "%u %.520s %.520s", op, one, two);
    if (op >= 10 && op <= 14 && too_long_to_move(one, two))
        return 0;
    switch (op) {
    case 0: case 1: return mkdir(one, modes[below(5)]);
    case 2: case 3: return write_with(one, O_WRONLY | O_CREAT | O_TRUNC, modes[5 + below(2)]);
    case 4: return write_with(one, O_WRONLY | O_APPEND, 0);
    case 5: return write_with(one, O_RDWR | O_CREAT | O_EXCL, 0640);
    case 6: return write_with(one, open_flags[below(6)], 0);
    case 7: case 8: return unlink(one);
    case 9: return rmdir(one);
    case 10: case 11: case 12: return moved(one, rename(one, two));
    case 13: return renameat2(AT_FDCWD, one, AT_FDCWD, two, RENAME_NOREPLACE);
    case 14: return renameat2(AT_FDCWD, one, AT_FDCWD, two, RENAME_EXCHANGE);
    case 15: case 16: return told(one, link(one, two), 0);
    case 17: return symlink(targets[below(7)], one);
    case 18: return told(one, chmod(one, modes[below(9)]), 1);
    case 19:
        r = owners[below(4)];
        if (below(2))
            return told(one, lchown(one, (uid_t)r, (gid_t)owners[below(4)]), 0);
        return told(one, chown(one, (uid_t)r, 1), 1);
    case 20: r = (int)below(3); return setxattr(one, attribute_names[below(4)], "valuevalue", below(11), r);
    case 21: return told(one, removexattr(one, attribute_names[below(4)]), 1);
    case 22: return truncate_to(one, below(2) ? 0 : 9000);
    case 23: times[1].tv_sec = below(LONG_AGO); return utimensat(AT_FDCWD, one, times, below(2) ? AT_SYMLINK_NOFOLLOW : 0);
    case 24: return below(4) ? mkfifo(one, 0644) : mknod(one, S_IFCHR | 0600, makedev(1, 3));
    case 25: return names_of(one);
    case 26: r = stat(one, &st); return r ? r : (int)(st.st_mode & 07777);
    case 28: return remove_tree(one, 0);
    default:
        if (below(5) == 0)
            return remove_tree(one, 0);
        return (int)readlink(one, text, sizeof text);
    }
}

static void show(void)
{
    digest = 0;
    file_count = 0;
    look(".");
    printf("  tree %llx\n", (unsigned long long)digest);
}

int main(int argc, char **argv)
{
    char what[2200];

    if (argc != 7 || chdir(argv[1]))
        return 2;
    umask(022);
    uint64_t seed = strtoull(argv[2], NULL, 10);
    int first = atoi(argv[3]), last = atoi(argv[4]), every = atoi(argv[5]);
    listing = every == 0, with_links = first == 0, heavy = atoi(argv[6]);
    for (int i = first; i < last; i++) {
        state = seed * 0x9e3779b97f4a7c15ull + (uint64_t)i * 0xbf58476d1ce4e5b9ull + 1;
        below(2), below(2);
        errno = 0;
        clock_gettime(CLOCK_REALTIME_COARSE, &began);
        int r = operate(what);
        printf("%d %s = %d %s\n", i, what, r, r < 0 ? strerrorname_np(errno) : "");
        if (every ? (i + 1) % every == 0 : i + 1 == last)
            show();
    }
    if (first == last)
        show();
    return 0;
}
