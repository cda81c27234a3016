"""Programs that care where in memory things are: sanitizers, ELF files of unusual layouts, readers of maps."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.programs.conftest import Machine

# Threads, a directory, a child; then, as argv[1] says, a race, an overflow, or a leak.
CHECKED = r"""
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
static int shared;
static char mode;
static void *work(void *unused)
{
    struct stat st;
    for (int i = 0; i < 100; i++)
        stat("/etc/passwd", &st);
    if (mode == 'r')
        shared++; /* racy */
    return unused;
}
int main(int argc, char **argv)
{
    pthread_t a, b;
    int status = 0;
    mode = argc > 1 ? argv[1][0] : 0;
    pthread_create(&a, 0, work, 0);
    pthread_create(&b, 0, work, 0);
    pthread_join(a, 0);
    pthread_join(b, 0);
    DIR *d = opendir("/usr");
    while (readdir(d))
        ;
    closedir(d);
    if (fork() == 0)
        execl("/bin/sh", "sh", "-c", "exit 3", (char *)0);
    wait(&status);
    volatile char *p = malloc(8);
    if (mode == 'o')
        p[argc + 6] = 1; /* overflows */
    if (mode == 'l')
        p = malloc(8);
    free((void *)p);
    p = 0;
    printf("%d\n", WEXITSTATUS(status));
    return 0;
}
"""

PLAIN = r"""
#include <stdio.h>
#include <sys/stat.h>
__thread char wide[4 << 20];
static char zeroes[3 << 20];
int main(void)
{
    struct stat st;
    for (int i = 0; i < 20; i++) /* often enough for the site to be patched */
        if (stat("/etc/passwd", &st))
            return 1;
    wide[5] = zeroes[1 << 20] + 1;
    return puts("ok") < 0;
}
"""

LINKED = [
    ["-static-pie"],
    ["-static", "-no-pie"],
    ["-no-pie"],
    ["-Wl,-z,pack-relative-relocs"],
    ["-Wl,-z,max-page-size=0x200000"],
    ["-static-pie", "-Wl,-z,max-page-size=0x200000"],
    ["-no-pie", "-Wl,-z,max-page-size=0x200000"],
    ["-Wl,-z,noseparate-code"],
    ["-Wl,-z,execstack"],
    ["-static", "-no-pie", "-Wl,-Ttext-segment=0x10000"],
    ["-static", "-no-pie", "-Wl,-Ttext-segment=0x50000000"],
    ["-Wl,--dynamic-linker=/opt/other loader/ld.so"],
    ["-Wl,--dynamic-linker=relative.so"],
]


@pytest.mark.parametrize("patch", [(), ("--no-patch",)], ids=["patched", "trapped"])
def test_sanitizers(debian: Machine, patch: tuple[str, ...]) -> None:
    """Each maps terabytes at addresses of its own and looks for what is there already; that of threads accepts nothing
    outside a program's usual ranges. Leaks are looked for by a process that traces its parent."""
    script = f"""
    mkdir /w; cd /w; cat > s.c <<'C'
{CHECKED}
C
    for kind in address thread undefined leak; do gcc -g -fsanitize=$kind -o $kind s.c; ./$kind 2>&1; done
    (./address o || ./address l || ./leak l || ./thread r) >out 2>&1 || true
    grep -o 'SUMMARY: [A-Za-z]*: [a-z0-9].*' out
    """
    out = debian.sh(script, *patch, needs="gcc").splitlines()
    assert out[:4] == ["3"] * 4
    said = "\n".join(out[4:])
    for line in ("heap-buffer-overflow /w/s.c:", "8 byte(s) leaked in 1 allocation(s)", "data race /w/s.c:"):
        assert line in said
    assert said.count("8 byte(s)") == 2


def test_layouts_of_programs(debian: Machine) -> None:
    builds = "\n".join(f"gcc -o p{i} p.c {shlex.join(options)}" for i, options in enumerate(LINKED))
    script = f"""
    mkdir /w '/opt/other loader'; cd /w; cp /lib64/ld-linux-x86-64.so.2 '/opt/other loader/ld.so'
    cp /lib64/ld-linux-x86-64.so.2 relative.so; cat > p.c <<'C'
{PLAIN}
C
    {builds}
    for i in $(seq 0 {len(LINKED) - 1}); do ./p$i || echo "$i: $?"; done
    '/opt/other loader/ld.so' ./p2; cd /; /w/p{len(LINKED) - 1} 2>/dev/null || echo $?
    """
    assert debian.sh(script, needs="gcc").splitlines() == ["ok"] * (len(LINKED) + 1) + ["127"]


def _order(maps: str) -> list[str]:
    """What a program reads of itself, from its libraries up: one name for each run of mappings."""
    names = re.findall(r"(libc\.so|ld-linux|\[vdso\]|\[stack\])", maps)
    return [name for i, name in enumerate(names) if i == 0 or names[i - 1] != name]


def test_maps_have_the_order_of_the_kernels_own(debian: Machine) -> None:
    """PMIx of Open MPI misses the stack when its line follows that of the vdso."""
    outside = Path("/proc/self/maps").read_text()
    if "ld-linux" not in outside:
        pytest.skip("this Python has no dynamic loader")
    assert _order(debian.sh("exec cat /proc/self/maps")) == _order(outside)
