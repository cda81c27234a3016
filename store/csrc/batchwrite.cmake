# rootlay/store/_batchwrite_c.so: writes small files of a hydrated tree in bulk; reached by ctypes.
add_library(rl_batchwrite MODULE ${CMAKE_CURRENT_LIST_DIR}/batchwrite/batchwrite.c)
set_target_properties(rl_batchwrite PROPERTIES PREFIX "" OUTPUT_NAME "_batchwrite_c" SUFFIX ".so" POSITION_INDEPENDENT_CODE ON)
target_compile_options(rl_batchwrite PRIVATE -Wall -Wextra -fvisibility=hidden)
install(TARGETS rl_batchwrite LIBRARY DESTINATION rootlay/store/hydrate)
