"""`doctor`: each of its lines, on a machine where all is well and on one where it is not."""

from __future__ import annotations

import errno
import json
import mmap
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import rootlay.vfs.doctor.doctor as doctor
from rootlay.store.disk.filesystem import NETWORK, file_system_of
from rootlay.vfs.run.session import EngineMissing, engine_path

Patch = pytest.MonkeyPatch


def line(root: Path, name: str, environ: Mapping[str, str] | None = None) -> doctor.Finding:
    """What it says of one thing."""
    [found] = [finding for finding in doctor.examine(root, environ or {}) if finding.name == name]
    assert found.advice or found.status == "ok", "whoever is warned is told what to do"
    return found


def on_file_system(monkeypatch: Patch, kind: str, options: str = "rw") -> None:
    monkeypatch.setattr(doctor, "file_system_of", lambda path: (kind, frozenset(options.split(","))))


def reading(monkeypatch: Patch, path: str, text: str) -> None:
    """Let a file of /proc or /sys hold that text."""
    real = doctor._read
    monkeypatch.setattr(doctor, "_read", lambda asked: text if asked == path else real(asked))


def machine(monkeypatch: Patch, **words: str) -> None:
    real = os.uname()
    said = {"machine": real.machine, "release": real.release, **words}
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(**said))


def _always(*words: object, **named: object) -> bool:
    return True


def failing(monkeypatch: Patch, module: Any, name: str, number: int, when: Callable[..., bool] = _always) -> None:
    """Let a function fail with that errno, for the arguments that `when` picks."""
    real = getattr(module, name)

    def function(*words: object, **named: object) -> object:
        if when(*words, **named):
            raise OSError(number, os.strerror(number))
        return real(*words, **named)

    monkeypatch.setattr(module, name, function)


# ---- the machine ------------------------------------------------------------------------------------------------


def test_architecture(tmp_path: Path, monkeypatch: Patch) -> None:
    assert line(tmp_path, "architecture").status == "ok"
    machine(monkeypatch, machine="riscv64")
    assert line(tmp_path, "architecture").status == "fail"


@pytest.mark.parametrize(
    ("release", "status", "words"),
    [
        ("4.18.0-553.el8.x86_64", "warn", "older"),
        ("4.19.0-27-amd64", "warn", "slower"),
        ("5.10.0", "warn", "slower"),
        ("5.11.0+", "ok", ""),
        ("6.13+", "ok", ""),
    ],
)
def test_kernel(tmp_path: Path, monkeypatch: Patch, release: str, status: str, words: str) -> None:
    machine(monkeypatch, release=release)
    found = line(tmp_path, "kernel")
    assert (found.status, found.text) == (status, release)
    assert words in found.advice


def test_python(tmp_path: Path) -> None:
    assert sys.executable in line(tmp_path, "python").text


def test_no_new_privs(tmp_path: Path, monkeypatch: Patch) -> None:
    assert line(tmp_path, "no_new_privs").status == "ok"
    monkeypatch.setattr(doctor, "try_no_new_privs", lambda: errno.EINVAL)
    found = line(tmp_path, "no_new_privs")
    assert (found.status, found.text) == ("fail", "Invalid argument")


def test_proot(tmp_path: Path, monkeypatch: Patch) -> None:
    assert not [finding for finding in doctor.examine(tmp_path, {}) if finding.name == "tracer"]
    real = doctor._read
    said = {"/proc/self/status": "Name:\tpython3\nTracerPid:\t7\n", "/proc/7/comm": "proot\n"}
    monkeypatch.setattr(doctor, "_read", lambda path: said.get(path) or real(path))
    monkeypatch.setattr(doctor, "try_program", lambda *words: "working directory /: No such file or directory")
    assert line(tmp_path, "tracer").status == "fail"
    assert "report this" not in line(tmp_path, "engine").advice


