"""tests/native/kept.c, of an engine that keeps descriptors of directories, and Landlock's rules near files."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Rootlay
from tests.cli.test_confine import HELD, needs_landlock
from tests.cli.test_confine import SOURCE as HOSTILE

SOURCE = Path(__file__).parents[1] / "native" / "kept.c"
CASES = 8  # `started` once more, in a child that execs
LIMITS = ("--ulimit", "nofile=256:1024")


@pytest.fixture(scope="module")
def kept_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the image `kept`: the programs, and files of one name in two directories."""
    if not shutil.which("cc"):
        pytest.skip("needs a C compiler (cc)")
    base = tmp_path_factory.mktemp("kept")
    for name in ("one", "two"):
        (base / "tree" / "deep" / name).mkdir(parents=True)
        (base / "tree" / "deep" / name / "file").write_text(name)
    (base / "tree" / "usr" / "lib").mkdir(parents=True)
    (base / "tree" / "usr" / "lib" / "file").write_text("file")
    for source in (SOURCE, HOSTILE):
        command = ["cc", "-static", "-O1", "-pthread", "-o", str(base / "tree" / source.stem), str(source)]
        subprocess.run(command, check=True, capture_output=True)
    subprocess.run(["tar", "-cf", base / "image.tar", "-C", base / "tree", "."], check=True)
    Rootlay(base / "store").out("import", str(base / "image.tar"), "kept")
    return base / "store"


@pytest.fixture
def kept(kept_store: Path, tmp_path: Path) -> Rootlay:
    shutil.copytree(kept_store, tmp_path / "store", symlinks=True)
    return Rootlay(tmp_path / "store")


@pytest.mark.parametrize("patch", [(), ("--no-patch",)], ids=["patched", "trapped"])
def test_descriptors_of_directories_are_out_of_reach(kept: Rootlay, patch: tuple[str, ...]) -> None:
    lines = kept.out("run", "--rm", *LIMITS, *patch, "kept", "/kept").splitlines()
    assert len(lines) == CASES
    assert not [line for line in lines if not line.endswith(" ok")], lines


def test_without_room_above_the_limit_none_is_kept(kept: Rootlay) -> None:
    words = ("run", "--rm", "--ulimit", "nofile=256:300", "kept", "/kept")
    assert kept.out(*words, "none_without_room") == "none_without_room ok\n"


@needs_landlock
def test_a_link_in_the_place_of_a_directory_with_a_rule_is_not_followed(kept: Rootlay, tmp_path: Path) -> None:
    (tmp_path / "host" / "secret").mkdir(parents=True)
    canary = tmp_path / "host" / "secret" / "canary"
    canary.write_text("canary\n")
    assert kept.out("run", "--rm", "kept", "/hostile", "again", str(canary)) == HELD
    [tree] = (kept.root / "layers").glob("*/tree")
    shutil.rmtree(tree / "usr" / "lib", ignore_errors=True)
    (tree / "usr").mkdir(exist_ok=True)
    os.symlink(tmp_path / "host", tree / "usr" / "lib")
    os.symlink(tmp_path / "host", tree / "usr" / "share")
    assert kept.out("run", "--rm", "kept", "/hostile", "again", str(canary)) == HELD
    shutil.rmtree(tree / "usr")
    os.symlink(tmp_path / "host", tree / "usr")
    (tmp_path / "host" / "lib").symlink_to("secret")
    (tmp_path / "host" / "share").mkdir()
    (tmp_path / "host" / "share" / "canary").write_text("canary\n")
    assert kept.out("run", "--rm", "kept", "/hostile", "again", str(tmp_path / "host" / "share" / "canary")) == HELD
