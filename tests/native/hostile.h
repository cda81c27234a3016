/* What programs that mean harm share: the engine's gate, found by its code, and the line for each attempt. */
#ifndef HOSTILE_H
#define HOSTILE_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef long (*gate_function)(long nr, long a, long b, long c, long d, long e, long f);
static gate_function gate;
static const char *canary;
static char text[4400] __attribute__((unused));

static void say(const char *name, long r)
{
    if (r < 0)
        printf("%s held %ld\n", name, -r);
    else
        printf("%s reached\n", name);
    fflush(stdout);
}

static inline long result(long r) { return r < 0 ? -errno : r; }

/* rl_sys of the engine, found by its code: mov %rdi,%rax; mov %rsi,%rdi … syscall; ret. */
static void find_gate(void)
{
    static const uint8_t head[] = {0x48, 0x89, 0xf8, 0x48, 0x89, 0xf7};
    FILE *maps = fopen("/proc/self/maps", "r");
    unsigned long from, to;
    char line[5000], mode[5];

    while (fgets(line, sizeof line, maps))
        if (sscanf(line, "%lx-%lx %4s", &from, &to, mode) == 3 && from >> 32 == 0x6e50 && mode[2] == 'x')
            for (uint8_t *p = (uint8_t *)from; p + 32 < (uint8_t *)to && !gate; p++)
                if (memcmp(p, head, sizeof head) == 0 && memmem(p, 32, "\x0f\x05\xc3", 3))
                    gate = (gate_function)p;
    fclose(maps);
    if (!gate) {
        puts("no gate");
        exit(3);
    }
}

static long g(long nr, long a, long b, long c, long d) { return gate(nr, a, b, c, d, 0, 0); }

/* Reading counts only when the secret was there. */
static long read_secret(long fd)
{
    char got[32] = "";
    long n = fd < 0 ? fd : read((int)fd, got, sizeof got);

    if (fd >= 0)
        close((int)fd);
    return n < 0 ? n : strncmp(got, "canary", 6) == 0 ? 0 : -ENODATA;
}

#endif