@pytest.mark.parametrize(("number", "words"), [(errno.EINVAL, "no filter: Invalid"), (errno.EREMOTEIO, "no SIGSYS")])
def test_seccomp(tmp_path: Path, monkeypatch: Patch, number: int, words: str) -> None:
    assert line(tmp_path, "seccomp").status == "ok"
    monkeypatch.setattr(doctor, "try_seccomp", lambda: number)
    found = line(tmp_path, "seccomp")
    assert found.status == "fail"
    assert words in found.text


@pytest.mark.parametrize(
    ("abi", "status", "text", "words"),
    [
        (0, "warn", "not in this kernel", "not confined"),
        (1, "warn", "ABI 1", "not confined"),
        (2, "warn", "ABI 2", "signals"),
        (5, "warn", "ABI 5", "signals"),
        (6, "ok", "ABI 6", ""),
    ],
)
def test_landlock(tmp_path: Path, monkeypatch: Patch, abi: int, status: str, text: str, words: str) -> None:
    monkeypatch.setattr(doctor, "landlock_abi", lambda: abi)
    found = line(tmp_path, "landlock")
    assert (found.status, found.text) == (status, text)
    assert words in found.advice


# ---- the engine ---------------------------------------------------------------------------------------------------


def test_an_engine_that_is_not_installed(tmp_path: Path, monkeypatch: Patch) -> None:
    def missing() -> Path:
        raise EngineMissing(tmp_path / "engine")

    assert line(tmp_path, "engine").status == "ok"
    monkeypatch.setattr(doctor, "engine_path", missing)
    found = line(tmp_path, "engine")
    assert found.status == "fail"
    assert "reinstall" in found.advice


def test_an_engine_that_may_not_be_executed(tmp_path: Path, monkeypatch: Patch) -> None:
    """As where the installation is mounted noexec."""
    engine = Path(shutil.copy(engine_path(), tmp_path / "engine"))
    engine.chmod(0o644)
    monkeypatch.setattr(doctor, "engine_path", lambda: engine)
    found = line(tmp_path, "engine")
    assert found.status == "fail"
    assert "noexec" in found.advice


def test_an_engine_that_fails(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(doctor, "engine_path", lambda: Path("/bin/false"))
    found = line(tmp_path, "engine")
    assert (found.status, found.text) == ("fail", "/bin/false: exit code 1")
    assert "report" in found.advice


def test_an_engine_that_cannot_be_tried(tmp_path: Path, monkeypatch: Patch) -> None:
    def full(engine: Path, folder: Path) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(doctor, "try_program", full)
    found = line(tmp_path, "engine")
    assert found.status == "warn"
    assert "No space" in found.text


# ---- the store ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(NETWORK - {"lustre"}))
def test_network_file_systems_are_warned_of(tmp_path: Path, monkeypatch: Patch, kind: str) -> None:
    on_file_system(monkeypatch, kind)
    found = line(tmp_path, "store")
    assert found.status == "warn"
    assert f"({kind})" in found.text
    assert "load --link" in found.advice


def test_lustre_may_have_locks_of_one_machine_only(tmp_path: Path, monkeypatch: Patch) -> None:
    on_file_system(monkeypatch, "lustre", "rw,localflock")
    assert "without `flock`" in line(tmp_path, "store").advice
    on_file_system(monkeypatch, "lustre", "rw,flock")
    assert "load --link" in line(tmp_path, "store").advice


def test_local_file_systems_are_good(tmp_path: Path, monkeypatch: Patch) -> None:
    on_file_system(monkeypatch, "ext4")
    assert line(tmp_path, "store").status == "ok"


def test_the_file_system_is_asked_of_the_kernel(tmp_path: Path) -> None:
    kind, options = file_system_of(tmp_path)
    mounts = [entry.split() for entry in Path("/proc/self/mounts").read_text().splitlines()]
    assert kind in {entry[2] for entry in mounts}
    assert "rw" in options
    assert file_system_of(Path("/proc"))[0] == "proc"


@pytest.mark.parametrize(
    ("module", "name", "missing"), [(os, "link", "link"), (os, "symlink", "symlink"), (os, "chmod", "mode")]
)
def test_a_file_system_that_lacks_something(
    tmp_path: Path, monkeypatch: Patch, module: Any, name: str, missing: str
) -> None:
    failing(monkeypatch, module, name, errno.EPERM, lambda *words, **named: Path(words[0]).name in ("a", "u=0;g=0"))
    found = line(tmp_path, "store")
    assert found.status == "fail"
    assert f"no {missing}" in found.text


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: Patch) -> None:
    import fcntl

    failing(monkeypatch, fcntl, "flock", errno.ENOLCK)
    assert "no lock" in line(tmp_path, "store").text


