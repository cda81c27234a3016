# rootlay/store/_merge_c.so: merges layer indexes and writes the native view; reached by ctypes.
add_library(rl_viewbuild MODULE
  viewbuild/arena.c
  viewbuild/record.c
  viewbuild/tree.c
  viewbuild/merge.c
  viewbuild/hardlink.c
  viewbuild/emit.c
  viewbuild/lookup.c
  viewbuild/library.c)
set_target_properties(rl_viewbuild PROPERTIES PREFIX "" OUTPUT_NAME "_merge_c" SUFFIX ".so")
target_compile_options(rl_viewbuild PRIVATE -Wall -Wextra -Wvla -Wshadow -fvisibility=hidden)
install(TARGETS rl_viewbuild LIBRARY DESTINATION rootlay/store/view)
