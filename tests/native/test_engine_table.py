"""The table of system calls against the kernel's own list."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.native.guest import SOURCES

KERNEL_LIST = next(
    (p for p in map(Path, ["/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h"])
     if p.exists()), None,
)  # fmt: skip
ROW = re.compile(r"\b(OK|NO|DO|SOCKET|WAIT|P1|P2|BITS|VALUE|GUARD(?:_BUT)?)\((\w+)|\[__NR_(prctl|ptrace|getsockopt)\]")


def rows() -> list[tuple[str, str]]:
    text = (SOURCES / "trap" / "syscalls.c").read_text()
    body = text[text.index("static const struct rl_syscall table") :]
    return [(m[1] or "DO", m[2] or m[3]) for m in ROW.finditer(body)]


def test_every_call_of_the_kernel_is_handled_harmless_or_refused() -> None:
    if KERNEL_LIST is None:
        pytest.skip("the kernel's headers are not installed")
    known = set(re.findall(r"#define __NR_(\w+) \d+", KERNEL_LIST.read_text()))
    assert known - {name for _, name in rows()} == set()


def test_no_call_has_two_rows() -> None:
    names = [name for _, name in rows()]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("name", ["clone3", "io_uring_setup", "mount", "pivot_root", "seccomp", "setns", "fsopen"])
def test_what_could_leave_the_container_is_refused(name: str) -> None:
    assert ("NO", name) in rows()


def test_calls_that_take_a_path_are_not_harmless() -> None:
    takes_path = re.compile(r"^(open|creat|.*stat(x|fs|at)?$|access|readlink|mk(dir|nod)|rmdir|.*link(at)?$|rename"
                            r"|ch(mod|own|dir|root)|lchown|truncate|utime|.*xattr$|exec|inotify_add)")  # fmt: skip
    harmless = {name for kind, name in rows() if kind == "OK" and takes_path.match(name)}
    assert harmless == {"cachestat", "fstatfs", "mq_unlink", "ustat"}
