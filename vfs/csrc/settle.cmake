# rootlay/store/_batchwrite_c.so: writes small files of a hydrated tree in bulk; reached by ctypes.
add_library(rl_settle MODULE settle/settle.c)
set_target_properties(rl_settle PROPERTIES PREFIX "" OUTPUT_NAME "_batchwrite_c" SUFFIX ".so" POSITION_INDEPENDENT_CODE ON)
target_compile_options(rl_settle PRIVATE -Wall -Wextra -fvisibility=hidden)
install(TARGETS rl_settle LIBRARY DESTINATION rootlay/store/hydrate)
