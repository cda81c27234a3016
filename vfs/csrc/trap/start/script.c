/* `#!` as the kernel reads it (fs/binfmt_script.c): within the first 256 bytes, one interpreter and
 * at most one argument, which is the whole rest of the line. */
#include "../engine.h"

static int blank(char ch) { return ch == ' ' || ch == '\t'; }

long rl_script_parse(char *head, long n, char **interp, char **arg)
{
    char *end = head + n, *newline = head, *p = head + 2;

    if (n < 2 || head[0] != '#' || head[1] != '!')
        return -ENOEXEC;
    while (newline < end && *newline != '\n' && *newline)
        newline++;
    while (p < newline && blank(*p))
        p++;
    if (p == newline)
        return -ENOEXEC;
    *interp = p;
    while (p < newline && !blank(*p))
        p++;
    if (p == newline && newline == head + RL_SCRIPT_HEAD)
        return -ENOEXEC; /* the path may continue after the bytes that were read */
    *arg = NULL;
    if (p < newline) {
        char *q = p, *last = newline;

        while (q < newline && blank(*q))
            q++;
        while (last > q && blank(last[-1]))
            last--;
        if (q < last) {
            *arg = q;
            newline = last;
        }
        *p = 0;
    }
    *newline = 0; /* head has one byte more than RL_SCRIPT_HEAD */
    return 0;
}
