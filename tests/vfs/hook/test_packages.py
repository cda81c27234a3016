"""Compiled packages that only the image has are imported inside, with the libraries that they bring along.

They are what is installed in this Python, copied into a layer; those that are not installed are skipped.

    pip install pyarrow polars && ROOTLAY_TEST_LONG=1 tests/run tests/vfs/hook/test_packages.py
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rootlay.vfs import Image
from tests.support.archives.make import child_environment
from tests.vfs.hook import packages
from tests.vfs.hook.test_extensions import LARGE

pytestmark = [pytest.mark.long_form, pytest.mark.once]


def is_wanted(library: str) -> bool:
    is_large = library in LARGE and not os.environ.get("ROOTLAY_TEST_LONG")
    return importlib.util.find_spec(library) is not None and not is_large


@pytest.fixture(scope="module")
def packed(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The image with one more layer, of the packages."""
    site = tmp_path_factory.mktemp("packages") / "site"
    site.mkdir()
    packages.copy_distributions(filter(is_wanted, packages.OUTSIDE), site)
    made = image.add_layer({packages.SITE: site, **packages.machine_libraries(site)}, "packages")
    shutil.rmtree(site)
    return made


@pytest.mark.parametrize("library", sorted(packages.OUTSIDE))
def test_a_package_of_the_image_is_imported_and_works(packed: Image, library: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    if not is_wanted(library):
        pytest.skip("large: with ROOTLAY_TEST_LONG")
    command = [sys.executable, "-m", "tests.vfs.hook.packages", str(packed.root), "packages", library]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=child_environment())
    assert done.returncode == 0, done.stderr
