# packages: meson
# prints: Ok:1
printf "project('x','c')\nexecutable('x','m.c',install:true)\ntest('t',find_program('true'))\n" > meson.build
echo 'int main() { return 0; }' > m.c; meson setup b >o; meson compile -C b >o; meson test -C b | grep -o '^Ok: *1' | tr -d ' '
meson install -C b >o; x
