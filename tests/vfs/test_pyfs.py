"""PyFilesystem2 is imported only when asked for, without a warning and without a trace."""

import subprocess
import sys

import pytest

RUN = [sys.executable, "-W", "error", "-c"]


def run(code: str) -> str:
    done = subprocess.run([*RUN, code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.strip()


def test_import_leaves_no_trace_and_gives_no_warning() -> None:
    code = (
        "import sys; import rootlay.vfs.layerfs as l; import fs.memoryfs, fs.osfs; "
        "print('pkg_resources' in sys.modules, fs.open_fs('mem://') is not None, 'mem' in fs.opener.registry.protocols)"
    )
    assert run(code) == "False True True"


def test_a_pkg_resources_that_is_there_is_put_back() -> None:
    code = (
        "import sys, types; mine = types.ModuleType('pkg_resources'); sys.modules['pkg_resources'] = mine; "
        "from rootlay.vfs.pyfs import import_pyfs; import_pyfs(); print(sys.modules['pkg_resources'] is mine)"
    )
    assert run(code) == "True"


@pytest.mark.parametrize("module", ["fs", "ctypes", "lmdb", "zstandard", "pkg_resources", "rich", "typer"])
def test_the_overlay_itself_needs_no_heavy_module(module: str) -> None:
    """What `rootlay run` imports to make a container; `ctypes` comes with the first bit that is set."""
    code = f"import sys; import rootlay.vfs.overlay, rootlay.vfs.diff; print({module!r} in sys.modules)"
    assert run(code) == "False"
