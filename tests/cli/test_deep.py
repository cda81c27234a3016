"""Trees of more levels than Python recurses, through the whole command line (each part: tests/vfs/test_deep.py).

ROOTLAY_TEST_LONG takes them as deep as a path can name (2,047 levels), else they have a few more than the thousand
levels at which Python gives up.
"""

from __future__ import annotations

import io
import os
import resource
import subprocess
import tarfile
from pathlib import Path

import pytest

from rootlay.store.disk.durable import make_directories
from tests.cli.conftest import Rootlay

pytestmark = [pytest.mark.long_form, pytest.mark.once]

LEVELS = 2040 if os.environ.get("ROOTLAY_TEST_LONG") else 1100
DEEP = "/".join("d" * LEVELS)
PATIENCE_S = 900


def deep_tar(target: Path) -> Path:
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo(f"{DEEP}/f")
        info.size = 4
        tar.addfile(info, io.BytesIO(b"deep"))
    return target


def names(path: Path) -> list[str]:
    with tarfile.open(path) as tar:
        return tar.getnames()


@pytest.fixture
def deep(rootlay: Rootlay, tmp_path: Path) -> Rootlay:
    rootlay("import", str(deep_tar(tmp_path / "deep.tar")), "deep", timeout_s=PATIENCE_S)
    return rootlay


@pytest.mark.timeout(PATIENCE_S)
def test_a_deep_image_is_changed_committed_exported_checked_and_removed(deep: Rootlay, tmp_path: Path) -> None:
    (tmp_path / "given").write_text("given")
    deep("create", "--name", "c", "deep", "true")
    deep("cp", str(tmp_path / "given"), f"c:/{DEEP}/given", timeout_s=PATIENCE_S)
    assert deep.out("diff", "c", timeout_s=PATIENCE_S).splitlines()[-1] == f"A /{DEEP}/given"
    deep("commit", "c", "deep:2", timeout_s=PATIENCE_S)
    deep("export", "-o", str(tmp_path / "out.tar"), "c", timeout_s=PATIENCE_S)
    assert names(tmp_path / "out.tar")[-2:] == [f"{DEEP}/f", f"{DEEP}/given"]
    deep("fsck", "--deep", timeout_s=PATIENCE_S)
    deep("save", "-o", str(tmp_path / "saved.tar"), "deep:2", timeout_s=PATIENCE_S)
    deep("rm", "c", timeout_s=PATIENCE_S)
    deep("rmi", "deep:2", timeout_s=PATIENCE_S)
    deep("load", "-i", str(tmp_path / "saved.tar"), timeout_s=PATIENCE_S)
    deep("prune", timeout_s=PATIENCE_S)
    deep("fsck", "--deep", timeout_s=PATIENCE_S)


FEW = 256
"""Descriptors: less than the levels."""


def few_descriptors() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (FEW, FEW))


@pytest.mark.timeout(120)
def test_cp_of_a_deep_tree_needs_few_descriptors(rootlay: Rootlay, tmp_path: Path) -> None:
    """Out by all levels; in by 300: each step in resolves its path, so the time is the square of the levels."""
    rootlay("import", str(deep_tar(tmp_path / "deep.tar")), "deep", timeout_s=100)
    rootlay("create", "--name", "c", "deep", "true")
    rootlay("cp", "c:/d", str(tmp_path / "out"), preexec_fn=few_descriptors, timeout_s=60)
    depth, directory = 1, os.open(tmp_path / "out", os.O_RDONLY)
    while "d" in os.listdir(directory):
        below = os.open("d", os.O_RDONLY, dir_fd=directory)
        os.close(directory)
        depth, directory = depth + 1, below
    assert os.listdir(directory) == ["f"]
    os.close(directory)
    assert depth == LEVELS
    part = DEEP[-600:].strip("/")
    rootlay(
        "cp", f"{tmp_path}/out/{DEEP[: len(DEEP) - len(part) - 3]}", "c:/in", preexec_fn=few_descriptors, timeout_s=60
    )
    rootlay("cp", f"c:/in/{part}/f", str(tmp_path / "f"))
    assert (tmp_path / "f").read_text() == "deep"
    subprocess.run(["rm", "-rf", tmp_path / "out"], check=True)  # too deep for Python's own


@pytest.mark.timeout(PATIENCE_S)
def test_a_deep_directory_is_imported_and_copied_by_a_build(rootlay: Rootlay, tmp_path: Path) -> None:
    context = tmp_path / "context"
    make_directories(context / "x" / DEEP[:-200])  # below the context a path of the host is longer
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY x /x\n")
    rootlay("build", "-q", "-t", "app", "-f", str(tmp_path / "Dockerfile"), str(context), timeout_s=PATIENCE_S)
    rootlay("import", str(context), "tree", timeout_s=PATIENCE_S)
    for image in ("app", "tree"):
        rootlay("create", "--name", image, image, "true")
        rootlay("export", "-o", str(tmp_path / f"{image}.tar"), image, timeout_s=PATIENCE_S)
        assert names(tmp_path / f"{image}.tar")[-1] == f"x/{DEEP[:-200]}"
        rootlay("rm", image, timeout_s=PATIENCE_S)
