# The hook engine: _hook.so, which changes the GOT of the running process, and _hook_core.so, the core for it, of which
# each container has a copy of its own loaded. Plain libraries, called with ctypes (docs/adr/0004).
include("${CMAKE_CURRENT_LIST_DIR}/../core/core.cmake")
file(GLOB RL_HOOK_SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*.c)
list(REMOVE_ITEM RL_HOOK_SOURCES ${CMAKE_CURRENT_LIST_DIR}/instance.c)
list(APPEND RL_HOOK_SOURCES ${CMAKE_CURRENT_LIST_DIR}/../core/answer/statpack.c
            ${CMAKE_CURRENT_LIST_DIR}/../core/change/events.c)

# It changes the GOT of glibc's programs: not built for another libc, where activate() says so.
include(CheckSymbolExists)
check_symbol_exists(__GLIBC__ features.h RL_GLIBC)
if(NOT RL_GLIBC)
  return()
endif()

add_library(rl_hook MODULE ${RL_HOOK_SOURCES})
set_target_properties(rl_hook PROPERTIES PREFIX "" OUTPUT_NAME "_hook" SUFFIX ".so" POSITION_INDEPENDENT_CODE ON)
target_compile_options(rl_hook PRIVATE -O2 -Wall -Wextra -U_FORTIFY_SOURCE -fvisibility=hidden -fno-strict-aliasing)
find_package(Threads REQUIRED)
target_link_libraries(rl_hook PRIVATE Threads::Threads ${CMAKE_DL_LIBS})
target_link_options(rl_hook PRIVATE -Wl,-z,nodelete -Wl,--no-undefined)

add_library(rl_hook_core MODULE ${RL_CORE_SOURCES} ${CMAKE_CURRENT_LIST_DIR}/instance.c)
set_target_properties(rl_hook_core PROPERTIES PREFIX "" OUTPUT_NAME "_hook_core" SUFFIX ".so" POSITION_INDEPENDENT_CODE ON)
target_compile_options(rl_hook_core PRIVATE -O2 -g0 ${RL_CORE_WARNINGS} ${RL_CORE_FLAGS} -fvisibility=hidden -fno-strict-aliasing)
target_link_options(rl_hook_core PRIVATE -nostdlib -Wl,-Bsymbolic -Wl,--no-undefined -s)

install(TARGETS rl_hook rl_hook_core LIBRARY DESTINATION rootlay/vfs)
