# rootlay/vfs/monitor: the process that waits for a detached program, and its heir. Freestanding and static: a container
# that runs in the background costs the pages of these two processes.
include_guard(GLOBAL)
file(GLOB RL_MONITOR_SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*.c)
add_executable(rl_monitor ${RL_MONITOR_SOURCES})
set_target_properties(rl_monitor PROPERTIES OUTPUT_NAME monitor POSITION_INDEPENDENT_CODE OFF)
target_compile_options(rl_monitor PRIVATE
  -std=gnu11 -O2 -g0 -Wall -Wextra -ffreestanding -fno-builtin -fno-stack-protector -fno-asynchronous-unwind-tables -fno-pie
  -fno-tree-loop-distribute-patterns -U_FORTIFY_SOURCE)
target_link_options(rl_monitor PRIVATE -nostdlib -static -no-pie -Wl,-z,noexecstack -Wl,-z,norelro -Wl,--build-id=none)
install(TARGETS rl_monitor RUNTIME DESTINATION rootlay/vfs)
