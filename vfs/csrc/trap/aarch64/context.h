/* The layout of the kernel's signal frame and the system call convention (aarch64). What each name is: ../arch.h. */
#ifndef RL_AARCH64_CONTEXT_H
#define RL_AARCH64_CONTEXT_H

#include "../../../../store/csrc/abi.h"

/* struct fpsimd_context of the kernel (arch/arm64/include/uapi/asm/sigcontext.h). Always the first of its records. */
struct rl_fpsimd {
    u32 magic, size;
    u32 status, control;
    u64 v[64];
};
#define RL_FPSIMD_MAGIC 0x46508001u

/* struct ucontext of the kernel, up to the records that follow the registers. */
struct rl_ucontext {
    u64 flags;
    u64 link;
    u64 stack[3]; /* address, flags, size */
    u64 sigmask;
    u64 unused[16];
    u64 fault_address;
    u64 reg[31];
    u64 sp;
    u64 ip;
    u64 pstate;
    u64 records[] __attribute__((aligned(16)));
};
_Static_assert(__builtin_offsetof(struct rl_ucontext, reg) == 184 && __builtin_offsetof(struct rl_ucontext, records) == 464,
               "the kernel's structure");

#define RL_NUMBER_REG 8
static inline u64 *rl_reg_ip(struct rl_ucontext *uc) { return &uc->ip; }
static inline u64 *rl_reg_sp(struct rl_ucontext *uc) { return &uc->sp; }
static inline u64 *rl_reg_nr(struct rl_ucontext *uc) { return &uc->reg[RL_NUMBER_REG]; }
static inline u64 *rl_reg_result(struct rl_ucontext *uc) { return &uc->reg[0]; }
static inline u64 *rl_reg_arg(struct rl_ucontext *uc, u32 i) { return &uc->reg[i]; }
static inline u64 rl_here(void)
{
    u64 sp;

    __asm__("mov %0, sp" : "=r"(sp));
    return sp;
}

#define RL_MACHINE "aarch64"
#define RL_ELF_MACHINE 183 /* EM_AARCH64 */
#define RL_AUDIT_ARCH 0xc00000b7u
#define RL_OLD_CALLS "../aarch64/oldcalls.h"

extern u64 rl_page; /* pages.c */
#define RL_PAGE rl_page
#define RL_PAGE_MAX 65536
#define RL_PROGRAM_END (1ull << 48) /* higher ones only for a program that asks the kernel for them */

/* As in the kernel: at two thirds of the address space, whose size (36 to 48 bits) the stack shows. A smaller one leaves
 * less room for chance. */
#define RL_PIE_RANDOM_PAGES 0x3ffffull
static inline u64 rl_pie_base(u64 stack)
{
    u64 end = 1ull << (64 - __builtin_clzll(stack));

    return (end / 3 * 2) & ~(RL_PAGE_MAX - 1ull);
}

void rl_arch_init(const u64 *auxv);
int rl_code_protection(u64 page);

#define RL_REACH 0x7ff0000ll /* of a branch, less an area */
#define RL_STEP 0x200000ll   /* between tries for a free place */
#define RL_STUB_BYTES 64u

#define RL_SITE_BYTES 4 /* length of `svc`; the saved instruction pointer is after it */
#define RL_RED_ZONE 0
#define RL_RET "\xc0\x03\x5f\xd6"

/* A signal frame, of which rt_sigreturn restores all registers: without one no instruction could jump to the program
 * and leave each of them alone. The upper parts of the vector registers (SVE) are lost in every system call. */
struct rl_resume_frame {
    u64 info[16];
    union {
        struct rl_ucontext uc;
        u8 room[464];
    };
    struct rl_fpsimd fpsimd;
    u64 end[2]; /* of the records */
    u64 result, then; /* rl_gate_then: on success, its result and the return address */
} __attribute__((aligned(16)));

#define RL_SS_INVALID 0xffu /* the kernel then leaves the alternate stack as it is */

_Static_assert(__builtin_offsetof(struct rl_resume_frame, uc.sigmask) == 168 &&
               __builtin_offsetof(struct rl_resume_frame, uc.reg) == 312 && __builtin_offsetof(struct rl_resume_frame, uc.ip) == 568 &&
               __builtin_offsetof(struct rl_resume_frame, result) == 1136, "gate.S");

static inline void rl_resume_frame_fill(struct rl_resume_frame *f, struct rl_ucontext *uc, u64 result, u64 then)
{
    const struct rl_fpsimd *v = (const struct rl_fpsimd *)uc->records;

    __builtin_memset(f, 0, sizeof *f);
    __builtin_memcpy(&f->uc, uc, sizeof *uc);
    f->uc.flags = f->uc.link = 0;
    f->uc.stack[1] = RL_SS_INVALID;
    if (v->magic == RL_FPSIMD_MAGIC)
        f->fpsimd = *v;
    f->result = result;
    f->then = then;
}

/* The register of the result, for the call to be made once more: it is its first argument's, too. */
#define RL_AGAIN(c) ((c)->arg[0])
/* Where a stub goes on for a call that its site's own instruction must make (patch_site.c). */
#define RL_SITE_AGAIN(ip) ((ip) + 8)

#endif
