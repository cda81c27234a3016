/* The layout of the kernel's signal frame and the system call convention (x86_64). */
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

#define RL_SITE_BYTES 2 /* length of `syscall`; the saved instruction pointer is after it */
#define RL_RED_ZONE 128
#define RL_RET_OPCODE 0xc3

/* The frame that rl_gate_call, rl_gate_then, rl_gate_accept and rl_gate_many pop. */
struct rl_resume_frame {
    u64 arg[6];
    u64 ip;
    u64 sp;
    u64 result, then; /* rl_gate_then: on success, its result and the return address */
};

#define RL_ELF_MACHINE 62 /* EM_X86_64 */
#define RL_AUDIT_ARCH 0xc000003eu
#define RL_PIE_BASE 0x555555554000ull
#define RL_PIE_RANDOM_PAGES 0xfffffffull /* 28 bits, as the kernel's default */

#endif
