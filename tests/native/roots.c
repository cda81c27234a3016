/* chroot, from all sides: what happens is printed, for test_roots.py to compare with the same in a plain directory.
 * In an empty directory; needs user 0 (of a namespace). */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define SAY(call) say(#call, (long)(call))

static struct stat st;
static int top, proc;

static void say(const char *call, long r)
{
    printf("  %s: %s\n", call, r < 0 ? strerrorname_np(errno) : "ok");
}

/* EAGAIN: something on this machine was renamed during a `..` */
static long openat2(int dir, const char *path, struct open_how *how)
{
    long fd;

    do
        fd = syscall(SYS_openat2, dir, path, how, sizeof *how);
    while (fd < 0 && errno == EAGAIN);
    return fd;
}

static void text(const char *path)
{
    char buf[64] = "";
    int fd = open(path, O_RDONLY);
    long n = fd < 0 ? -errno : read(fd, buf, sizeof buf - 1);

    close(fd);
    printf("  read %s: %ld %s\n", path, n, buf);
}

static void where(void)
{
    char buf[4096];
    long n = syscall(SYS_getcwd, buf, sizeof buf);

    printf("  cwd: %s\n", n < 0 ? strerrorname_np(errno) : strncmp(buf, "(unreachable)/", 14) ? buf : "(unreachable)");
}

static void link_of(int dir, const char *path)
{
    char buf[4096];
    long n = readlinkat(dir, path, buf, sizeof buf);

    printf("  readlink %s: %.*s\n", path, n < 0 ? 0 : (int)n, buf);
}

static void make(const char *path, const char *content, mode_t mode)
{
    int fd = open(path, O_CREAT | O_WRONLY, mode);

    if (write(fd, content, strlen(content)) < 0)
        perror(path);
    close(fd);
}

static void tree(const char *self)
{
    char buf[65536];
    long n;

    mkdir("box", 0755), mkdir("box/etc", 0755), mkdir("box/bin", 0755), mkdir("box/sub", 0755), mkdir("box/sub/deep", 0755);
    mkdir("etc", 0755);
    make("etc/file", "outer", 0644);
    make("box/etc/file", "inner", 0644);
    make("box/bin/script", "#!/bin/self again\n", 0755);
    (void)!symlink("/etc/file", "box/link");
    (void)!symlink("../../../../etc/file", "box/sub/up");
    (void)!symlink("/", "box/sub/top");
    (void)!symlink("/box", "outer-link");
    int from = open(self, O_RDONLY), to = open("box/bin/self", O_CREAT | O_WRONLY, 0755);
    while ((n = read(from, buf, sizeof buf)) > 0)
        if (write(to, buf, n) != n)
            exit(1);
    close(from), close(to);
}

/* ---- in the box, the working directory still outside ----------------------------------------------- */

static void names(void)
{
    text("/etc/file"), text("/link"), text("/sub/up"), text("/sub/top/etc/file"), text("/../../etc/file");
    text("etc/file"), text("box/etc/file"), text("box/link");
    where();
    SAY(chdir("/")), where(), text("etc/file"), text("../../etc/file");
    SAY(chdir("sub/deep")), where(), text("../../link"), text("../../../../../etc/file");
    SAY(chdir("../../../..")), where();
    SAY(stat("..", &st));
    ino_t up = st.st_ino;
    SAY(stat("/", &st));
    printf("  .. is /: %d\n", up == st.st_ino);
    SAY(chdir("/sub/top")), where();
    SAY(access("/etc/file", R_OK)), SAY(access("/outer", F_OK));
    struct statfs fs;
    SAY(statfs("/sub", &fs));
    struct open_how how = {.flags = O_PATH, .resolve = RESOLVE_IN_ROOT};
    int sub = open("/sub", O_PATH);
    SAY(openat2(sub, "/deep/../../..", &how));
    SAY(openat2(sub, "/etc", &how));
    SAY(openat2(sub, "up", &how));
    how.resolve = RESOLVE_BENEATH;
    SAY(openat2(sub, "deep/..", &how));
    SAY(openat2(sub, "..", &how));
    SAY(faccessat(sub, "../etc/file", R_OK, 0)), SAY(faccessat(sub, "../../../etc/file", R_OK, 0));
}

static int dot_less(const struct dirent *d) { return d->d_name[0] != '.'; }

static void changes(void)
{
    SAY(mkdir("/d", 0755)), SAY(mkdir("/", 0755)), SAY(rmdir("/")), SAY(rmdir("/sub/..")), SAY(unlink("/"));
    SAY(rename("/", "/x")), SAY(rename("/etc", "/")), SAY(open("/", O_CREAT | O_WRONLY, 0600));
    SAY(close(open("/new", O_CREAT | O_WRONLY, 0600))), SAY(rename("/new", "/d/moved")), SAY(link("/d/moved", "/second"));
    SAY(symlink("/d/moved", "/third")), SAY(truncate("/third", 5)), SAY(stat("/second", &st));
    printf("  size %ld links %ld\n", (long)st.st_size, (long)st.st_nlink);
    SAY(chmod("/third", 0640)), SAY(mknod("/fifo", S_IFIFO | 0600, 0)), SAY(unlink("/fifo"));
    struct dirent **list;
    int n = scandir("/", &list, dot_less, alphasort);
    for (int i = 0; i < n; i++)
        printf("  in /: %s\n", list[i]->d_name);
    SAY(chdir("/d")), SAY(rmdir("/d")), SAY(rename("/d/moved", "/d/more"));
}

static void processes(void)
{
    SAY(chdir("/sub"));
    int status, in = open("/etc/file", O_RDONLY), out = openat(top, "etc/file", O_RDONLY);
    link_of(proc, "self/root"), link_of(proc, "self/cwd"), link_of(proc, "self/exe");
    char name[32], buf[8] = "";
    sprintf(name, "self/fd/%d", in);
    link_of(proc, name);
    sprintf(name, "self/fd/%d", out);
    int again = openat(proc, name, O_RDONLY);
    SAY(read(again, buf, 5));
    printf("  through the link: %s\n", buf);
    SAY(faccessat(proc, "self/root/etc/file", R_OK, 0)), SAY(faccessat(proc, "self/cwd/deep", F_OK, 0));
    for (int i = 0; i < 3; i++) {
        fflush(stdout);
        if (fork() == 0) {
            if (i < 2)
                execl(i ? "/bin/script" : "/bin/self", i ? "script" : "self", "again", (char *)NULL);
            execl("../bin/self", "self", "again", (char *)NULL);
            _exit(9);
        }
        wait(&status);
        printf("  exit %d\n", WEXITSTATUS(status));
    }
}

static void sockets(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "/sock"}, b;
    socklen_t n = sizeof b;
    int server = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);

    SAY(bind(server, (void *)&a, sizeof a)), SAY(listen(server, 5)), SAY(connect(client, (void *)&a, sizeof a));
    SAY(getsockname(server, (void *)&b, &n));
    printf("  its name: %s\n", b.sun_path);
    n = sizeof b;
    SAY(getpeername(client, (void *)&b, &n));
    printf("  its peer: %s\n", b.sun_path);
    SAY(fchdir(top));
    strcpy(a.sun_path, "box/sock");
    client = socket(AF_UNIX, SOCK_STREAM, 0);
    SAY(connect(client, (void *)&a, sizeof a));
}

