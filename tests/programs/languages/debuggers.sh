# packages: lldb ltrace
# prints: g(x=0)
# prints: main(c=3,
# prints: exited with status = 4
# prints: +++ exited (status 4) +++
printf 'int g(int x) { return x + 1; }\nint main(int c, char **v) { return g(c); }\n' > a.c; gcc -g a.c -o a
lldb -b ./a -o 'process handle SIGSYS -n false -p true -s false' -o 'breakpoint set -n g' -o 'run x y' -o bt -o continue >o 2>&1
grep -m1 -o 'g(x=0)' o; grep -o 'main(c=3,' o; grep -o 'exited with status = 4' o; ltrace ./a x y 2>&1 | tail -1
