"""docs/api.md has every public name, each has a docstring, and a user's program that uses them is well typed."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import rootlay.vfs

pytestmark = pytest.mark.once

DOCS = Path(__file__).parents[2] / "docs"
pytest.importorskip("fsspec", reason="fsspec is not installed")


@pytest.fixture(scope="module")
def make_api() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_api", DOCS / "make_api.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_public_name_is_documented(make_api: ModuleType) -> None:
    bare = []
    for name in rootlay.vfs.__all__:
        cls = getattr(rootlay.vfs, name)
        if not cls.__doc__:
            bare.append(name)
        if not isinstance(cls, type):
            assert callable(cls)
            continue
        own = make_api.members(cls)
        bare += [f"{name}.{key}" for key, member in own if not make_api.documentation(cls, key, member)]
    assert bare == []


def test_every_public_name_is_in_the_reference(make_api: ModuleType) -> None:
    """`python docs/make_api.py` makes it so; it also brings the texts up to date."""

    def headings(text: str) -> list[str]:
        return [line for line in text.splitlines() if line.startswith("#")]

    assert headings((DOCS / "api.md").read_text(encoding="utf-8")) == headings(make_api.reference())


def test_a_star_import_gives_the_public_names() -> None:
    names: dict[str, object] = {}
    exec("from rootlay.vfs import *", names)
    assert set(rootlay.vfs.__all__) <= names.keys()
    assert set(rootlay.vfs.__all__) <= set(dir(rootlay.vfs))
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = rootlay.vfs.Nothing


def test_a_users_program_is_well_typed(tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="mypy is not installed")
    program = Path(__file__).with_name("user_program.py")
    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--config-file", os.devnull]
    command += ["--cache-dir", str(tmp_path), str(program)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    wrong = tmp_path / "wrong.py"
    wrong.write_text("from rootlay.vfs import Store\nStore.open(1).image(b'x').container().diff(since=3)\n")
    done = subprocess.run([*command[:-1], str(wrong)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.count("[arg-type]") == 3, done.stdout


def test_each_line_of_misuse_is_an_error(tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="mypy is not installed")
    program = tmp_path / "misuse.py"
    program.write_text(Path(__file__).with_name("misuse.py.txt").read_text(encoding="utf-8"), encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--config-file", os.devnull]
    command += ["--cache-dir", str(tmp_path), str(program)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    told = {int(found[1]) for found in re.finditer(r"misuse\.py:(\d+): error", done.stdout)}
    lines = program.read_text(encoding="utf-8").splitlines()
    start = next(at for at, line in enumerate(lines, 1) if line.startswith("def wrong")) + 1
    assert {n: lines[n - 1] for n in range(start, len(lines) + 1) if n not in told} == {}


def test_the_users_program_runs(tmp_path: Path) -> None:
    (tmp_path / "tree" / "etc").mkdir(parents=True)
    (tmp_path / "tree" / "etc" / "motd").write_text("welcome\n")
    program = Path(__file__).with_name("user_program.py")
    command = [sys.executable, "-W", "error", str(program), str(tmp_path / "store"), str(tmp_path / "tree")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["C /etc", "C /etc/motd", "A /new", "C /etc", "C /etc/motd", "kept"]
