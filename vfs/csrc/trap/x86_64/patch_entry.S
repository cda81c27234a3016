/* Entry from the stub of a patched call site (patch_site.c), and the return to it (x86_64).
 *
 * On entry: rax = number, rcx = address after the site's `syscall`, r11 = dead, the rest the program's. As after a real
 * `syscall`, all registers but rax, rcx and r11 are unchanged.
 *
 * 1. The entry skips the red zone of the program's stack and uses a few words below it; C code uses that stack only as
 *    deep as patch.c says.
 * 2. A call that needs more than the fast path runs on a slot's stack with signals blocked, as in the SIGSYS handler.
 */
    .text
    .globl rl_patch_entry
    .type rl_patch_entry, @function
rl_patch_entry:
    lea -128(%rsp), %rsp
    push %rcx                 /* struct rl_patched, from its end */
    push %r9
    push %r8
    push %r10
    push %rdx
    push %rsi
    push %rdi
    push %rax
    push %rbx
    push %rbp
    mov %rsp, %rbp
    lea 16(%rsp), %rbx
    and $-16, %rsp
    cld
    mov %rbx, %rdi
    call rl_patch_quick       /* 1: the result is in place */
    test %eax, %eax
    jz 2f
1:  mov %rbp, %rsp
    pop %rbp
    pop %rbx
    pop %rax
    pop %rdi
    pop %rsi
    pop %rdx
    pop %r10
    pop %r8
    pop %r9
    pop %rcx
    lea 128(%rsp), %rsp
    jmp *%rcx
2:  push %r12
    push %r13
    sub $16, %rsp             /* the signal mask to restore */
    mov %rsp, %r13
    mov %r13, %rdi
    call rl_patch_begin       /* struct rl_slot * */
    mov %rax, %r12
    lea rl_slot_bytes(%rip), %rdx
    add (%rdx), %rax
    mov %rax, %rsp
    mov %rbx, %rdi
    mov %r13, %rsi
    mov %r12, %rdx
    call rl_patch_slow
    mov %r13, %rsp
    mov %r12, %rdi
    mov %r13, %rsi
    call rl_patch_end
    add $16, %rsp
    pop %r13
    pop %r12
    jmp 1b
    .section .note.GNU-stack, "", @progbits
