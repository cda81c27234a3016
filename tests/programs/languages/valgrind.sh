# packages: valgrind
# prints: Invalid read of size 1
# prints: main (a.c:2)
# prints: /etc/hostname
echo '#include <stdlib.h>
int main(void) { char *p = malloc(10); system("exit 0"); return p[10]; }' > a.c; gcc -g a.c -o a
valgrind ./a >o 2>&1 || true; grep -o 'Invalid read of size 1\|main (a.c:2)' o | sort -u
for t in callgrind helgrind massif; do valgrind --tool=$t ./a >/dev/null 2>&1 || echo $t: $?; done
valgrind -q --trace-children=yes sh -c 'ls /etc/hostname; ./a 2>/dev/null || true'
