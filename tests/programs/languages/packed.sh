# packages: upx-ucl makeself patchelf musl-tools
# prints: /w/a
# prints: /w/b
# prints: installed a
# prints: /w/c
# prints: 127
# prints: /w/m
# prints: /usr/lib/x86_64-linux-musl/libc.so
printf '#include <stdio.h>\n#include <unistd.h>\nint main() { char b[300] = ""; readlink("/proc/self/exe", b, 299); puts(b); }' > a.c
gcc -static a.c -o a; upx -qqq a; ./a; gcc a.c -o b; upx -qqq b; ./b
mkdir d; printf '#!/bin/sh\necho installed "$@"\n' > d/i.sh; chmod +x d/i.sh; makeself --quiet d x.run t ./i.sh >/dev/null
./x.run --quiet -- a; gcc a.c -o c; cp /lib64/ld-linux-x86-64.so.2 ld; patchelf --set-interpreter /w/ld c; ./c
patchelf --set-interpreter /none c; ./c 2>/dev/null || echo $?; musl-gcc a.c -o m; ./m; /lib/ld-musl-x86_64.so.1 ./m
