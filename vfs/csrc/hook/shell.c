/* system() and popen(): the container's /bin/sh. libc's own would start the machine's. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "hook.h"

#define PIPES 64
#define NOT_STARTED 127 /* the shell's exit code for a missing program; POSIX makes system() return it */

extern char **environ;
int rl_h_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                     const posix_spawnattr_t *attributes, char *const argv[], char *const envp[]);

static int start_shell(const char *command, const posix_spawn_file_actions_t *actions,
                       const posix_spawnattr_t *attributes, pid_t *pid)
{
    char *const argv[] = {"sh", "-c", (char *)command, NULL};
    return rl_h_posix_spawn(pid, "/bin/sh", actions, attributes, argv, environ);
}

int rl_h_system(const char *command)
{
    RL_INSIDE(here);
    struct sigaction ignore = {.sa_handler = SIG_IGN}, interrupt, quit;
    sigset_t child, before, defaults;
    posix_spawnattr_t attributes;
    int status = NOT_STARTED << 8, error;
    pid_t pid;

    if (!here)
        return system(command);
    if (!command)
        return RL_CORE(here)->access(AT_FDCWD, "/bin/sh", X_OK, 0) == 0;
    sigaction(SIGINT, &ignore, &interrupt);
    sigaction(SIGQUIT, &ignore, &quit);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    pthread_sigmask(SIG_BLOCK, &child, &before);
    sigemptyset(&defaults);
    if (interrupt.sa_handler != SIG_IGN)
        sigaddset(&defaults, SIGINT);
    if (quit.sa_handler != SIG_IGN)
        sigaddset(&defaults, SIGQUIT);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &before);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    error = start_shell(command, NULL, &attributes, &pid);
    posix_spawnattr_destroy(&attributes);
    if (error == 0)
        while (waitpid(pid, &status, 0) < 0)
            if (errno != EINTR) {
                status = -1;
                break;
            }
    sigaction(SIGINT, &interrupt, NULL);
    sigaction(SIGQUIT, &quit, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

/* Those that popen() made. */
static struct {
    pthread_mutex_t lock; /* guards the rest */
    struct {
        FILE *file; /* NULL: free */
        pid_t pid;
    } pipes[PIPES];
} state = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int remember(FILE *file, pid_t pid)
{
    int found = -1;

    pthread_mutex_lock(&state.lock);
    for (int i = 0; i < PIPES && found < 0; i++)
        if (!state.pipes[i].file) {
            state.pipes[i].file = file;
            state.pipes[i].pid = pid;
            found = i;
        }
    pthread_mutex_unlock(&state.lock);
    return found;
}

FILE *rl_h_popen(const char *command, const char *mode)
{
    RL_INSIDE(here);
    posix_spawn_file_actions_t actions;
    int ends[2], reading, error;
    FILE *file = NULL;
    pid_t pid;

    if (!here || !command || !mode || (*mode != 'r' && *mode != 'w'))
        return popen(command, mode);
    reading = *mode == 'r';
    if (pipe2(ends, O_CLOEXEC) != 0)
        return NULL;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[reading], reading);
    error = start_shell(command, &actions, NULL, &pid);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[reading]);
    if (error == 0)
        file = fdopen(ends[!reading], mode);
    if (!file) {
        close(ends[!reading]);
        errno = error ? error : errno;
        return NULL;
    }
    if (!strchr(mode, 'e'))
        fcntl(fileno(file), F_SETFD, 0);
    remember(file, pid);
    return file;
}

int rl_h_pclose(FILE *file)
{
    int status = -1;
    pid_t pid = 0;

    pthread_mutex_lock(&state.lock);
    for (int i = 0; i < PIPES; i++)
        if (state.pipes[i].file == file) {
            pid = state.pipes[i].pid;
            state.pipes[i].file = NULL;
        }
    pthread_mutex_unlock(&state.lock);
    if (!pid)
        return pclose(file);
    fclose(file);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return status;
}
