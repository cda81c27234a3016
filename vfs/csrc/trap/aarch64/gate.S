/* The gate: the only instructions whose system calls the filter allows unchanged, and the few parts of the engine that
 * cannot be written in C (aarch64).
 *
 * 1. Everything from rl_gate_start to rl_gate_end is the gate; filter.c compares the instruction pointer with these two
 *    addresses. The engine has no `svc` elsewhere, except one that must trap.
 * 2. The copy routines run on the program's side of the stack switch, so that the frame of a fault is put below the
 *    SIGSYS frame and not on top of the alternate signal stack (see usermem.c).
 */
    .equ FRAME_MASK, 168      /* struct rl_resume_frame: uc.sigmask, registers, instruction pointer, result, then */
    .equ FRAME_REG, 312
    .equ FRAME_IP, 568
    .equ FRAME_RESULT, 1136
    .equ NR_SIGPROCMASK, 135
    .equ NR_SIGRETURN, 139
    .equ NR_GETPEERNAME, 205
    .equ NR_RECVMMSG, 243

    .section .gate, "ax", @progbits
    .globl rl_gate_start
rl_gate_start:

/* long rl_sys(nr, a, b, c, d, e, f) */
    .globl rl_sys
    .type rl_sys, @function
rl_sys:
    mov x8, x0
    mov x0, x1
    mov x1, x2
    mov x2, x3
    mov x3, x4
    mov x4, x5
    mov x5, x6
    svc #0
    ret

/* Unwinders recognize these two instructions at a signal frame's return address. */
    nop
    .globl rl_restorer
    .type rl_restorer, @function
rl_restorer:
    mov x8, #NR_SIGRETURN
    svc #0

/* Makes a call in the program's own context (resume.c has set the registers and stored struct rl_resume_frame at sp),
 * restores the program's registers and returns to the instruction after its site. The mask that is restored is the one
 * of that moment: a handler that ran may have changed it. */
    .globl rl_gate_call
    .type rl_gate_call, @function
rl_gate_call:
    svc #0
