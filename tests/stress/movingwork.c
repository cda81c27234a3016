/* The workers of the program `moving`: each knows the content of its directory, and compares each result with that. */
#include "moving.h"

#include <dirent.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/xattr.h>

static int base(const struct worker *w)
{
    return w->cwd ? AT_FDCWD : w->dir;
}

static void name_of(const struct worker *w, int k, char *out)
{
    sprintf(out, "w%d.%d", w->number, k);
}

static void expect(const struct worker *w, long got, int error, const char *what, const char *name)
{
    if (error ? got >= 0 || errno != error : got < 0)
        different(w->place, "%s %s: %ld, not %s", what, name, got, error ? strerror(error) : "0");
}

static void check_text(const struct worker *w, const char *name, const char *want)
{
    char text[64];
    int fd = openat(base(w), name, O_RDONLY);
    long n;

    if (fd < 0) {
        different(w->place, "read %s", name);
        return;
    }
    n = read(fd, text, sizeof text - 1);
    text[n < 0 ? 0 : n] = 0;
    if (strcmp(text, want))
        different(w->place, "%s is %s, not %s", name, text, want);
    close(fd);
}

static void create(struct worker *w, int k, long i)
{
    struct stat a, b;
    char name[32];

    name_of(w, k, name);
    int fd = openat(base(w), name, O_CREAT | O_EXCL | O_WRONLY, 0640);
    expect(w, fd, w->have[k] ? EEXIST : 0, "create", name);
    if (fd < 0)
        return;
    sprintf(w->text[k], "%d %ld", w->number, i);
    w->have[k] = 1;
    if (write(fd, w->text[k], strlen(w->text[k])) < 0 || fstat(fd, &a) < 0)
        different(w->place, "fstat %s", name);
    if (fstatat(base(w), name, &b, 0) < 0 || a.st_ino != b.st_ino)
        different(w->place, "stat %s", name);
    close(fd);
}

static void remove_one(struct worker *w, int k)
{
    char name[32];

    name_of(w, k, name);
    expect(w, unlinkat(base(w), name, 0), w->have[k] ? 0 : ENOENT, "unlink", name);
    w->have[k] = 0;
}

static void rename_one(struct worker *w, int k, int j)
{
    char from[32], to[32];

    if (k == j)
        return;
    name_of(w, k, from);
    name_of(w, j, to);
    expect(w, renameat(base(w), from, base(w), to), w->have[k] ? 0 : ENOENT, "rename", from);
    if (w->have[k]) {
        strcpy(w->text[j], w->text[k]);
        w->have[j] = 1;
        w->have[k] = 0;
    }
}

static void link_one(struct worker *w, int k, int j)
{
    char from[32], to[32];

    name_of(w, k, from);
    name_of(w, j, to);
    expect(w, linkat(base(w), from, base(w), to, 0), !w->have[k] ? ENOENT : w->have[j] ? EEXIST : 0, "link", from);
    if (!w->have[k] || w->have[j])
        return;
    expect(w, unlinkat(base(w), from, 0), 0, "unlink", from); /* one name again: what is written is one's own */
    strcpy(w->text[j], w->text[k]);
    w->have[j] = 1;
    w->have[k] = 0;
}

static void symlink_one(struct worker *w)
{
    char name[32], text[32] = "";

    sprintf(name, "l%d", w->number);
    expect(w, symlinkat("me", base(w), name), 0, "symlink", name);
    if (readlinkat(base(w), name, text, sizeof text - 1) != 2 || strcmp(text, "me"))
        different(w->place, "readlink %s", name);
    check_text(w, name, w->id);
    expect(w, unlinkat(base(w), name, 0), 0, "unlink", name);
}

static void directory_one(struct worker *w)
{
    char name[32], below[40];

    sprintf(name, "d%d", w->number);
    sprintf(below, "d%d/x", w->number);
    expect(w, mkdirat(base(w), name, 0755), 0, "mkdir", name);
    int fd = openat(base(w), below, O_CREAT | O_EXCL | O_RDWR, 0600);
    expect(w, fd, 0, "create", below);
    close(fd);
    expect(w, unlinkat(base(w), name, AT_REMOVEDIR), ENOTEMPTY, "rmdir", name);
    expect(w, unlinkat(base(w), below, 0), 0, "unlink", below);
    expect(w, unlinkat(base(w), name, AT_REMOVEDIR), 0, "rmdir", name);
}

static void attributes_one(struct worker *w, int k)
{
    struct timespec times[2] = {{1000 + k, 0}, {2000 + k, 0}};
    struct stat st;
    char name[32], value[8];
    unsigned mode = 0600 | pick(0100);

    name_of(w, k, name);
    int error = w->have[k] ? 0 : ENOENT;
    expect(w, fchmodat(base(w), name, mode, 0), error, "chmod", name);
    expect(w, utimensat(base(w), name, times, 0), error, "utimensat", name);
    if (fchownat(base(w), name, 7, 8, 0) < 0 ? errno != (error ? error : EPERM) : error)
        different(w->place, "chown %s", name);
    if (!error && (fstatat(base(w), name, &st, 0) < 0 || (st.st_mode & 0777) != mode || st.st_mtime != 2000 + k))
        different(w->place, "attributes of %s: %o", name, st.st_mode);
    expect(w, faccessat(base(w), name, R_OK, 0), error, "access", name);
    if (!w->cwd || error)
        return;
    if (setxattr(name, "user.k", "abc", 3, 0) < 0 ? errno != EOPNOTSUPP
                                                   : getxattr(name, "user.k", value, sizeof value) != 3)
        different(w->place, "xattr of %s", name);
}

