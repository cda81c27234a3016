/* system() and popen(): the container's /bin/sh. libc's own would start the machine's. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "hook.h"

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

/* A stream that popen() made. */
struct stream {
    struct stream *next;
    FILE *file;
    pid_t pid;
};

static struct {
    pthread_mutex_t lock;   /* guards the rest */
    struct stream *streams; /* the newest first */
} state = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void add(struct stream *stream)
{
    pthread_mutex_lock(&state.lock);
    stream->next = state.streams;
    state.streams = stream;
    pthread_mutex_unlock(&state.lock);
}

/* The stream is no longer in the list. NULL: popen() did not make it inside. */
static struct stream *take(const FILE *file)
{
    struct stream **at = &state.streams, *found;

    pthread_mutex_lock(&state.lock);
    while (*at && (*at)->file != file)
        at = &(*at)->next;
    found = *at;
    if (found)
        *at = found->next;
    pthread_mutex_unlock(&state.lock);
    return found;
}

/* The pipe to or from a new shell. 0 or an errno. */
static int open_stream(struct stream *stream, const char *command, const char *mode)
{
    posix_spawn_file_actions_t actions;
    int ends[2], reading = *mode == 'r', error;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return errno;
    stream->file = fdopen(ends[!reading], mode);
    if (!stream->file) {
        error = errno;
        close(ends[0]);
        close(ends[1]);
        return error;
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[reading], reading);
    error = start_shell(command, &actions, NULL, &stream->pid);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[reading]);
    if (error)
        fclose(stream->file);
    else if (!strchr(mode, 'e'))
        fcntl(fileno(stream->file), F_SETFD, 0);
    return error;
}

FILE *rl_h_popen(const char *command, const char *mode)
{
    RL_INSIDE(here);
    struct stream *stream;
    int error;

    if (!here || !command || !mode || (*mode != 'r' && *mode != 'w'))
        return popen(command, mode);
    stream = malloc(sizeof *stream);
    if (!stream)
        return NULL;
    error = open_stream(stream, command, mode);
    if (error) {
        free(stream);
        errno = error;
        return NULL;
    }
    add(stream);
    return stream->file;
}

int rl_h_pclose(FILE *file)
{
    struct stream *stream = take(file);
    int status = -1;
    pid_t pid;

    if (!stream)
        return pclose(file);
    pid = stream->pid;
    free(stream);
    fclose(file);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return status;
}
