/* Random operations on a tree of names, by many processes at once.
 *
 *     treeops DIRECTORY PROCESSES OPERATIONS SEED
 *
 * Each process has a tree of its own below DIRECTORY, does what its seed says there, and writes to DIRECTORY/log.N what
 * each call returned and how the tree looks in the end: the same on every file system, so the logs can be compared.
 * Besides, all meet in DIRECTORY/shared, where each name may be made by one only: `wins` counts. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHARED_NAMES 200

static unsigned long long seed;
static FILE *out;

static unsigned rnd(unsigned n)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned)(seed >> 33) % n;
}

/* A name of depth 1 to 3, from few, so that calls meet each other. */
static void name(char *to)
{
    unsigned depth = 1 + rnd(3);
    *to = 0;
    for (unsigned i = 0; i < depth; i++)
        sprintf(to + strlen(to), "%s%c", i ? "/" : "", 'a' + rnd(6));
}

static void say(const char *call, const char *a, const char *b, long r)
{
    fprintf(out, "%s %s %s %s\n", call, a, b, r < 0 ? strerrorname_np(errno) : "ok");
}

static long make_file(int at, const char *path, int flags)
{
    int fd = openat(at, path, O_WRONLY | O_CREAT | O_NONBLOCK | flags, 0644);
    if (fd < 0)
        return -1;
    long r = write(fd, path, strlen(path)) < 0 ? -1 : 0;
    close(fd);
    return r;
}

static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

static void list(int at, const char *dir, int recursive)
{
    struct dirent **found;
    int n = scandirat(at, dir, &found, NULL, by_name);
    for (int i = 0; i < n; i++) {
        char path[4096], target[4096] = "";
        struct stat st;
        snprintf(path, sizeof path, "%s/%s", dir, found[i]->d_name);
        int dots = !strcmp(found[i]->d_name, ".") || !strcmp(found[i]->d_name, "..");
        if (!dots && fstatat(at, path, &st, AT_SYMLINK_NOFOLLOW) == 0) {
            long len = S_ISLNK(st.st_mode) ? readlinkat(at, path, target, sizeof target - 1) : 0;
            target[len < 0 ? 0 : len] = 0;
            fprintf(out, "= %s %o %ld %ld %s\n", path, st.st_mode, S_ISDIR(st.st_mode) ? 0 : (long)st.st_nlink,
                    S_ISDIR(st.st_mode) ? 0 : (long)st.st_size, target);
            if (recursive && S_ISDIR(st.st_mode))
                list(at, path, 1);
        } else if (!dots) {
            fprintf(out, "! %s %s\n", path, strerrorname_np(errno));
        }
        free(found[i]);
    }
    if (n >= 0)
        free(found);
}

static void one(int at)
{
    char a[64], b[64];
    struct stat st;
    name(a);
    name(b);
    switch (rnd(14)) {
    case 0: case 1: say("mkdir", a, "", mkdirat(at, a, 0755)); break;
    case 2: say("create", a, "", make_file(at, a, O_TRUNC)); break;
    case 3: say("create new", a, "", make_file(at, a, O_EXCL)); break;
    case 4: say("link", a, b, linkat(at, a, at, b, 0)); break;
    case 5: case 6: say("rename", a, b, renameat(at, a, at, b)); break;
    case 7: say("rename new", a, b, renameat2(at, a, at, b, RENAME_NOREPLACE)); break;
    case 8: say("exchange", a, b, renameat2(at, a, at, b, RENAME_EXCHANGE)); break;
    case 9: say("unlink", a, "", unlinkat(at, a, 0)); break;
    case 10: say("rmdir", a, "", unlinkat(at, a, AT_REMOVEDIR)); break;
    case 11: say("symlink", b, a, symlinkat(b, at, a)); break;
    case 12: say("fifo", a, "", mknodat(at, a, S_IFIFO | 0644, 0)); break;
    default:
        say("stat", a, "", fstatat(at, a, &st, rnd(2) ? AT_SYMLINK_NOFOLLOW : 0));
        list(at, ".", 0);
    }
}

static int worker(int base, int shared, int i, long operations)
{
    char path[64];
    int wins = 0;
    snprintf(path, sizeof path, "log.%d", i);
    int log = openat(base, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    snprintf(path, sizeof path, "tree.%d", i);
    if (log < 0 || (mkdirat(base, path, 0755) < 0 && errno != EEXIST))
        return 1;
    int at = openat(base, path, O_RDONLY | O_DIRECTORY);
    out = fdopen(log, "w");
    for (long k = 0; k < operations; k++) {
        one(at);
        if (k % (operations / SHARED_NAMES + 1) == 0) {
            snprintf(path, sizeof path, "%ld", k);
            if (k % 3 == 0 ? symlinkat("x", shared, path) == 0
                           : k % 3 == 1 ? mkdirat(shared, path, 0755) == 0 : make_file(shared, path, O_EXCL) == 0)
                wins++;
            else if (errno != EEXIST)
                return 1;
        }
    }
    list(at, ".", 1);
    fclose(out);
    snprintf(path, sizeof path, "wins.%d", i);
    log = openat(base, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    dprintf(log, "%d\n", wins);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    int base = open(argv[1], O_RDONLY | O_DIRECTORY), processes = atoi(argv[2]), status, bad = 0;
    umask(022);
    if (mkdirat(base, "shared", 0755) < 0)
        return 2;
    int shared = openat(base, "shared", O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < processes; i++)
        if (fork() == 0) {
            seed = strtoull(argv[4], NULL, 10) + (unsigned long long)i;
            _exit(worker(base, shared, i, atol(argv[3])));
        }
    while (wait(&status) > 0)
        bad |= status;
    printf("%s\n", bad ? "bad" : "done");
    return bad != 0;
}
