"""chroot: roots.c inside against roots.c in a plain directory, where the kernel lets somebody do it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.native.guest import HERE, Guest

NAMESPACE = ("unshare", "--user", "--map-root-user", "--")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler (cc)")
    target = tmp_path_factory.mktemp("roots") / "roots"
    subprocess.run(["cc", "-O1", "-static", "-o", str(target), str(HERE / "roots.c")], check=True)
    return target


@pytest.fixture(scope="module")
def outside(program: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What the kernel's own chroot does."""
    prefix = () if os.getuid() == 0 else NAMESPACE
    if prefix and (not shutil.which("unshare") or subprocess.run([*prefix, "true"], check=False).returncode):
        pytest.skip("nobody may change the root here: no user namespaces")
    plain = tmp_path_factory.mktemp("plain")
    done = subprocess.run([*prefix, program], cwd=plain, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_a_program_may_change_its_root(guest: Guest, program: Path, outside: list[str]) -> None:
    shutil.copy(program, guest.lower / "t" / "roots")
    assert guest.run("/bin/busybox", "mkdir", "/tmp/plain").returncode == 0
    inside = guest.run("/t/roots", cwd="/tmp/plain")
    assert inside.returncode == 0, inside.stderr
    assert len(outside) > 100
    exe = re.compile("readlink self/exe: .*/")  # is outside of the new root, and has another name there
    lines = inside.stdout.decode().splitlines()
    assert [exe.sub("", line) for line in lines] == [exe.sub("", line) for line in outside]


def test_only_root_may_change_it(guest: Guest) -> None:
    done = guest.run("/bin/busybox", "chroot", "/", "/bin/busybox", "true", state="5:5:022:")
    assert done.returncode != 0
    assert b"not permitted" in done.stderr
