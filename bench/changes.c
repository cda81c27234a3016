/* Make empty files in a container, for bench/memory.py.
 *
 *     changes FILES EACH        /new/0/f0, /new/0/f1, ..., EACH in a directory
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    long files = argc > 1 ? atol(argv[1]) : 0, each = argc > 2 ? atol(argv[2]) : 1000;
    char path[64];
    mkdir("/new", 0755);
    for (long file = 0; file < files; file++) {
        if (file % each == 0) {
            snprintf(path, sizeof path, "/new/%ld", file / each);
            mkdir(path, 0755);
        }
        snprintf(path, sizeof path, "/new/%ld/f%ld", file / each, file);
        int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0644);
        if (fd < 0) {
            perror(path);
            return 1;
        }
        close(fd);
    }
    return 0;
}
