# Man pages from the tables of the verbs, into share/man/man1 of the wheel. Without Python 3.11 there are none.
find_package(Python3 3.11 COMPONENTS Interpreter QUIET)
if(DEFINED SKBUILD_DATA_DIR AND Python3_Interpreter_FOUND)
  execute_process(
    COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/../../docs/make_man.py ${CMAKE_BINARY_DIR}/man
    RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "docs/make_man.py failed")
  endif()
  install(DIRECTORY ${CMAKE_BINARY_DIR}/man/ DESTINATION ${SKBUILD_DATA_DIR}/share/man/man1)
endif()
