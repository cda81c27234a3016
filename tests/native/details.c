/* What a program can notice of small things: one line each. The test compares a run inside with one outside.
 *
 *     details SECTION…      in the current directory, which is empty and writable
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "details.h"

void say(const char *what, long r)
{
    if (r < 0)
        printf("%s: %s\n", what, strerrorname_np(errno));
    else
        printf("%s: %ld\n", what, r);
}

void sayok(const char *what, long r) { say(what, r < 0 ? r : 0); }

int put(const char *path, const char *text, int mode)
{
    int f = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    (void)!write(f, text, strlen(text));
    fchmod(f, mode);
    return close(f);
}

void mode_of(const char *what, const char *path)
{
    struct stat st;

    if (lstat(path, &st) < 0)
        say(what, -1);
    else
        printf("%s: mode %o size %ld links %ld\n", what, st.st_mode, (long)st.st_size, (long)st.st_nlink);
}

static const struct {
    const char *name;
    void (*run)(void);
} sections[] = {{"opath", opath}, {"tmpfiles", tmpfiles}, {"setgids", setgids}, {"samevalue", samevalue},
                {"sizes", sizes}, {"busy", busy}, {"wait", waits}, {"queues", queues}, {"status", status},
                {"race", race}, {"sigsys", sigsys}, {"locked", locked}, {"openat2s", openat2s},
                {"statxs", statxs}, {"binds", binds}, {"groups", groups}, {"times", times}, {"foreign", foreign}};

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    umask(022);
    for (int i = 1; i < argc; i++)
        for (unsigned k = 0; k < sizeof sections / sizeof *sections; k++)
            if (!strcmp(argv[i], sections[k].name))
                sections[k].run();
    return 0;
}
