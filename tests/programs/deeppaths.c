/* What can be done 12,000 bytes below a directory, reached by chdir and descriptors. `deeppaths DIR` prints what came of
 * each call: the same everywhere. `deeppaths DIR fill` makes what an image has; `deeppaths DIR letters` makes, lists and
 * removes a tree of one-letter names. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define LEVELS 63
#define LETTERS 2200
static char name[201];

static void say(const char *what, long r)
{
    printf("%s: %s\n", what, r < 0 ? strerror(errno) : "done");
}

static void put(const char *file, const char *text, int flags)
{
    int fd = open(file, flags | O_WRONLY, 0640);

    say(file, fd < 0 ? fd : write(fd, text, strlen(text)));
    close(fd);
}

static void text_of(const char *file)
{
    char text[60] = "";
    int fd = open(file, O_RDONLY);
    long r = fd < 0 ? fd : read(fd, text, sizeof text - 1);

    if (r < 0)
        say(file, r);
    else
        printf("%s: %s\n", file, text);
    close(fd);
}

static void look(const char *file)
{
    struct stat by_name, by_fd;
    long r = stat(file, &by_name);
    int fd = r < 0 ? -1 : open(file, O_RDONLY);

    if (r < 0 || fd < 0) {
        say(file, -1);
        return;
    }
    fstat(fd, &by_fd);
    printf("%s: mode %o links %d size %ld, %s\n", file, by_name.st_mode, S_ISDIR(by_name.st_mode) ? 0 : (int)by_name.st_nlink,
           S_ISDIR(by_name.st_mode) ? 0L : (long)by_name.st_size,
           by_name.st_ino == by_fd.st_ino && by_name.st_mode == by_fd.st_mode && by_name.st_uid == by_fd.st_uid ? "the same" : "another");
    close(fd);
}

static int order(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void list(const char *dir)
{
    struct dirent **found;
    int n = scandir(dir, &found, NULL, order);

    printf("in %s:", dir);
    if (n < 0)
        printf(" %s", strerror(errno));
    for (int i = 0; i < n; i++)
        printf(" %.5s", found[i]->d_name);
    printf("\n");
}

static void down(int levels, int make)
{
    for (int i = 0; i < levels; i++)
        if ((make && mkdir(name, 0755) < 0) || chdir(name) < 0)
            say("down", -1);
}

static char *above(int levels, const char *last)
{
    static char path[4096];

    path[0] = 0;
    while (levels--)
        strcat(path, "../");
    return strcat(path, last);
}

/* As rm -r does it. */
static long empty(int dir)
{
    DIR *entries = fdopendir(openat(dir, ".", O_RDONLY | O_DIRECTORY));
    struct dirent *e;
    long n = 0;

    while (entries && (e = readdir(entries))) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        int fd = openat(dir, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        if (fd >= 0) {
            n += empty(fd);
            close(fd);
        }
        if (unlinkat(dir, e->d_name, fd >= 0 ? AT_REMOVEDIR : 0) < 0)
            say("unlinkat", -1);
        n++;
    }
    if (entries)
        closedir(entries);
    return n;
}

static void remove_all(const char *top)
{
    int dir = open(top, O_RDONLY | O_DIRECTORY);

    printf("%ld removed\n", empty(dir));
    close(dir);
    say("rmdir", rmdir(top));
}

static void run(const char *program)
{
    int status = 0;

    fflush(stdout);
    if (fork() == 0) {
        execl(program, program, (char *)0);
        printf("%s: %s\n", program, strerror(errno));
        fflush(stdout);
        _exit(1);
    }
    wait(&status);
    printf("%s ended with %d\n", program, WEXITSTATUS(status));
}

static void copy(const char *from, const char *to)
{
    char block[65536];
    long n;
    int in = open(from, O_RDONLY), out = open(to, O_CREAT | O_WRONLY, 0755);

    while ((n = read(in, block, sizeof block)) > 0)
        if (write(out, block, (size_t)n) != n)
            say("copy", -1);
    close(in);
    close(out);
}

static void sockets(void)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX, .sun_path = "sock"};
    int a = socket(AF_UNIX, SOCK_STREAM, 0), b = socket(AF_UNIX, SOCK_STREAM, 0);

    say("bind", bind(a, (void *)&at, sizeof at));
    say("listen", listen(a, 1));
    say("connect", connect(b, (void *)&at, sizeof at));
    close(a);
    close(b);
    say("unlink", unlink("sock"));
}

static void links(void)
{
    char value[300] = "";

    say("symlink", symlink("d/g", "l"));
    text_of("l");
    say("readlink", readlink("l", value, sizeof value));
    snprintf(value, sizeof value, "../%s/d/g", name);
    say("symlink up", symlink(value, "u"));
    text_of("u");
    say("symlink to /", symlink("/", "r"));
    list("d/../..");
    text_of("d/../d/g");
    text_of(value);
    say("link", link("d/g", "h"));
    look("h");
    say("link up", link("h", above(1, "h")));
    say("unlink up", unlink(above(1, "h")));
}

static void attributes(void)
{
    char value[20];
    struct timespec t[2] = {{1, 0}, {2, 0}};
    struct stat st;

    say("chmod", chmod("h", 0711));
    look("d/g");
    say("chmod", chmod("h", 04711));
    say("stat", stat("d/g", &st));
    printf("%o\n", st.st_mode);
    say("truncate", truncate("h", 2));
    text_of("h");
    say("access", access("h", R_OK));
    say("setxattr", setxattr("h", "user.k", "v", 1, 0));
    say("getxattr", getxattr("d/g", "user.k", value, sizeof value));
    say("utimensat", utimensat(AT_FDCWD, "d", t, 0));
    say("stat", stat("d", &st));
    printf("%ld\n", (long)st.st_mtime);
    say("mkfifo", mkfifo("fifo", 0600));
    int fd = open("fifo", O_RDWR);
    say("open", fd);
    close(fd);
    say("chmod of a directory", fchmod(fd = open(".", O_RDONLY), 0711));
    close(fd);
    look(".");
}