def _executes(*words: object, **named: object) -> bool:
    return bool(named.get("prot", 0) & mmap.PROT_EXEC)  # type: ignore[operator]


def test_a_store_that_is_mounted_noexec(tmp_path: Path, monkeypatch: Patch) -> None:
    failing(monkeypatch, mmap, "mmap", errno.EPERM, _executes)
    found = line(tmp_path, "store")
    assert found.status == "fail"
    assert "noexec" in found.advice


def test_a_store_that_is_really_mounted_noexec(tmp_path: Path) -> None:
    folder = Path("/dev/shm")
    if not os.access(folder, os.W_OK) or "noexec" not in file_system_of(folder)[1]:
        pytest.skip("/dev/shm is not mounted noexec here")
    assert "noexec" in line(folder / "store", "store").advice


def test_a_store_that_cannot_be_written(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    found = line(tmp_path, "store")
    assert found.status == "fail"
    assert "cannot be written" in found.text


def test_user_xattrs_are_not_needed(tmp_path: Path, monkeypatch: Patch) -> None:
    assert line(tmp_path, "user xattrs").text.startswith("on ")
    failing(monkeypatch, os, "setxattr", errno.ENOTSUP)
    found = line(tmp_path, "user xattrs")
    assert found.status == "ok"
    assert found.text.startswith("none on ")


@pytest.mark.parametrize("name", ["space", "temporary space"])
def test_space(tmp_path: Path, monkeypatch: Patch, name: str) -> None:
    state = SimpleNamespace(f_bavail=1 << 20, f_frsize=4096, f_files=1 << 20, f_favail=1 << 19)
    monkeypatch.setattr(os, "statvfs", lambda path: state)
    assert line(tmp_path, name).status == "ok"
    state.f_favail = 99
    assert "99 inodes" in line(tmp_path, name).text
    state.f_files = state.f_favail = 0  # a file system that does not count them
    assert line(tmp_path, name).status == "ok"
    state.f_bavail = 1000
    found = line(tmp_path, name)
    assert found.status == "warn"
    assert "prune" in found.advice


# ---- limits and surroundings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("option", "name"), [("n", "open files"), ("f", "file size"), ("v", "address space")])
def test_low_limits(tmp_path: Path, option: str, name: str) -> None:
    def limits(script: str) -> dict[str, str]:
        command = ["sh", "-c", f'{script} exec "$@"', "sh", sys.executable, "-m", "rootlay.cli.main"]
        command += ["--root", str(tmp_path), "doctor", "--json"]
        report = json.loads(subprocess.run(command, capture_output=True, check=False).stdout)
        found: dict[str, str] = next(finding for finding in report if finding["name"] == "limits")
        return found

    value = {"n": 500, "f": 100_000, "v": 8_000_000}[option]
    assert name not in limits("").get("advice", "")
    low = limits(f"ulimit -{option} {value};")
    assert low["status"] == "warn"
    assert name in low["advice"]


@pytest.mark.parametrize(
    ("path", "name", "text", "status", "said"),
    [
        ("/proc/sys/vm/max_map_count", "max_map_count", "262144", "ok", "262144"),
        ("/proc/sys/vm/max_map_count", "max_map_count", "1000", "warn", "1000"),
        ("/proc/sys/kernel/randomize_va_space", "address randomisation", "0", "ok", "off"),
        ("/proc/sys/kernel/randomize_va_space", "address randomisation", "1", "ok", "without the heap"),
        ("/proc/sys/kernel/randomize_va_space", "address randomisation", "2", "ok", "full"),
        ("/proc/sys/kernel/randomize_va_space", "address randomisation", "", "ok", "unknown"),
        ("/proc/self/maps", "vsyscall", "", "ok", "none"),
        ("/proc/self/maps", "vsyscall", "ffffffffff600000-0 --xp 0 00:00 0 [vsyscall]", "ok", "emulated"),
        ("/proc/self/maps", "vsyscall", "ffffffffff600000-0 r--p 0 00:00 0 [vsyscall]", "ok", "unknown"),
        ("/proc/sys/kernel/yama/ptrace_scope", "ptrace", "2", "ok", "scope 2"),
        ("/proc/sys/kernel/yama/ptrace_scope", "ptrace", "", "ok", "scope 0"),
        ("/proc/sys/user/max_user_namespaces", "user namespaces", "0", "ok", "restricted"),
        ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "user namespaces", "1", "ok", "restricted"),
    ],
)
def test_what_the_kernel_says_of_itself(
    tmp_path: Path, monkeypatch: Patch, path: str, name: str, text: str, status: str, said: str
) -> None:
    reading(monkeypatch, path, text)
    found = line(tmp_path, name)
    assert found.status == status
    assert found.text.startswith(said)


