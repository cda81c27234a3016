/* What the parts of the program `moving` share: moving.c says what it does. */
#ifndef MOVING_H
#define MOVING_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROOMS 3
#define SLOTS 3
#define PLACES (ROOMS * SLOTS)
#define NAMES 6

struct shared {
    int stop;
    long done, differences, renamed;
};
extern struct shared *all;
extern const char *root;
extern unsigned long seed;

unsigned pick(unsigned n); /* a random number below n */
void different(int place, const char *format, ...);
void place_path(char *out, const char *of, int place);

/* ---- movingrename.c ---------------------------------------------------------------------------------- */

void renamer(int me); /* until the workers have ended; exits */

/* ---- movingwork.c ------------------------------------------------------------------------------------ */

struct worker {
    int number, place, cwd; /* cwd: works by its working directory, else by `dir` */
    int dir, sockets;
    ino_t ino;
    int have[NAMES], low;
    char text[NAMES][32], id[32];
};

void worker(struct worker *w, long operations); /* exits */

#endif
