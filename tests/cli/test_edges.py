"""tests/native/edges.c inside against outside: errors that need mounts, descriptors, running programs and limits."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Rootlay

SOURCE = Path(__file__).parents[1] / "native" / "edges.c"


def tree(path: Path) -> Path:
    (path / "dir").mkdir(parents=True)
    (path / "file").write_text("hi\n")
    (path / "dir" / "file").write_text("hi\n")
    (path / "link").symlink_to("file")
    return path


@pytest.fixture(scope="module")
def edges(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the program, static."""
    if shutil.which("cc") is None:
        pytest.skip("cc is not installed")
    target = tmp_path_factory.mktemp("edges") / "edges"
    subprocess.run(["cc", "-O1", "-static", "-o", target, SOURCE], check=True, capture_output=True)
    return target.parent


def outside(edges: Path, tmp_path: Path) -> list[str]:
    """What the kernel says, with the mounts made by bubblewrap."""
    bwrap = shutil.which("bwrap")
    if bwrap is None or subprocess.run([bwrap, "--dev-bind", "/", "/", "true"], check=False).returncode:
        pytest.skip("bwrap is not installed, or may not be used here")
    work = tmp_path / "work"
    for name in ("ro", "other"):
        (work / name).mkdir(parents=True)
    mounts = [
        "--ro-bind",
        str(tree(tmp_path / "ro")),
        str(work / "ro"),
        "--bind",
        str(tree(tmp_path / "other")),
        str(work / "other"),
    ]
    command = [bwrap, "--dev-bind", "/", "/", *mounts, "--chdir", str(work), str(edges / "edges"), "ro", "other"]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.splitlines()


@pytest.mark.parametrize("patch", [(), ("--no-patch",)], ids=["patched", "trapped"])
def test_errors_are_those_of_the_kernel(small: Rootlay, edges: Path, tmp_path: Path, patch: tuple[str, ...]) -> None:
    if os.getuid() == 0:
        pytest.skip("root may do outside what the same user may not do inside: run as an ordinary user")
    expected = outside(edges, tmp_path)
    options = ["-v", f"{tree(tmp_path / 'ro2')}:/work/ro:ro", "-v", f"{tree(tmp_path / 'other2')}:/work/other"]
    words = ["/x/edges", "ro", "other", str(os.getuid()), str(os.getgid())]
    got = small.out(
        "run", "--rm", *patch, *options, "-v", f"{edges}:/x:ro", "-w", "/work", "small", *words
    ).splitlines()
    assert len(expected) > 650
    assert [pair for pair in zip(expected, got, strict=True) if pair[0] != pair[1]] == []
