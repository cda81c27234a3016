"""The working directory: workdirs.c inside against workdirs.c in a plain directory."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.native.guest import HERE, Guest


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler (cc)")
    target = tmp_path_factory.mktemp("workdirs") / "workdirs"
    subprocess.run(["cc", "-O1", "-static", "-pthread", "-o", str(target), str(HERE / "workdirs.c")], check=True)
    return target


def test_relative_names_follow_the_working_directory_whoever_changes_it(
    guest: Guest, program: Path, tmp_path: Path
) -> None:
    (tmp_path / "image").mkdir()
    (tmp_path / "image" / "f").write_text("image")
    outside = subprocess.run([program], cwd=tmp_path, capture_output=True, text=True, check=True)
    shutil.copy(program, guest.lower / "t" / "workdirs")
    image = guest.lower / "tmp" / "plain" / "image"
    image.mkdir(parents=True, exist_ok=True)
    (image / "f").write_text("image")
    inside = guest.run("/t/workdirs", cwd="/tmp/plain")
    assert inside.returncode == 0, inside.stderr
    assert outside.stdout.count("\n") > 100
    assert inside.stdout.decode() == outside.stdout
    assert inside.stderr.decode() == outside.stderr
