/* The layout of the kernel's signal frame and the system call convention (x86_64). What each name is: ../arch.h. */
#ifndef RL_X86_64_CONTEXT_H
#define RL_X86_64_CONTEXT_H

#include "../../../../store/csrc/abi.h"

enum rl_reg {
    RL_R8, RL_R9, RL_R10, RL_R11, RL_R12, RL_R13, RL_R14, RL_R15, RL_RDI, RL_RSI, RL_RBP, RL_RBX,
    RL_RDX, RL_RAX, RL_RCX, RL_RSP, RL_RIP, RL_EFLAGS
};

/* struct ucontext of the kernel (arch/x86/include/uapi/asm/sigcontext.h). */
struct rl_ucontext {
    u64 flags;
    u64 link;
    u64 stack[3];
    u64 reg[23];
    u64 fpstate;
    u64 reserved[8];
    u64 sigmask;
};

static inline u64 *rl_reg_ip(struct rl_ucontext *uc) { return &uc->reg[RL_RIP]; }
static inline u64 *rl_reg_sp(struct rl_ucontext *uc) { return &uc->reg[RL_RSP]; }
static inline u64 *rl_reg_nr(struct rl_ucontext *uc) { return &uc->reg[RL_RAX]; }
static inline u64 *rl_reg_result(struct rl_ucontext *uc) { return &uc->reg[RL_RAX]; }
static inline u64 *rl_reg_arg(struct rl_ucontext *uc, u32 i)
{
    static const u8 where[6] = {RL_RDI, RL_RSI, RL_RDX, RL_R10, RL_R8, RL_R9};

    return &uc->reg[where[i]];
}
static inline u64 rl_here(void)
{
    u64 sp;

    __asm__("mov %%rsp, %0" : "=r"(sp));
    return sp;
}

#define RL_MACHINE "x86_64"
#define RL_ELF_MACHINE 62 /* EM_X86_64 */
#define RL_AUDIT_ARCH 0xc000003eu
#define RL_OLD_CALLS "../x86_64/oldcalls.h"

#define RL_PAGE 4096ull
#define RL_PAGE_MAX 4096
#define RL_PROGRAM_END (1ull << 47) /* by a page or more; above it: [vsyscall] */
#define RL_PIE_RANDOM_PAGES 0xfffffffull /* 28 bits, as the kernel's default */
static inline u64 rl_pie_base(u64 stack)
{
    (void)stack;
    return 0x555555554000ull;
}

static inline void rl_arch_init(const u64 *auxv) { (void)auxv; }
static inline int rl_code_protection(u64 page)
{
    (void)page;
    return 5; /* PROT_READ | PROT_EXEC */
}

#define RL_REACH 0x7fff0000ll /* of a 32-bit jump, less an area */
#define RL_STEP 0x2000000ll   /* between tries for a free place */
#define RL_STUB_BYTES 64u

#define RL_SITE_BYTES 2 /* length of `syscall`; the saved instruction pointer is after it */
#define RL_RED_ZONE 128
#define RL_RET "\xc3"

/* The frame that rl_gate_call, rl_gate_then, rl_gate_accept and rl_gate_many pop. */
struct rl_resume_frame {
    u64 arg[6];
    u64 ip;
    u64 sp;
    u64 result, then; /* rl_gate_then: on success, its result and the return address */
};

static inline void rl_resume_frame_fill(struct rl_resume_frame *f, struct rl_ucontext *uc, u64 result, u64 then)
{
    for (u32 i = 0; i < 6; i++)
        f->arg[i] = *rl_reg_arg(uc, i);
    f->ip = *rl_reg_ip(uc);
    f->sp = *rl_reg_sp(uc);
    f->result = result;
    f->then = then;
}

/* The register of the result, for the call to be made once more. */
#define RL_AGAIN(c) ((u64)(c)->nr)
/* The return address of a patched call, for it to be made by its own `syscall`. */
#define RL_SITE_AGAIN(ip) ((ip) - RL_SITE_BYTES)

#endif
