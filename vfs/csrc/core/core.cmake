# The resolver core as a plain library for tests and sanitizers: _core.so, loaded with ctypes; not installed.
include_guard(GLOBAL)
file(GLOB RL_CORE_SOURCES CONFIGURE_DEPENDS "${CMAKE_CURRENT_LIST_DIR}/*/*.c")
set(RL_CORE_WARNINGS -Wall -Wextra)
# What every user of the core compiles it with. The trap engine adds its own.
set(RL_CORE_FLAGS -ffreestanding -fno-stack-protector)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64")
  list(APPEND RL_CORE_FLAGS -mno-outline-atomics) # they would need libgcc
else()
  list(APPEND RL_CORE_FLAGS -mgeneral-regs-only -fcf-protection=none)
endif()

add_library(rl_core_testlib MODULE EXCLUDE_FROM_ALL ${RL_CORE_SOURCES} "${CMAKE_CURRENT_LIST_DIR}/../testlib/direct.c")
set_target_properties(rl_core_testlib PROPERTIES PREFIX "" OUTPUT_NAME "_core" SUFFIX ".so" POSITION_INDEPENDENT_CODE ON)
target_compile_options(rl_core_testlib PRIVATE ${RL_CORE_WARNINGS} ${RL_CORE_FLAGS})
target_link_options(rl_core_testlib PRIVATE -nostdlib -Wl,-Bsymbolic)