def test_user_namespaces_that_are_allowed(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(doctor, "_read", lambda path: "15000" if path.endswith("max_user_namespaces") else "")
    assert line(tmp_path, "user namespaces").text.startswith("allowed")


@pytest.mark.parametrize(
    ("environ", "marker", "said"),
    [
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "", "inside Kubernetes"),
        ({}, "/.dockerenv", "inside Docker"),
        ({}, "/run/.containerenv", "inside Podman"),
        ({"container": "lxc"}, "", "inside lxc"),
        ({}, "", "none around us"),
    ],
)
def test_container(tmp_path: Path, monkeypatch: Patch, environ: dict[str, str], marker: str, said: str) -> None:
    real = Path.exists
    markers = ("/.dockerenv", "/run/.containerenv")
    monkeypatch.setattr(Path, "exists", lambda path: str(path) == marker if str(path) in markers else real(path))
    found = line(tmp_path, "container", environ)
    assert found.text.startswith(said)
    assert ("volume" in found.advice) == ("KUBERNETES_SERVICE_HOST" in environ)


@pytest.mark.parametrize(("uid", "status"), [(0, "warn"), (1000, "ok")])
def test_user(tmp_path: Path, monkeypatch: Patch, uid: int, status: str) -> None:
    monkeypatch.setattr(doctor, "try_program", lambda engine, folder: "")
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    assert line(tmp_path, "user").status == status


def test_a_check_that_goes_wrong_is_a_line(tmp_path: Path, monkeypatch: Patch) -> None:
    failing(monkeypatch, os, "statvfs", errno.EIO)
    [found] = [finding for finding in doctor.examine(tmp_path, {}) if finding.name == "check"]
    assert (found.status, "Input/output error" in found.text) == ("warn", True)


def test_no_line_is_left_out_here(tmp_path: Path) -> None:
    mine = Path(__file__).read_text(encoding="utf-8")
    names = {finding.name for finding in doctor.examine(tmp_path, {})}
    assert [name for name in sorted(names) if f'"{name}"' not in mine] == []


def test_the_means_of_limits(tmp_path: Path) -> None:
    found = line(tmp_path, "limits of programs")
    assert found.status == "ok"
    assert "memory" in found.text
    assert "pids" in found.text


@pytest.mark.parametrize(("number", "status"), [(0, "ok"), (errno.EPERM, "fail")])
def test_statx(tmp_path: Path, monkeypatch: Patch, number: int, status: str) -> None:
    monkeypatch.setattr(doctor, "try_statx", lambda: number)
    assert line(tmp_path, "statx").status == status
