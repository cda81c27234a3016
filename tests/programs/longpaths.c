/* What can be done at paths of almost PATH_MAX bytes. `longpaths DIR` prints what came of each call: the same everywhere. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static char path[4200], other[4200];

static void say(const char *what, long r)
{
    printf("%s: %s\n", what, r < 0 ? strerror(errno) : "done");
}

static void text_of(const char *what, int fd)
{
    char text[40] = "";

    if (fd < 0 || read(fd, text, sizeof text - 1) < 0)
        say(what, -1);
    else
        printf("%s: %s\n", what, text);
    close(fd);
}

/* As rm -r does it: by descriptors. */
static void empty(int dir)
{
    int again = dup(dir);
    DIR *list = fdopendir(again);
    struct dirent *e;

    rewinddir(list);
    while ((e = readdir(list))) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        int fd = openat(dir, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        if (fd >= 0) {
            empty(fd);
            close(fd);
        }
        if (unlinkat(dir, e->d_name, fd >= 0 ? AT_REMOVEDIR : 0) < 0)
            say("unlinkat", -1);
    }
    closedir(list);
}

static void remove_all(const char *name)
{
    int dir = open(name, O_RDONLY | O_DIRECTORY);

    empty(dir);
    close(dir);
    say("rmdir of all", rmdir(name));
}

static int count(int dir)
{
    DIR *list = dir < 0 ? NULL : fdopendir(dir);
    int n = 0;

    while (list && readdir(list))
        n++;
    if (list)
        closedir(list);
    return n;
}

/* In path: directories of 200 letters, and one that makes it `length` bytes long. */
static void build(const char *top, size_t length, int make)
{
    size_t n = (size_t)sprintf(path, "%s", top);

    if (make)
        say("mkdir", mkdir(path, 0755));
    while (n < length) {
        size_t k = length - n - 1 > 400 ? 200 : length - n - 1 > 250 ? (length - n - 1) / 2 : length - n - 1;
        path[n++] = '/';
        memset(path + n, 'n', k);
        n += k;
        path[n] = 0;
        if (make && mkdir(path, 0755) < 0)
            say("mkdir", -1);
    }
}

static const char *in(const char *name)
{
    sprintf(other, "%s/%s", path, name);
    return other;
}

static void by_names(void)
{
    char name[4200], value[10];
    struct stat st;
    int fd = open(in("f"), O_CREAT | O_EXCL | O_RDWR, 0644);

    say("create", fd);
    say("write", write(fd, "text", 4));
    close(fd);
    say("stat", stat(in("f"), &st));
    text_of("read", open(in("f"), O_RDONLY));
    say("open for writing", fd = open(in("f"), O_RDWR | O_TRUNC));
    close(fd);
    say("truncate", truncate(in("f"), 100));
    say("chmod", chmod(in("f"), 04711));
    say("stat", stat(in("f"), &st));
    printf("mode %o, size %ld\n", st.st_mode, (long)st.st_size);
    say("setxattr", setxattr(in("f"), "user.k", "v", 1, 0));
    say("getxattr", getxattr(in("f"), "user.k", value, sizeof value));
    strcpy(name, in("f"));
    say("rename", rename(name, in("g")));
    strcpy(name, in("g"));
    say("link", link(name, in("f")));
    say("symlink", symlink("f", in("l")));
    say("readlink", readlink(in("l"), value, sizeof value));
    say("access", access(in("l"), R_OK));
    printf("%d names\n", count(open(path, O_RDONLY | O_DIRECTORY)));
    say("mkdir", mkdir(in("d"), 0755));
    say("rmdir", rmdir(in("d")));
    say("unlink", unlink(in("g")));
}

static void by_descriptors(void)
{
    struct stat a, b;
    int dir = open(path, O_RDONLY | O_DIRECTORY), fd;

    say("open a directory", dir);
    say("fstat", fstat(dir, &a));
    say("openat", fd = openat(dir, "h", O_CREAT | O_EXCL | O_WRONLY, 0600));
    close(fd);
    say("fstatat", fstatat(dir, "h", &b, 0));
    say("mkdirat", mkdirat(dir, "d", 0700));
    say("renameat", renameat(dir, "h", dir, "d/i"));
    say("unlinkat", unlinkat(dir, "d", AT_REMOVEDIR));
    say("fchmodat", fchmodat(dir, "d/i", 0640, 0));
    printf("%d names\n", count(dup(dir)));
    say("chdir", chdir(path));
    say("stat .", stat(".", &b));
    printf("%s\n", a.st_ino == b.st_ino ? "the same" : "another");
    say("open", fd = open("k", O_CREAT | O_WRONLY, 0600));
    close(fd);
    say("unlink", unlink("k"));
    close(dir);
}

static void of_the_image(const char *top)
{
    struct stat st;
    int fd;

    build(top, 4000, 0);
    say("stat", stat(in("file"), &st));
    text_of("read", open(in("file"), O_RDONLY));
    say("append", fd = open(in("file"), O_WRONLY | O_APPEND));
    say("write", write(fd, "+", 1));
    close(fd);
    text_of("read", open(in("file"), O_RDONLY));
    text_of("read", open(in("more"), O_RDONLY));
    say("unlink", unlink(in("more")));
    printf("%d names\n", count(open(path, O_RDONLY | O_DIRECTORY)));
}

int main(int argc, char **argv)
{
    int back;

    umask(022);
    if (argc < 2 || chdir(argv[1]) < 0)
        return 3;
    back = open(".", O_RDONLY | O_DIRECTORY);
    if (argc > 2) { /* what an image has */
        build("image", 4000, 1);
        for (int i = 0; i < 2; i++) {
            int fd = open(in(i ? "more" : "file"), O_CREAT | O_WRONLY, 0644);
            if (fd < 0 || write(fd, "of the image", 12) < 0)
                return 3;
            close(fd);
        }
        return 0;
    }
    build("made", 4080, 1);
    by_names();
    by_descriptors();
    say("fchdir", fchdir(back));
    remove_all("made");
    of_the_image("image");
    remove_all("image");
    return 0;
}
