# rootlay/store/_merge_c.so: merges layer indexes and writes the native view; reached by ctypes.
add_library(rl_viewbuild MODULE
  ${CMAKE_CURRENT_LIST_DIR}/viewbuild/arena.c
  ${CMAKE_CURRENT_LIST_DIR}/viewbuild/record.c
  ${CMAKE_CURRENT_LIST_DIR}/viewbuild/tree.c
  ${CMAKE_CURRENT_LIST_DIR}/viewbuild/merge.c
  ${CMAKE_CURRENT_LIST_DIR}/viewbuild/hardlink.c
  ${CMAKE_CURRENT_LIST_DIR}/viewbuild/emit.c
  ${CMAKE_CURRENT_LIST_DIR}/viewbuild/base.c
  ${CMAKE_CURRENT_LIST_DIR}/viewbuild/delta.c
  ${CMAKE_CURRENT_LIST_DIR}/viewbuild/lookup.c
  ${CMAKE_CURRENT_LIST_DIR}/viewbuild/library.c)
set_target_properties(rl_viewbuild PROPERTIES PREFIX "" OUTPUT_NAME "_merge_c" SUFFIX ".so")
target_compile_options(rl_viewbuild PRIVATE -Wall -Wextra -Wvla -Wshadow -fvisibility=hidden)
install(TARGETS rl_viewbuild LIBRARY DESTINATION rootlay/store/view)