static void list_one(struct worker *w)
{
    int fd = openat(base(w), ".", O_RDONLY | O_DIRECTORY), others = 0, mine = 0, want = 0;
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    char prefix[16], low[16];
    struct dirent *e;

    if (!list) {
        different(w->place, "open .");
        return;
    }
    int n = sprintf(prefix, "w%d.", w->number);
    sprintf(low, "low.%d", w->number);
    errno = 0;
    while ((e = readdir(list))) {
        mine += !strncmp(e->d_name, prefix, (size_t)n) || !strcmp(e->d_name, low);
        others += !strcmp(e->d_name, "me") || !strcmp(e->d_name, "sub");
    }
    for (int k = 0; k < NAMES; k++)
        want += w->have[k];
    if (errno || mine != want + w->low || others != 2)
        different(w->place, "listing: %d of %d, %d of 2", mine, want + w->low, others);
    closedir(list);
}

static void here_one(struct worker *w)
{
    struct stat st;
    char path[4096];
    int fd;

    if (fstatat(base(w), w->cwd ? "." : "", &st, AT_EMPTY_PATH) < 0 || st.st_ino != w->ino)
        different(w->place, ". is %ld, not %ld", (long)st.st_ino, (long)w->ino);
    fd = openat(base(w), "..", O_PATH | O_DIRECTORY);
    expect(w, fd, 0, "open", "..");
    close(fd);
    if (!w->cwd)
        return;
    if (!getcwd(path, sizeof path))
        different(w->place, "getcwd");
    else if (strncmp(path, root, strlen(root)) || strncmp(path + strlen(root), "/", 1))
        different(w->place, "getcwd: %s", path);
    if (chdir("sub") < 0 || stat("deep", &st) < 0 || chdir("..") < 0 || stat(".", &st) < 0 || st.st_ino != w->ino) {
        different(w->place, "chdir sub, ..");
        if (fchdir(w->dir) < 0)
            different(w->place, "fchdir");
    }
}

/* A file that the image may have: it is copied up, removed and made again. */
static void low_one(struct worker *w)
{
    char name[32];

    sprintf(name, "low.%d", w->number);
    if (w->low && pick(2)) {
        check_text(w, name, w->id);
    } else if (w->low && pick(2)) {
        expect(w, unlinkat(base(w), name, 0), 0, "unlink", name);
        w->low = 0;
    } else {
        int fd = openat(base(w), name, O_CREAT | O_WRONLY | O_TRUNC, 0644);
        expect(w, fd, 0, "write", name);
        if (fd >= 0 && write(fd, w->id, strlen(w->id)) < 0)
            different(w->place, "write %s", name);
        close(fd);
        w->low = 1;
        check_text(w, name, w->id);
    }
}

static void append_one(struct worker *w, int k)
{
    char name[32];

    name_of(w, k, name);
    int fd = openat(base(w), name, O_WRONLY | O_APPEND);
    expect(w, fd, w->have[k] ? 0 : ENOENT, "append", name);
    if (fd < 0)
        return;
    if (strlen(w->text[k]) < 20) {
        if (write(fd, "+", 1) != 1)
            different(w->place, "write %s", name);
        strcat(w->text[k], "+");
    }
    close(fd);
    check_text(w, name, w->text[k]);
}

static void socket_one(struct worker *w)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0), peer = socket(AF_UNIX, SOCK_STREAM, 0);

    sprintf(a.sun_path, "s%d", w->number);
    if (w->cwd && w->sockets) {
        expect(w, bind(fd, (void *)&a, sizeof a), 0, "bind", a.sun_path);
        listen(fd, 1);
        expect(w, connect(peer, (void *)&a, sizeof a), 0, "connect", a.sun_path);
        expect(w, unlink(a.sun_path), 0, "unlink", a.sun_path);
    }
    close(fd);
    close(peer);
}

static void one_operation(struct worker *w, long i)
{
    int k = (int)pick(NAMES), j = (int)pick(NAMES);
    char name[32];

    switch (pick(16)) {
    case 0: case 1: create(w, k, i); break;
    case 2: remove_one(w, k); break;
    case 3: rename_one(w, k, j); break;
    case 4: link_one(w, k, j); break;
    case 5: symlink_one(w); break;
    case 6: directory_one(w); break;
    case 7: attributes_one(w, k); break;
    case 8: list_one(w); break;
    case 9: here_one(w); break;
    case 10: case 11: low_one(w); break;
    case 12: append_one(w, k); break;
    case 13: socket_one(w); break;
    case 14: check_text(w, "sub/deep", w->id); break;
    default:
        check_text(w, "me", w->id);
        name_of(w, k, name);
        if (w->have[k])
            check_text(w, name, w->text[k]);
    }
}

void worker(struct worker *w, long operations)
{
    seed += 77777u * (unsigned)w->number + 1;
    for (int i = 0; i < 10; i++)
        pick(2);
    if (w->cwd && fchdir(w->dir) < 0)
        different(w->place, "fchdir");
    for (long i = 0; i < operations; i++) {
        one_operation(w, i);
        __atomic_add_fetch(&all->done, 1, __ATOMIC_RELAXED);
    }
    for (int k = 0; k < NAMES; k++)
        remove_one(w, k);
    _exit(0);
}
