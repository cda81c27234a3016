# packages: clang lld llvm libclang-rt-19-dev
# prints: ./a
# prints: ./a
# prints: ./a
# prints: ./a
# prints: MemorySanitizer: use-of-uninitialized-value /w/a.c:1:
echo 'int puts(const char *); int main(int n, char **v) { int x[2]; return puts(*v) < (x[n] ? 0 : -1); }' > a.c
for o in -O2 -flto -static -static-pie; do clang $o -fuse-ld=lld a.c -o a; ./a; done
for s in address memory thread undefined dataflow; do clang -g -fsanitize=$s a.c -o a; ./a >o 2>&1 || grep -o 'Me.*value /w.*:' o; done
