"""Who is at the other end of a socket, where no process may read another's memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli import docker_seccomp
from tests.native.guest import Guest, guard


@pytest.mark.parametrize("libc", ["glibc", "musl"])
def test_credentials_need_no_right_to_debug(guest: Guest, programs: Path, tmp_path: Path, libc: str) -> None:
    """As under Yama's ptrace_scope 1, which refuses process_vm_readv of whoever is not a descendant."""
    if not any(Path(path).exists() for path in docker_seccomp.HEADERS):
        pytest.skip("the kernel's headers are not installed")
    if not (programs / "t" / f"localsockets-{libc}").exists():
        pytest.skip(f"no static {libc} here")
    rest = [name for name in docker_seccomp.numbers() if name != "process_vm_readv"]
    profile = tmp_path / "profile.json"
    profile.write_text(json.dumps(docker_seccomp.only(rest)))
    command = [*guard(guest), sys.executable, docker_seccomp.__file__, str(profile), str(guest.engine), "--run"]
    command += [str(guest.launch), "0:0:022:", "/", f"/t/localsockets-{libc}", "credentials_are_those_inside"]
    done = subprocess.run(command, env={"PATH": "/bin"}, capture_output=True, timeout=60, cwd="/", check=False)
    assert (done.returncode, done.stdout) == (0, b"credentials_are_those_inside ok\n"), done.stderr
