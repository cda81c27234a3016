/* Entry from the stub of a patched call site (patch_site.c), and the return to it (aarch64).
 *
 * On entry: x8 = number, x0 to x5 = arguments, x30 = address in the stub; the program's x16 and x30 are on the stack. As
 * after a real `svc`, all registers but x0 are unchanged, the condition flags included. The engine's code does not touch
 * the vector registers.
 *
 * 1. C code uses the program's stack only as deep as patch.c says.
 * 2. A call that needs more than the fast path runs on a slot's stack with signals blocked, as in the SIGSYS handler.
 * 3. rl_patch_shared is the entry of sites that other calls use, too: a call that patch.c does not handle returns to
 *    RL_SITE_AGAIN().
 */
    .equ FRAME, 224
    .equ FRAME_CALL, 16
    .equ FRAME_IP, 72

    .text
    .globl rl_patch_shared
    .type rl_patch_shared, @function
rl_patch_shared:
    stp x9, x10, [sp, #-16]!
    lsr x9, x8, #9            /* RL_SYSCALL_LIMIT */
    cbnz x9, 1f
    adrp x9, rl_patch_map
    add x9, x9, :lo12:rl_patch_map
    lsr x10, x8, #6
    ldr x9, [x9, x10, lsl #3]
    lsr x9, x9, x8            /* by the lower six bits */
    tbz x9, #0, 1f
    ldp x9, x10, [sp], #16
    b rl_patch_entry
1:  ldp x9, x10, [sp], #16
    add x30, x30, #8
    ret

    .globl rl_patch_entry
    .type rl_patch_entry, @function
rl_patch_entry:
    sub sp, sp, #FRAME        /* from its end: what else C code may change, struct rl_patched, the signal mask to restore */
    stp x8, x0, [sp, #16]
    stp x1, x2, [sp, #32]
    stp x3, x4, [sp, #48]
    stp x5, x30, [sp, #64]
    stp x6, x7, [sp, #80]
    stp x9, x10, [sp, #96]
    stp x11, x12, [sp, #112]
    stp x13, x14, [sp, #128]
    stp x15, x17, [sp, #144]
    stp x18, x19, [sp, #160]
    stp x20, x29, [sp, #176]
    mrs x9, nzcv
    stp x9, x8, [sp, #192]
    str x30, [sp, #208]
    mov x19, sp
    add x0, sp, #FRAME_CALL
    bl rl_patch_quick         /* 1: the result is in place */
    cbnz w0, 1f
    mov x0, x19
    bl rl_patch_begin         /* struct rl_slot * */
    mov x20, x0
    adrp x9, rl_slot_bytes
    ldr x9, [x9, :lo12:rl_slot_bytes]
    add x9, x9, x0
    mov sp, x9
    add x0, x19, #FRAME_CALL
    mov x1, x19
    mov x2, x20
    bl rl_patch_slow
    mov sp, x19
    mov x0, x20
    mov x1, x19
    bl rl_patch_end
1:  ldp x9, x0, [sp, #16]          /* the result is where the number was */
    ldr x10, [sp, #208]
    ldr x30, [sp, #FRAME_IP]
    cmp x10, x30              /* another address: the call is to be made */
    csel x0, x9, x0, eq
    ldp x9, x8, [sp, #192]
    msr nzcv, x9
    ldp x1, x2, [sp, #32]
    ldp x3, x4, [sp, #48]
    ldr x5, [sp, #64]
    ldp x6, x7, [sp, #80]
    ldp x9, x10, [sp, #96]
    ldp x11, x12, [sp, #112]
    ldp x13, x14, [sp, #128]
    ldp x15, x17, [sp, #144]
    ldp x18, x19, [sp, #160]
    ldp x20, x29, [sp, #176]
    add sp, sp, #FRAME
    ret
    .section .note.GNU-stack, "", @progbits
