# packages: cmake ninja-build g++
# prints: 100% tests passed
# prints: 100% tests passed
# prints: ninja: no work to do.
# prints: 3
# prints: 0
mkdir s; cat > s/CMakeLists.txt <<'C'
cmake_minimum_required(VERSION 3.10)
project(x C CXX)
add_library(l SHARED l.c)
add_executable(x m.cpp)
target_link_libraries(x l)
enable_testing()
add_test(NAME t COMMAND x)
install(TARGETS x l)
C
echo 'int f() { return 7; }' > s/l.c
printf '#include <cstdio>\nextern "C" int f();\nint main() { printf("%%d\\n", f() - 7); }\n' > s/m.cpp
for g in Ninja 'Unix Makefiles'; do
  cmake -G "$g" -S s -B "b $g" >o; cmake --build "b $g" -j2 >o; (cd "b $g"; ctest | grep -o '100% tests passed')
done
ninja -C 'b Ninja' | tail -1; touch s/l.c; ninja -C 'b Ninja' | grep -c 'Building\|Linking\|symlink'
cmake --install 'b Ninja' >o; ldconfig; x
