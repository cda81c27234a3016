/* The gate: the only instructions whose system calls the filter allows unchanged, and the few parts of the engine that
 * cannot be written in C (x86_64).
 *
 * 1. Everything from rl_gate_start to rl_gate_end is the gate; filter.c compares the instruction pointer with these two
 *    addresses. The engine has no `syscall` elsewhere, except one that must trap.
 * 2. The copy routines run on the program's side of the stack switch, so that the frame of a fault is put below the
 *    SIGSYS frame and not on top of the alternate signal stack (see usermem.c).
 */
    .section .gate, "ax", @progbits
    .globl rl_gate_start
rl_gate_start:

/* long rl_sys(nr, a, b, c, d, e, f) */
    .globl rl_sys
    .type rl_sys, @function
rl_sys:
    mov %rdi, %rax
    mov %rsi, %rdi
    mov %rdx, %rsi
    mov %rcx, %rdx
    mov %r8, %r10
    mov %r9, %r8
    mov 8(%rsp), %r9
    syscall
    ret

/* Unwinders recognize this byte pattern at a signal frame's return address. */
    .globl rl_restorer
    .type rl_restorer, @function
    nop
rl_restorer:
    mov $15, %rax
    syscall

/* The argument registers, from struct rl_resume_frame at %rsp. */
    .macro ARGUMENTS_BACK
    mov 0(%rsp), %rdi
    mov 8(%rsp), %rsi
    mov 16(%rsp), %rdx
    mov 24(%rsp), %r10
    mov 32(%rsp), %r8
    mov 40(%rsp), %r9
    .endm

/* Makes a call in the program's own context (resume.c has set the registers and stored struct rl_resume_frame at %rsp),
 * restores the program's registers and returns to the instruction after its site. */
    .globl rl_gate_call
    .type rl_gate_call, @function
rl_gate_call:
    syscall
    ARGUMENTS_BACK
    mov 48(%rsp), %rcx
    mov 56(%rsp), %rsp
    jmp *%rcx

/* The same; on success it returns the frame's result to the frame's address. */
    .globl rl_gate_then
    .type rl_gate_then, @function
rl_gate_then:
    syscall
    jmp rl_gate_then_done

/* The same for accept: the address, which the program wants, is read by a call that traps. */
    .globl rl_gate_accept
    .type rl_gate_accept, @function
rl_gate_accept:
    syscall
    jmp rl_gate_accept_done

/* The same for recvmmsg: a call that traps translates the received messages. */
    .globl rl_gate_many
    .type rl_gate_many, @function
rl_gate_many:
    syscall
    jmp rl_gate_many_done
    nop
    .globl rl_gate_end
rl_gate_end:

    .text
rl_gate_then_done:
    mov 48(%rsp), %rcx
    test %rax, %rax
    js rl_gate_leave
    mov 64(%rsp), %rax
    mov 72(%rsp), %rcx
rl_gate_leave:
    ARGUMENTS_BACK
    mov 56(%rsp), %rsp
    jmp *%rcx
rl_gate_accept_done:
    test %rax, %rax
    js 1f
    mov %rax, 64(%rsp)
    mov %rax, %rdi
    mov 8(%rsp), %rsi
    mov 16(%rsp), %rdx
    mov $52, %eax             /* getpeername */
    nop                       /* no site to patch */
    syscall
    mov 64(%rsp), %rax
1:  mov 48(%rsp), %rcx
    jmp rl_gate_leave
rl_gate_many_done:
    test %rax, %rax
    jle 1b
    mov %rax, %rdx
    mov 0(%rsp), %eax
    movabs $0x6e50726d00000000, %rdi /* RL_CAME_MARK */
    or %rax, %rdi
    mov 8(%rsp), %rsi
    mov $299, %eax            /* recvmmsg */
    nop                       /* no site to patch */
    syscall
    jmp 1b

/* SIGSYS. On the frame's stack only until a slot is claimed. */
    .globl rl_sigsys_entry
    .type rl_sigsys_entry, @function
rl_sigsys_entry:
    cmpl $1, 8(%rsi)          /* si_code: SYS_SECCOMP, or a process's kill() */
    jne rl_sent_entry
    push %rbx
    push %rbp
    push %r12
    push %r13
    sub $8, %rsp
    mov %rsp, %r12
    mov %rsi, %rbx
    mov %rdx, %rbp
    call rl_slot_claim        /* struct rl_slot *, which ends where its stack begins */
    mov %rax, %r13
    mov %rax, %rcx
    lea rl_slot_bytes(%rip), %rdx
    add (%rdx), %rax
    mov %rax, %rsp
    mov %rbx, %rdi
    mov %rbp, %rsi
    mov %r12, %rdx
    call rl_sigsys
    mov %r12, %rsp
    mov %r13, %rdi
    call rl_slot_free
    add $8, %rsp
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret

