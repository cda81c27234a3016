"""Paths of almost PATH_MAX bytes, in the upper and in the image, are as good inside as in a plain directory: with the
layer's own path before them they are longer than the kernel takes."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from rootlay.vfs import Store

SOURCE = Path(__file__).with_name("longpaths.c")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler (cc)")
    target = tmp_path_factory.mktemp("long") / "longpaths"
    subprocess.run([compiler, "-O1", "-Wall", "-static", "-o", str(target), str(SOURCE)], check=True)
    return target


def said(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("flags", [[], ["--no-patch"]], ids=["patched", "trapped"])
def test_long_paths_are_as_good_as_short_ones(program: Path, tmp_path: Path, flags: list[str]) -> None:
    plain, archive = tmp_path / "p", tmp_path / "image.tar"
    plain.mkdir()
    subprocess.run([str(program), str(plain), "fill"], check=True, stdout=subprocess.DEVNULL)
    pack = f"cd {plain} && tar --format=pax -cf {archive} image"
    subprocess.run(["sh", "-c", pack], check=True)
    with tarfile.open(archive, "a", format=tarfile.PAX_FORMAT) as tar:
        tar.add(program, "t/longpaths")
    expected = said(subprocess.run([str(program), str(plain)], capture_output=True, text=True, check=False))
    assert "too long" not in expected
    store = Store.open(tmp_path / "store")
    store.import_rootfs(archive, "long")
    command = [sys.executable, "-m", "rootlay.cli.main", "--root", str(store.root), "run", "--rm", *flags, "long"]
    found = said(subprocess.run([*command, "/t/longpaths", "/"], capture_output=True, text=True, check=False))
    assert found == expected
