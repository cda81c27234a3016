/* Patched call sites: declarations shared by patch.c and the architecture's part. */
#ifndef RL_PATCH_H
#define RL_PATCH_H

#include "../engine.h"
#include "../table/syscalls.h"

/* A call through a stub, in the layout of patch_entry.S. The result replaces nr. */
struct rl_patched {
    u64 nr;
    u64 arg[6];
    u64 ip; /* the program's return address */
};

struct rl_site {
    u64 at; /* of the instruction to replace */
    u8 old[5];
    u8 shared; /* the number is not in the site: other calls use this site, too */
    u8 itself; /* aarch64: it is the call's own */
};

/* Bit nr: a shared site may send this call to the stub. */
extern u64 rl_patch_map[RL_SYSCALL_LIMIT / 64];

/* The site whose call has returned to `ip`: 1 if it has a form that can be patched. */
int rl_patch_read_site(struct rl_call *c, u64 ip, u64 nr, u64 sp, struct rl_site *site);
int rl_patch_can_write(const struct rl_site *site);
void rl_patch_write_stub(u8 *to, const struct rl_site *site);
void rl_patch_write_jump(const struct rl_site *site, const u8 *stub);
/* The return address of the first call of execve whose number is set in the site or (aarch64) a few instructions before
 * it, in a page of code; 0: none. */
u64 rl_patch_find_exec(const u8 *code, u64 page);

/* stubs.c */
void rl_patch_write_site(const struct rl_site *site);

/* fastpath.c: the call without a slot. RL_MISS: use a slot. */
long rl_fast(const struct rl_patched *p);

#endif
