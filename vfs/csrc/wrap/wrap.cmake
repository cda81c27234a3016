# rootlay/vfs/wrapper: the program of a wrapped command, copied once for each. Freestanding and static.
include_guard(GLOBAL) # after trap.cmake, which has the address of the engine
file(GLOB RL_WRAPPER_SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*.c)
set(RL_OF_MONITOR ${CMAKE_CURRENT_LIST_DIR}/../monitor)
add_executable(rl_wrapper ${RL_WRAPPER_SOURCES} ${RL_OF_MONITOR}/text.c ${RL_OF_MONITOR}/process.c ${RL_OF_MONITOR}/tidy.c)
set_target_properties(rl_wrapper PROPERTIES OUTPUT_NAME wrapper POSITION_INDEPENDENT_CODE OFF)
target_compile_options(rl_wrapper PRIVATE
  -std=gnu11 -O2 -g0 -Wall -Wextra -ffreestanding -fno-builtin -fno-stack-protector -fno-asynchronous-unwind-tables -fno-pie
  -fno-tree-loop-distribute-patterns -U_FORTIFY_SOURCE)
target_compile_definitions(rl_wrapper PRIVATE RL_ENGINE_ADDRESS=${RL_ENGINE_ADDRESS})
target_link_options(rl_wrapper PRIVATE -nostdlib -static -no-pie -Wl,-z,noexecstack -Wl,-z,norelro -Wl,--build-id=none)
install(TARGETS rl_wrapper RUNTIME DESTINATION rootlay/vfs)
