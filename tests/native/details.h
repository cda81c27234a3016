/* What the parts of the program `details` share: its sections, and how they print what they notice. */
#ifndef DETAILS_H
#define DETAILS_H

#include <errno.h>
#include <stdio.h>
#include <string.h>

void say(const char *what, long r);   /* the result of a call, or its error */
void sayok(const char *what, long r); /* the same, without the number */
int put(const char *path, const char *text, int mode);
void mode_of(const char *what, const char *path);

void opath(void);
void tmpfiles(void);
void setgids(void);
void samevalue(void);
void sizes(void);
void busy(void);
void waits(void);
void queues(void);
void status(void);
void race(void);
void sigsys(void);
void locked(void);
void openat2s(void);
void statxs(void);
void binds(void);
void groups(void);
void times(void);
void foreign(void);

#endif