/* A SIGSYS that a program sent, and SIGSEGV/SIGBUS: C code selects the program's handler. */
rl_sent_entry:
    push %rdi
    push %rsi
    push %rdx
    call rl_signal_sent
    jmp 1f
    .globl rl_fault_entry
    .type rl_fault_entry, @function
rl_fault_entry:
    push %rdi
    push %rsi
    push %rdx
    call rl_fault
1:  pop %rdx
    pop %rsi
    pop %rdi
    test %rax, %rax
    jz 2f
    jmp *%rax
2:  ret

/* long rl_copy_raw(void *to, const void *from, size_t n, u64 stack): 0 or -EFAULT. By words: `rep movsb` takes longer to
 * start than a short copy takes, and is used only for the rest of less than a word, or of a long copy. */
    .globl rl_copy_raw
    .type rl_copy_raw, @function
rl_copy_raw:
    mov %rsp, %r8
    mov %rcx, %rsp
    xor %eax, %eax
    .globl rl_copy_begin
rl_copy_begin:
    cmp $512, %rdx
    ja 2f
1:  sub $16, %rdx
    jb 3f
    mov (%rsi,%rax), %rcx
    mov 8(%rsi,%rax), %r9
    mov %rcx, (%rdi,%rax)
    mov %r9, 8(%rdi,%rax)
    add $16, %rax
    jmp 1b
3:  add $16, %rdx
    add %rax, %rsi
    add %rax, %rdi
2:  mov %rdx, %rcx
    jrcxz 4f
    rep movsb
4:  mov %r8, %rsp
    xor %eax, %eax
    ret
/* long rl_copy_text(char *to, const char *from, size_t max, u64 stack): length, max, or -EFAULT. By words, which are
 * aligned: they are on the same page as the text's end. */
    .globl rl_copy_text
    .type rl_copy_text, @function
rl_copy_text:
    mov %rsp, %r8
    mov %rcx, %rsp
    xor %eax, %eax
    movabs $0x0101010101010101, %r10
    mov %r10, %r11
    shl $7, %r11
1:  cmp %rdx, %rax
    jae 4f
    lea (%rsi,%rax), %rcx
    test $7, %cl
    jz 3f
2:  movzbl (%rsi,%rax), %ecx
    mov %cl, (%rdi,%rax)
    inc %rax
    test %cl, %cl
    jnz 1b
    dec %rax
4:  mov %r8, %rsp
    ret
3:  lea 8(%rax), %rcx
    cmp %rdx, %rcx
    ja 2b
    mov (%rsi,%rax), %r9
    mov %r9, (%rdi,%rax)
    mov %r9, %rcx             /* (~word & 0x80…) & (word - 0x01…): a bit for the first NUL, and perhaps higher ones */
    not %rcx
    and %r11, %rcx
    sub %r10, %r9
    and %r9, %rcx
    jnz 5f
    add $8, %rax
    jmp 1b
5:  bsf %rcx, %rcx
    shr $3, %ecx
    add %rcx, %rax
    jmp 4b
    .globl rl_copy_end
rl_copy_end:
    .globl rl_copy_fault
rl_copy_fault:
    mov %r8, %rsp
    mov $-14, %rax
    ret

/* void rl_enter(u64 stack, u64 entry) */
    .globl rl_enter
    .type rl_enter, @function
rl_enter:
    mov %rdi, %rsp
    mov %rsi, %rax
    push %rax
    xor %eax, %eax
    xor %ebx, %ebx
    xor %ecx, %ecx
    xor %edx, %edx
    xor %ebp, %ebp
    xor %esi, %esi
    xor %edi, %edi
    xor %r8d, %r8d
    xor %r9d, %r9d
    xor %r10d, %r10d
    xor %r11d, %r11d
    xor %r12d, %r12d
    xor %r13d, %r13d
    xor %r14d, %r14d
    xor %r15d, %r15d
    ret

    .globl _start
    .type _start, @function
_start:
    xor %ebp, %ebp
    mov %rsp, %rdi
    lea rl_slots(%rip), %rsp
    lea rl_slot_bytes(%rip), %rdx
    add (%rdx), %rsp
    call rl_main
    hlt
    .section .note.GNU-stack, "", @progbits
