/* Goes through everything that a container shows, links followed, reads it, and tries to write to it and beside it.
 *
 *     prober TOKEN CANARY
 *
 * Says `SECRET path` of whatever holds the token, then tries to get to the file CANARY (a path of the host) by all ways
 * that a path gives, and ends with `done`. An image of a stranger's with links to anywhere is to show nothing outside.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *token;
static int seen;

static void look(const char *path)
{
    static char buf[65536], other[5000];
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (fd >= 0) {
        ssize_t n = read(fd, buf, sizeof buf);
        if (n > 0 && memmem(buf, (size_t)n, token, strlen(token)))
            printf("SECRET %s\n", path);
        close(fd);
    }
    fd = open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY);
    if (fd >= 0) {
        (void)!write(fd, "written", 7);
        close(fd);
    }
    chmod(path, 0777);
    truncate(path, 3);
    if (snprintf(other, sizeof other, "%s.new", path) < (int)sizeof other) {
        link(path, other);
        rename(other, path);
        symlink("x", other);
    }
    if (snprintf(other, sizeof other, "%s/key", path) < (int)sizeof other) {
        fd = open(other, O_RDWR | O_CREAT | O_NONBLOCK, 0600);
        if (fd >= 0) {
            ssize_t n = read(fd, buf, sizeof buf);
            if (n > 0 && memmem(buf, (size_t)n, token, strlen(token)))
                printf("SECRET %s\n", other);
            (void)!write(fd, "written", 7);
            close(fd);
        }
    }
}

static void visit(const char *directory, int depth)
{
    static const char *const left[] = {"/proc", "/dev", "/sys", "/prober"};
    char path[5000];
    DIR *d = depth < 30 ? opendir(directory) : NULL;
    for (struct dirent *e; d && seen < 100 && (e = readdir(d));) {
        struct stat st;
        int skip = !strcmp(e->d_name, ".") || !strcmp(e->d_name, "..");
        if (snprintf(path, sizeof path, "%s/%s", directory[1] ? directory : "", e->d_name) >= (int)sizeof path)
            continue;
        for (int i = 0; i < 4; i++)
            skip |= !strcmp(path, left[i]);
        if (skip)
            continue;
        seen++;
        if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode))
            visit(path, depth + 1);
        look(path);
    }
    if (d)
        closedir(d);
}

int main(int argc, char **argv)
{
    static char path[5000];
    if (argc != 3)
        return 2;
    token = argv[1];
    visit("/", 0);
    look(argv[2]);
    for (int up = 1; up < 30; up++) {
        path[0] = 0;
        for (int i = 0; i < up; i++)
            strcat(path, "../");
        strcat(path, argv[2] + 1);
        look(path);
    }
    puts("done");
    return 0;
}
