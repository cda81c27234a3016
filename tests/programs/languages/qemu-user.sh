# packages: qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross
# prints: /w/a
# prints: /w/b
# prints: 126
printf '#include <stdio.h>\n#include <unistd.h>\nint main() { char b[300] = ""; readlink("/proc/self/exe", b, 299); puts(b);' > a.c
echo 'return access("/etc/passwd", R_OK) || rename("/w/f", "/w/g"); }' >> a.c
aarch64-linux-gnu-gcc -static a.c -o a; touch f; qemu-aarch64 ./a; aarch64-linux-gnu-gcc a.c -o b; touch f
qemu-aarch64 -L /usr/aarch64-linux-gnu ./b; ./a 2>/dev/null || echo $?