static void nested(void)
{
    SAY(chroot("/sub")), SAY(chdir("/")), where(), SAY(access("/deep", F_OK)), SAY(access("/../etc", F_OK));
    text("/up"), SAY(chroot("top")), text("/up"), SAY(chroot("/deep")), SAY(chdir("..")), where(), SAY(access("/deep", F_OK));
}

static void left(void)
{
    SAY(fchdir(top)), where(), text("etc/file"), text("box/link"), SAY(access("../../..", F_OK));
    SAY(chroot(".")), where(), text("/etc/file"), SAY(chdir("box")), where(), SAY(chroot("..")), text("/box/etc/file");
}

static void errors(void)
{
    char name[300];

    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = 0;
    SAY(chroot("/none")), SAY(chroot("/etc/file")), SAY(chroot("/etc/file/x")), SAY(chroot("")), SAY(chroot(name));
    SAY(chroot((char *)8)), SAY(symlink("loop", "/loop")), SAY(chroot("/loop")), SAY(chroot("/sub/top")), text("/etc/file");
}

static void of_a_vfork_child_alone(void)
{
    for (volatile int i = 0; i < 2; i++) {
        pid_t p = vfork();
        if (p == 0) {
            syscall(SYS_chroot, "/sub");
            if (i)
                execl("/none", "none", (char *)NULL);
            _exit(0);
        }
        waitpid(p, NULL, 0);
        SAY(access("/etc/file", F_OK));
    }
}

#define EACH(f) {#f, f}
static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {EACH(names), EACH(changes), EACH(processes), EACH(sockets), EACH(nested), EACH(left), EACH(errors),
             EACH(of_a_vfork_child_alone)};

int main(int argc, char **argv)
{
    int status;

    if (argc > 1) { /* executed in the box */
        where(), text("/etc/file"), text("../link"), SAY(access("/sub/deep", F_OK)), SAY(getuid());
        printf("  words: %d %s\n", argc, argv[1]);
        return 7;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    tree(argv[0]);
    top = open(".", O_RDONLY | O_DIRECTORY);
    proc = open("/proc", O_RDONLY | O_DIRECTORY);
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        printf("%s\n", cases[i].name);
        fflush(stdout);
        if (fork() == 0) {
            SAY(chroot("box"));
            cases[i].run();
            exit(0);
        }
        wait(&status);
        printf("  ended %d\n", status);
    }
    SAY(access("box/d/more", F_OK)), SAY(readlink("box/third", (char[8]){0}, 8)), text("etc/file");
    return 0;
}
