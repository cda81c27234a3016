"""PyFilesystem2 is imported only when asked for, without a warning and without a trace."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

RUN = [sys.executable, "-W", "error", "-c"]


def run(code: str, first_on_path: str = "") -> str:
    env = {**os.environ, "PYTHONPATH": first_on_path}
    done = subprocess.run([*RUN, code], capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.strip()


def test_import_leaves_no_trace_and_gives_no_warning() -> None:
    code = (
        "import sys; import rootlay.vfs.pyfs.layerfs as l; import fs.memoryfs, fs.osfs; "
        "print('pkg_resources' in sys.modules, fs.open_fs('mem://') is not None, 'mem' in fs.opener.registry.protocols)"
    )
    assert run(code) == "False True True"


def test_a_pkg_resources_that_is_there_is_put_back() -> None:
    code = (
        "import sys, types; mine = types.ModuleType('pkg_resources'); sys.modules['pkg_resources'] = mine; "
        "from rootlay.vfs.pyfs.importfs import import_pyfs; import_pyfs(); print(sys.modules['pkg_resources'] is mine)"
    )
    assert run(code) == "True"


USE = (
    "import rootlay.vfs.pyfs.layerfs, fs, sys; print(fs.open_fs('mem://').isempty('/'), 'pkg_resources' in sys.modules)"
)


@pytest.mark.parametrize(
    "setuptools",
    ["raise ModuleNotFoundError('pkg_resources')", "import warnings; warnings.warn('pkg_resources is deprecated')"],
    ids=["none", "one that warns"],
)
def test_any_setuptools_or_none(setuptools: str, tmp_path: Path) -> None:
    for name in ("setuptools", "pkg_resources"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(setuptools)
    assert run(USE, str(tmp_path)) == "True False"


@pytest.mark.skipif(not os.environ.get("ROOTLAY_TEST_NETWORK"), reason="asks PyPI: with ROOTLAY_TEST_NETWORK")
@pytest.mark.parametrize("version", ["65.5.1", "75.8.0", "80.9.0", "82.0.0"])
def test_setuptools_by_version(version: str, tmp_path: Path) -> None:
    """With pkg_resources that says nothing, that warns of itself in two ways, and without it."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--target", tmp_path, f"setuptools=={version}"], check=True)
    assert (tmp_path / "pkg_resources").is_dir() is (version < "82")
    assert run(USE, str(tmp_path)) == "True False"


@pytest.mark.parametrize("module", ["fs", "ctypes", "lmdb", "zstandard", "pkg_resources", "rich", "typer"])
def test_the_overlay_itself_needs_no_heavy_module(module: str) -> None:
    """What `rootlay run` imports to make a container; `ctypes` comes with the first bit that is set."""
    code = f"import sys; import rootlay.vfs.overlay.overlay, rootlay.vfs.changes.diff; print({module!r} in sys.modules)"
    assert run(code) == "False"
