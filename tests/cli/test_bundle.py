"""`rootlay bundle` and running what it makes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rootlay.store.containers.containers import Containers
from tests.cli.conftest import Rootlay


@pytest.fixture
def file(small: Rootlay, tmp_path: Path) -> Path:
    path = tmp_path / "small.rlay"
    small("bundle", "small", "-o", str(path))
    return path


def test_runs_with_a_store_that_has_never_seen_the_image(file: Path, tmp_path: Path) -> None:
    other = Rootlay(tmp_path / "other")
    assert other.out("run", "--rm", str(file), "--", "sh", "-c", "echo x > /new; cat /etc/motd /new").endswith("x\n")
    assert other.out("images", "-q") == ""
    assert other.out("ps", "-aq") == ""


def test_keeps_a_container_and_commits_it(file: Path, tmp_path: Path, small: Rootlay) -> None:
    other = Rootlay(tmp_path / "other")
    other("run", "--name", "c", str(file), "--", "sh", "-c", "echo changed > /etc/motd; rm /script")
    assert Containers(other.root).find("c").root == other.root
    assert other.out("diff", "c").split("\n")[:3] == ["C /etc", "C /etc/motd", "D /script"]
    other("commit", "c", "changed")
    assert other.out("run", "--rm", "changed", "cat", "/etc/motd") == "changed\n"
    layers, more = (
        json.loads(r.out("inspect", image))[0]["RootFS"]["Layers"]
        for r, image in ((small, "small"), (other, "changed"))
    )
    assert more[:-1] == layers
    other("rm", "c")
    assert other.out("images", "-q").count("\n") == 1


def test_lies_on_a_read_only_place(file: Path, tmp_path: Path) -> None:
    place = tmp_path / "shared"
    place.mkdir()
    os.rename(file, place / "small.rlay")
    (place / "small.rlay").chmod(0o444)
    place.chmod(0o555)
    before = (place / "small.rlay").read_bytes()
    try:
        for node in ("node1", "node2"):
            assert Rootlay(tmp_path / node).out("run", "--rm", str(place / "small.rlay"), "echo", "hi") == "hi\n"
    finally:
        place.chmod(0o755)
    assert (place / "small.rlay").read_bytes() == before
    assert os.listdir(place) == ["small.rlay"]


def test_many_machines_at_once(file: Path, tmp_path: Path) -> None:
    """Each root is as another machine's local disk; all start cold, together."""
    command = [sys.executable, "-m", "rootlay.cli.main"]
    running = [
        subprocess.Popen(
            [*command, "run", "--rm", str(file), "sh", "-c", f"echo {n} > /mine; cat /mine /etc/motd"],
            env={**os.environ, "ROOTLAY_ROOT": str(tmp_path / f"root{n % 4}")},
            stdout=subprocess.PIPE,
        )
        for n in range(12)
    ]
    for n, process in enumerate(running):
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert out.startswith(f"{n}\n".encode())


def test_is_a_program(file: Path, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "rootlay").write_text(f'#!/bin/sh\nexec {sys.executable} -m rootlay.cli.main "$@"\n')
    (programs / "rootlay").chmod(0o755)
    environ = {**os.environ, "ROOTLAY_ROOT": str(tmp_path / "root"), "PATH": f"{programs}:{os.environ['PATH']}"}
    done = subprocess.run([file, "echo", "inside"], env=environ, capture_output=True, timeout=60, check=True)
    assert done.stdout == b"inside\n"


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write everywhere")
def test_without_a_home_to_write_to(file: Path, tmp_path: Path) -> None:
    home, local = tmp_path / "home", tmp_path / "local"
    home.mkdir(mode=0o555)
    local.mkdir()
    environ = {name: text for name, text in os.environ.items() if name not in ("ROOTLAY_ROOT", "XDG_DATA_HOME")}
    environ |= {"HOME": str(home), "TMPDIR": str(local)}
    command = [sys.executable, "-m", "rootlay.cli.main", "run", "--rm", str(file), "echo", "hi"]
    done = subprocess.run(command, env=environ, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, b"hi\n"), done.stderr
    (found,) = local.glob("rootlay-*")
    assert found.stat().st_mode & 0o777 == 0o700
    found.chmod(0o777)
    done = subprocess.run(command, env=environ, capture_output=True, timeout=60, check=False)
    assert done.returncode == 125
    assert b"not a directory that only you can write" in done.stderr


def test_loads(file: Path, tmp_path: Path, small: Rootlay) -> None:
    other = Rootlay(tmp_path / "other")
    assert other.out("load", "-i", str(file)) == "Loaded image: small:latest\n"
    assert other.out("images", "-q") == small.out("images", "-q")


def test_prune_leaves_a_bundle_in_use_and_survives_one_that_is_gone(file: Path, tmp_path: Path) -> None:
    other = Rootlay(tmp_path / "other")
    other("create", "--name", "c", str(file), "true")
    (link,) = (tmp_path / "other" / "views").glob("*.bundle")
    os.utime(link, (1, 1), follow_symlinks=False)
    other("prune", "-f")
    assert other("start", "-a", "c").returncode == 0
    file.unlink()
    assert "the bundle that the container was made from is missing" in other.fails("start", "-a", "c", code=125)
    other("rm", "c")
    other("prune", "-f")
    assert not list((tmp_path / "other" / "views").glob("*.bundle"))


def test_bad_input(small: Rootlay, file: Path, tmp_path: Path) -> None:
    assert "nothere" in small.fails("bundle", "nothere", "-o", str(tmp_path / "x.rlay"), code=10)
    assert "-o FILE is missing" in small.fails("bundle", "small", code=2)
    small.fails("bundle", "small", "-o", str(tmp_path / "no" / "x.rlay"), code=1)
    assert not list(tmp_path.glob(".x*"))
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])
    assert "truncated" in small.fails("run", "--rm", str(file), "true", code=125)
    assert "truncated" in small.fails("load", "-i", str(file), code=21)
    assert small.out("ps", "-aq") == ""


def test_two_machines_read_one_store(small: Rootlay, tmp_path: Path) -> None:
    """Each links to the images of a store that neither may write to, and keeps its containers to itself: no lock file
    of LMDB's, nothing else is left in the store, and nothing in it is touched."""

    def state() -> dict[str, tuple[int, int]]:
        return {str(p): (p.lstat().st_size, p.lstat().st_mtime_ns) for p in small.root.rglob("*")}

    before = state()
    for path in (small.root, *small.root.rglob("*")):
        path.chmod(path.stat().st_mode & 0o555)
    try:
        for machine in (Rootlay(tmp_path / "one"), Rootlay(tmp_path / "two")):
            machine("load", "--link", "-i", str(small.root), "--image", "small")
            assert machine.out("run", "--rm", "small", "sh", "-c", "echo x > /new; cat /new") == "x\n"
            used = sum(p.lstat().st_size for p in (machine.root / "blobs").rglob("*") if not p.is_dir())
            assert used < 20_000
        assert state() == before
    finally:
        for path in (small.root, *small.root.rglob("*")):
            path.chmod(path.stat().st_mode | 0o700 if path.is_dir() else 0o600)


def test_optimize(small: Rootlay) -> None:
    assert "quick already" in small.out("optimize", "small")
    assert "nothere" in small.fails("optimize", "nothere", code=10)
