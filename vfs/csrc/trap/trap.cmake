# The trap engine: a freestanding, static, non-PIE program at an address of its own.
#
# -fPIE and -static together: code that reaches its data relative to the instruction pointer (the
# address is above 2 GiB), linked to run where it is linked. Sorted by alignment: see RL_BULK in core.h. Code and constants
# share a segment: one mapping and one page fault less in each process.
#
# The address lies where kernels put position-independent programs (0x55…), some terabytes before the first of them:
# the sanitizers of threads and of memory accept no mapping outside a program's usual ranges, and that of addresses
# takes the first 16 TiB.
# On aarch64 the address space may have 39 bits; the address is below the first 64 GiB, where AddressSanitizer has its
# shadow, and far above a fixed program and its heap. A page may have 64 KiB.
include("${CMAKE_CURRENT_LIST_DIR}/../core/core.cmake")
enable_language(ASM)

if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set(RL_ARCH x86_64)
  set(RL_ARCH_FLAGS -fcf-protection=none)
  set(RL_ENGINE_ADDRESS 0x550e50000000)
endif()

if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  set(RL_ARCH aarch64)
  set(RL_ARCH_FLAGS -mno-outline-atomics -mbranch-protection=none)
  set(RL_ENGINE_ADDRESS 0xf50000000)
  set(RL_ARCH_LINK -Wl,-z,max-page-size=65536)
endif()

if(RL_ARCH)
  file(GLOB RL_TRAP_SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*/*.c)
  list(FILTER RL_TRAP_SOURCES EXCLUDE REGEX "/trap/(x86_64|aarch64)/")
  file(GLOB RL_ARCH_SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/${RL_ARCH}/*.[cS])
  list(APPEND RL_TRAP_SOURCES ${RL_ARCH_SOURCES})

  add_executable(rl_engine ${RL_TRAP_SOURCES} ${RL_CORE_SOURCES})
  set_target_properties(rl_engine PROPERTIES OUTPUT_NAME engine POSITION_INDEPENDENT_CODE OFF)
  target_compile_options(rl_engine PRIVATE
    -std=gnu11 -O2 -g0 -Wall -Wextra -ffreestanding -fno-stack-protector -fno-asynchronous-unwind-tables
    -fPIE -fvisibility=hidden -fno-strict-aliasing
    $<$<COMPILE_LANGUAGE:C>:-mgeneral-regs-only>
    $<$<COMPILE_LANGUAGE:C>:-fno-builtin>
    $<$<C_COMPILER_ID:GNU>:-fno-tree-loop-distribute-patterns>
    ${RL_ARCH_FLAGS} -U_FORTIFY_SOURCE -fdata-sections)
  target_link_options(rl_engine PRIVATE
    -nostdlib -static -Wl,-Ttext-segment=${RL_ENGINE_ADDRESS} -Wl,-z,noexecstack -Wl,-z,norelro -Wl,-z,noseparate-code -Wl,--no-relax
    ${RL_ARCH_LINK} -Wl,--build-id=none -Wl,--sort-section=alignment)
  install(TARGETS rl_engine RUNTIME DESTINATION rootlay/vfs)
endif()
