/* Patched call sites: what patch.c and the architecture's part share. */
#ifndef RL_PATCH_H
#define RL_PATCH_H

#include "engine.h"
#include "syscalls.h"

/* A call that came by way of a stub, as x86_64/patch_entry.S lays it down. The result replaces nr. */
struct rl_patched {
    u64 nr;
    u64 arg[6];
    u64 ip; /* where the program goes on */
};

struct rl_site {
    u64 at; /* of the instruction to replace */
    u8 old[5];
    u8 shared; /* the number comes from elsewhere: other calls use this site, too */
};

/* Bit nr: a shared site may send this call to the stub. */
extern u64 rl_patch_map[RL_SYSCALL_LIMIT / 64];

/* The site whose call has returned to `ip`: 1 when it has a form that can be patched. */
int rl_patch_read_site(struct rl_call *c, u64 ip, u64 nr, u64 sp, struct rl_site *site);
void rl_patch_write_site(const struct rl_site *site);

/* fastpath.c: the call without a slot. RL_MISS: not this way. */
long rl_fast(const struct rl_patched *p);

#endif
