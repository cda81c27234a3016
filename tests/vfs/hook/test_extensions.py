"""C, C++ and Rust libraries that are loaded inside read and write the container's files.

    ROOTLAY_TEST_LONG=1 tests/run tests/vfs/hook/test_extensions.py

takes pyarrow and polars, too, which have to be installed; docs/compatibility.md has the versions that were tried.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest

from rootlay.vfs import Image
from tests.vfs.hook import extensions

pytestmark = pytest.mark.long_form

LARGE = ("pyarrow", "polars")


@pytest.mark.parametrize("library", sorted(extensions.LIBRARIES))
def test_a_library_reads_and_writes_inside(image: Image, library: str) -> None:
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    if library in LARGE and not os.environ.get("ROOTLAY_TEST_LONG"):
        pytest.skip("large: with ROOTLAY_TEST_LONG")
    done = subprocess.run(
        [sys.executable, extensions.__file__, str(image.root), "small", library], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