rl_gate_leave:
    str x0, [sp, #FRAME_REG]
rl_gate_back:
    mov x0, #0
    mov x1, #0
    add x2, sp, #FRAME_MASK
    mov x3, #8
    mov x8, #NR_SIGPROCMASK
    svc #0
    mov x8, #NR_SIGRETURN
    svc #0

/* The same; on success it returns the frame's result to the frame's address. */
    .globl rl_gate_then
    .type rl_gate_then, @function
rl_gate_then:
    svc #0
    b rl_gate_then_done

/* The same for accept: the address, which the program wants, is read by a call that traps. */
    .globl rl_gate_accept
    .type rl_gate_accept, @function
rl_gate_accept:
    svc #0
    b rl_gate_accept_done

/* The same for recvmmsg: a call that traps translates the received messages. */
    .globl rl_gate_many
    .type rl_gate_many, @function
rl_gate_many:
    svc #0
    b rl_gate_many_done
    nop
    .globl rl_gate_end
rl_gate_end:

    .text
rl_gate_then_done:
    tbnz x0, #63, rl_gate_leave
    ldr x0, [sp, #FRAME_RESULT]
    ldr x1, [sp, #FRAME_RESULT + 8]
    str x1, [sp, #FRAME_IP]
    b rl_gate_leave
rl_gate_accept_done:
    tbnz x0, #63, rl_gate_leave
    str x0, [sp, #FRAME_RESULT]
    ldr x1, [sp, #FRAME_REG + 8]
    ldr x2, [sp, #FRAME_REG + 16]
    mov x8, #NR_GETPEERNAME
    svc #0
    ldr x0, [sp, #FRAME_RESULT]
    b rl_gate_leave
rl_gate_many_done:
    cmp x0, #0
    b.le rl_gate_leave
    mov x2, x0
    ldr w0, [sp, #FRAME_REG]
    movz x1, #0x6e50, lsl #48 /* RL_CAME_MARK */
    movk x1, #0x726d, lsl #32
    orr x0, x0, x1
    ldr x1, [sp, #FRAME_REG + 8]
    ldr x3, [sp, #FRAME_REG + 24]
    ldr x4, [sp, #FRAME_REG + 32]
    mov x8, #NR_RECVMMSG
    svc #0
    b rl_gate_leave

    .macro SLOT_STACK slot
    adrp x9, rl_slot_bytes
    ldr x9, [x9, :lo12:rl_slot_bytes]
    add x9, x9, \slot
    mov sp, x9
    .endm

/* SIGSYS. On the frame's stack only until a slot is claimed. The return restores all registers. */
    .globl rl_sigsys_entry
    .type rl_sigsys_entry, @function
rl_sigsys_entry:
    ldr w3, [x1, #8]          /* si_code: SYS_SECCOMP, or a process's kill() */
    cmp w3, #1
    b.ne rl_sent_entry
    mov x19, sp
    mov x20, x1
    mov x21, x2
    mov x22, x30
    bl rl_slot_claim          /* struct rl_slot *, which ends where its stack begins */
    mov x23, x0
    SLOT_STACK x0
    mov x0, x20
    mov x1, x21
    mov x2, x19
    mov x3, x23
    bl rl_sigsys
    mov sp, x19
    mov x0, x23
    bl rl_slot_free
    ret x22

/* A SIGSYS that a program sent, and SIGSEGV/SIGBUS: C code selects the program's handler. */
rl_sent_entry:
    stp x0, x1, [sp, #-32]!
    stp x2, x30, [sp, #16]
    bl rl_signal_sent
    b 1f
    .globl rl_fault_entry
    .type rl_fault_entry, @function
rl_fault_entry:
    stp x0, x1, [sp, #-32]!
    stp x2, x30, [sp, #16]
    bl rl_fault
1:  mov x16, x0
    ldp x2, x30, [sp, #16]
    ldp x0, x1, [sp], #32
    cbz x16, 2f
    br x16
2:  ret

/* long rl_copy_raw(void *to, const void *from, size_t n, u64 stack): 0 or -EFAULT. */
    .globl rl_copy_raw
    .type rl_copy_raw, @function
rl_copy_raw:
    mov x8, sp
    mov sp, x3
    .globl rl_copy_begin
rl_copy_begin:
1:  subs x2, x2, #16
    b.lo 2f
    ldp x4, x5, [x1], #16
    stp x4, x5, [x0], #16
    b 1b
2:  adds x2, x2, #16
    b.eq 4f
3:  ldrb w4, [x1], #1
    strb w4, [x0], #1
    subs x2, x2, #1
    b.ne 3b
4:  mov sp, x8
    mov x0, #0
    ret
/* long rl_copy_text(char *to, const char *from, size_t max, u64 stack): length, max, or -EFAULT. By words, which are
 * aligned: they are on the same page as the text's end. */
    .globl rl_copy_text
    .type rl_copy_text, @function
rl_copy_text:
    mov x8, sp
    mov sp, x3
    mov x3, #0
    mov x6, #0x0101010101010101
1:  cmp x3, x2
    b.hs 4f
    add x4, x1, x3
    tst x4, #7
    b.eq 3f
2:  ldrb w4, [x1, x3]
    strb w4, [x0, x3]
    cbz w4, 4f
    add x3, x3, #1
    b 1b
3:  add x4, x3, #8
    cmp x4, x2
    b.hi 2b
    ldr x5, [x1, x3]
    str x5, [x0, x3]
    sub x4, x5, x6            /* (word - 0x01…) & ~word & 0x80…: a bit for the first NUL, and perhaps higher ones */
    bic x4, x4, x5
    ands x4, x4, #0x8080808080808080
    b.ne 5f
    add x3, x3, #8
    b 1b
5:  rbit x4, x4
    clz x4, x4
    add x3, x3, x4, lsr #3
4:  mov sp, x8
    mov x0, x3
    ret
    .globl rl_copy_end
rl_copy_end:
    .globl rl_copy_fault
rl_copy_fault:
    mov sp, x8
    mov x0, #-14
    ret

/* void rl_enter(u64 stack, u64 entry). A branch by x16 may arrive at a landing pad for calls. */
    .globl rl_enter
    .type rl_enter, @function
rl_enter:
    mov sp, x0
    mov x16, x1
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,17,18,19,20,21,22,23,24,25,26,27,28,29,30
    mov x\n, #0
    .endr
    br x16

    .globl _start
    .type _start, @function
_start:
    mov x29, #0
    mov x30, #0
    mov x0, sp
    adrp x1, rl_slots
    add x1, x1, :lo12:rl_slots
    SLOT_STACK x1
    bl rl_main
    brk #1
    .section .note.GNU-stack, "", @progbits
