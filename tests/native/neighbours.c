/* A program that means harm to the user's other processes, by what it shares with them: as hostile.c, one line for each
 * attempt.
 *
 *     neighbours CANARY OUTSIDE-PID TERMINAL SHARED
 *
 * TERMINAL is the controlling terminal of OUTSIDE-PID, SHARED a file in /dev/shm that somebody outside has made.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>

#include "hostile.h"

#define FAN_REPORT_FID 0x200

static void steal(long fd)
{
    fflush(stdout);
    if (fork() == 0) {
        setsid();
        say("terminal-steal", g(SYS_ioctl, fd, TIOCSCTTY, 0, 0));
        say("terminal-steal-and-push", g(SYS_ioctl, fd, TIOCSTI, (long)"x", 0));
        _exit(0);
    }
    wait(NULL);
}

static void terminals(const char *name)
{
    long fd = g(SYS_open, (long)name, O_RDWR | O_NOCTTY, 0, 0);

    if (fd < 0) {
        say("terminal-open", fd);
        return;
    }
    say("terminal-push", g(SYS_ioctl, fd, TIOCSTI, (long)"x", 0));
    say("terminal-console", g(SYS_ioctl, fd, TIOCCONS, 0, 0));
    steal(fd);
    say("terminal-write", g(SYS_write, fd, (long)"written\n", 8, 0));
    close((int)fd);
}

static void memory(long pid)
{
    struct { uint32_t type, size; uint64_t config, period, sample, format, flags, more[2]; } attr = {
        1 /* software */, 64, .flags = 1 << 5 /* exclude_kernel */};
    unsigned long nodes[16] = {1};
    void *page = (void *)0x400000, *head;
    size_t bytes;
    int status = 0;

    say("outside-move-pages", gate(SYS_move_pages, pid, 1, (long)&page, 0, (long)&status, 2));
    say("outside-migrate-pages", g(SYS_migrate_pages, pid, 8 * sizeof nodes, (long)nodes, (long)nodes));
    say("outside-robust-list", g(SYS_get_robust_list, pid, (long)&head, (long)&bytes, 0));
    say("outside-perf", gate(SYS_perf_event_open, (long)&attr, pid, -1, -1, 0, 0));
    say("fanotify", g(SYS_fanotify_init, FAN_REPORT_FID, 0, 0, 0));
    say("user-faults-of-the-kernel", g(SYS_userfaultfd, O_CLOEXEC, 0, 0, 0));
    say("user-faults-device", g(SYS_open, (long)"/dev/userfaultfd", O_RDWR, 0, 0));
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    find_gate();
    canary = argv[1];
    memory(atol(argv[2]));
    terminals(argv[3]);
    say("shared-memory", read_secret(g(SYS_open, (long)argv[4], O_RDWR, 0, 0)));
    puts("done");
    return 0;
}
