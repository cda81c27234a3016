/* Access to the program's memory, like copy_from_user: a bad pointer is EFAULT, never the end of the process.
 *
 * The copy routines (gate.S) fault like any code; fault.c recognises their addresses and makes them return
 * -EFAULT. That is free if there is no fault, while process_vm_readv costs a system call each time. While copying, the
 * stack pointer is the one at which the kernel delivered SIGSYS: so the frame of the fault is put below the SIGSYS
 * frame. From the slot's stack the kernel would believe the alternate signal stack to be free and overwrite what is on
 * it.
 */
#include "../engine.h"

long rl_user_read(struct rl_call *c, void *to, u64 from, size_t n)
{
    return n ? rl_copy_raw(to, (const void *)from, n, c->stack) : 0;
}

long rl_user_write(struct rl_call *c, u64 to, const void *from, size_t n)
{
    return n ? rl_copy_raw((void *)to, from, n, c->stack) : 0;
}

long rl_user_text(struct rl_call *c, char *to, u64 from, size_t size, long too_long)
{
    long n = rl_copy_text(to, (const char *)from, size, c->stack);

    return n == (long)size ? too_long : n;
}
