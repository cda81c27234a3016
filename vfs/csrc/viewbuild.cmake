# rootlay/store/_viewbuild: merges layer indexes and writes the native view. One binary for all CPython >= 3.11.
find_package(Python REQUIRED COMPONENTS Interpreter Development.SABIModule)
python_add_library(_viewbuild MODULE WITH_SOABI USE_SABI 3.11
  viewbuild/arena.c
  viewbuild/record.c
  viewbuild/tree.c
  viewbuild/merge.c
  viewbuild/hardlink.c
  viewbuild/emit.c
  viewbuild/lookup.c
  viewbuild/module.c)
target_compile_options(_viewbuild PRIVATE -Wall -Wextra -Wvla -Wshadow -fvisibility=hidden)
install(TARGETS _viewbuild DESTINATION rootlay/store)
