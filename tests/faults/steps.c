/* A program that changes its container in many steps of one process: removals that are noted until it syncs, moves a
 * directory or ends; and copies of files that two processes make at once. It ignores errors of the disk. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static int failed;

static void check(int r)
{
    failed |= r < 0;
}

static void add(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    check(fd);
    if (fd >= 0) {
        check((int)write(fd, text, 2));
        close(fd);
    }
}

static void sync_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    check(fd);
    check(fsync(fd));
    close(fd);
}

int main(void)
{
    check(unlink("/usr/share/doc/one/readme"));
    check(rmdir("/usr/share/doc/one"));
    sync_directory("/usr/share/doc");
    check(unlink("/usr/share/doc/two/readme"));
    check(rename("/usr/share/doc", "/usr/share/docs"));
    check(unlink("/script"));
    check(rename("/etc/link", "/script"));
    for (int i = 0; i < 2; i++)
        if (fork() == 0) {
            add("/etc/motd", i ? "b\n" : "a\n");
            add("/etc/group", i ? "b\n" : "a\n");
            _exit(failed);
        }
    while (wait(NULL) > 0)
        ;
    check(unlink("/etc/group"));
    check(unlink("/etc/out"));
    return failed;
}