static void made(const char *program)
{
    char path[PATH_MAX];
    int dir;
    struct stat a, b;

    say("mkdir", mkdir("made", 0755));
    say("chdir", chdir("made"));
    down(LEVELS, 1);
    say("getcwd", syscall(SYS_getcwd, path, sizeof path));
    dir = open(".", O_RDONLY | O_DIRECTORY);
    put("f", "text", O_CREAT | O_EXCL);
    put("f", "+", O_APPEND);
    text_of("f");
    look("f");
    look(".");
    say("stat", fstat(dir, &a) | stat(".", &b));
    printf("%s\n", a.st_ino == b.st_ino && a.st_dev == b.st_dev ? "the same" : "another");
    say("mkdirat", mkdirat(dir, "c", 0750));
    say("renameat", renameat(dir, "f", dir, "c/g"));
    say("rename", rename("c", "d"));
    say("unlinkat", unlinkat(dir, "none", 0));
    list("d");
    list(".");
    list("..");
    links();
    attributes();
    sockets();
    list(above(3, ""));
    put(above(40, "x"), "forty up", O_CREAT);
    text_of(above(40, "x"));
    say("unlink", unlink(above(40, "x")));
    copy(program, "prog");
    run("./prog");
    say("stat /proc/self/cwd", stat("/proc/self/cwd", &a) | stat(".", &b));
    printf("%s\n", a.st_ino == b.st_ino ? "the same" : "another");
    text_of("/proc/self/cwd/d/g");
    say("rename of an ancestor", rename(above(LEVELS, name), above(LEVELS, "other")));
    list(".");
    put("late", "after it", O_CREAT);
    text_of("d/../late");
    say("back", rename(above(LEVELS, "other"), above(LEVELS, name)));
    say("into a deeper place", rename(above(LEVELS, "moved"), "moved"));
    say("mkdir", mkdir("gone", 0755) | chdir("gone") | rmdir("../gone"));
    say("create there", open("x", O_CREAT | O_WRONLY, 0600));
    list(".");
    say("fchdir", fchdir(dir));
    list(".");
    close(dir);
}

static void of_the_image(const char *top)
{
    struct stat a, b;

    say("chdir", chdir(top));
    down(LEVELS, 0);
    list(".");
    text_of("file");
    look("file");
    look("sub");
    text_of("sub/inner");
    text_of("link");
    put("file", "+", O_APPEND);
    text_of("file");
    look("file");
    say("unlink", unlink("more"));
    list(".");
    put("more", "again", O_CREAT);
    text_of("more");
    say("rename", rename("more", "sub/more"));
    list("sub");
    say("unlink", unlink("sub/inner") | unlink("sub/more"));
    say("rmdir", rmdir("sub"));
    say("mkdir", mkdir("sub", 0700));
    list("sub");
    look("sub");
    say("chmod", chmod("second", 0600));
    look("second");
    say("link", link("second", "third"));
    say("stat", stat("third", &a));
    int fd = open("untouched", O_RDONLY | O_DIRECTORY);
    say("fchdir", fchdir(fd));
    close(fd);
    text_of("inner");
    put("new", "new", O_CREAT);
    list(".");
    list("..");
    say("rename of the image's directory", rename("../untouched", "../touched") < 0 && errno != EXDEV ? -1 : 0);
    say("stat", stat(".", &a) | stat("inner", &b));
}

static void letters(void)
{
    struct stat st;
    int top = open(".", O_RDONLY | O_DIRECTORY);

    say("mkdir", mkdir("letters", 0755) | chdir("letters"));
    for (int i = 0; i < LETTERS; i++)
        if (mkdir("a", 0755) < 0 || chdir("a") < 0) {
            say("down", -1);
            return;
        }
    put("f", "text", O_CREAT);
    text_of("f");
    say("stat", stat("../a/f", &st));
    for (int i = 0; i < LETTERS; i++)
        if (chdir("..") < 0 || (i ? rmdir("a") < 0 : unlink("a/f") | rmdir("a"))) {
            say("up", -1);
            return;
        }
    list(".");
    say("back", fchdir(top));
    say("rmdir", rmdir("letters"));
}

static void fill(void)
{
    if (mkdir("image", 0755) < 0 || mkdir("moved", 0755) < 0 || chdir("image") < 0)
        exit(3);
    down(LEVELS, 1);
    mkdir("sub", 0755);
    mkdir("untouched", 0755);
    put("file", "of the image", O_CREAT);
    put("more", "of the image", O_CREAT);
    put("second", "of the image", O_CREAT);
    put("sub/inner", "inner", O_CREAT);
    put("untouched/inner", "inner", O_CREAT);
    say("symlink", symlink("sub/inner", "link"));
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        printf("a program there\n");
        return 0;
    }
    memset(name, 'n', sizeof name - 1);
    setvbuf(stdout, NULL, _IOLBF, 0);
    umask(022);
    if (chdir(argv[1]) < 0)
        return 3;
    int back = open(".", O_RDONLY | O_DIRECTORY);
    if (argc > 2 && !strcmp(argv[2], "fill")) {
        fill();
        return 0;
    }
    if (argc > 2) {
        letters();
        return 0;
    }
    made(argv[0]);
    say("back", fchdir(back));
    remove_all("made");
    of_the_image("image");
    say("back", fchdir(back));
    remove_all("image");
    list(".");
    return 0;
}
