/* What the trap engine needs from an architecture (docs/adding-an-architecture.md). One folder for each: x86_64/,
 * aarch64/. All other files of the engine are the same everywhere.
 *
 * context.h, which this header includes:
 *     struct rl_ucontext        the kernel's signal frame, with `sigmask`
 *     rl_reg_*()                places of the registers in it: instruction and stack pointer, number, arguments, result
 *     rl_here()                 the stack pointer
 *     RL_MACHINE, RL_ELF_MACHINE, RL_AUDIT_ARCH, RL_OLD_CALLS
 *     RL_PAGE, RL_PAGE_MAX      bytes of a page here, and the most that they can be: alignment of the engine's data
 *     rl_arch_init()            reads the kernel's auxiliary vector
 *     RL_PROGRAM_END            above the highest address that a program can have
 *     rl_pie_base(), RL_PIE_RANDOM_PAGES   where the kernel would put a position-independent program
 *     RL_SITE_BYTES, RL_RET     length of the system call instruction, and the bytes of a return
 *     RL_RED_ZONE               bytes below the stack pointer that belong to the program
 *     struct rl_resume_frame, rl_resume_frame_fill()   what the gate's routines restore (call/resume.c)
 *     RL_AGAIN(), RL_SITE_AGAIN()                      how a call is made once more
 * gate.S:
 *     rl_gate_start … rl_gate_end with rl_sys(), rl_restorer, rl_gate_call, rl_gate_then, rl_gate_accept, rl_gate_many;
 *     rl_sigsys_entry, rl_fault_entry, rl_copy_raw(), rl_copy_text(), rl_enter(), _start
 * patch_entry.S, patch_site.c:
 *     rl_patch_entry, rl_patch_read_site(), rl_patch_find_exec(), rl_patch_can_write(), rl_patch_write_stub(),
 *     rl_patch_write_jump(); in context.h RL_REACH, RL_STEP, RL_STUB_BYTES and rl_code_protection() for call/stubs.c
 * oldcalls.h:
 *     the rows of table/syscalls.c for calls that other architectures do not have
 */
#ifndef RL_ARCH_H
#define RL_ARCH_H

#if defined(__x86_64__)
#include "x86_64/context.h"
#elif defined(__aarch64__)
#include "aarch64/context.h"
#else
#error "rootlay runs on x86_64 and aarch64: see docs/adding-an-architecture.md"
#endif

#endif
