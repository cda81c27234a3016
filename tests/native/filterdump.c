/* The filter as the engine builds it, as raw `struct sock_filter`s on standard output, and the two addresses of the gate on
 * standard error. Linked with filter.c, checks.c and syscalls.c, whose handlers it has no use for.
 *
 *     filterdump FLAGS       the launch file's
 */
#include "trap/engine.h" /* before the C library, which takes the kernel's names of file types away */
#include "trap/table/syscalls.h"

#include <linux/filter.h>
#include <stdio.h>
#include <stdlib.h>

static struct rl_launch launch;
const struct rl_launch *rl_launch = &launch;
#ifdef __aarch64__
u64 rl_page = 4096;
#endif
__asm__(".data\n.globl rl_gate_start, rl_gate_end\nrl_gate_start: .skip 64\nrl_gate_end:\n.text");

u64 rl_pass_start(void) { return 0x700000001000; }
u64 rl_pass_end(void) { return 0x700000002000; }

long rl_sys(long nr, long a, long b, long c, long d, long e, long f)
{
    const struct sock_fprog *program = (const void *)c;

    (void)a, (void)b, (void)d, (void)e, (void)f;
    if (nr == __NR_seccomp)
        fwrite(program->filter, sizeof *program->filter, program->len, stdout);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    launch.flags = (u32)atoi(argv[1]);
    fprintf(stderr, "%lu %lu\n", (unsigned long)rl_gate_start, (unsigned long)rl_gate_end);
    return (int)rl_filter_install();
}
