"""Compiled packages that the image brings. As a program: `python -m tests.vfs.hook.packages STORE IMAGE LIBRARY`.

The library is imported inside, from the image's files, works on files inside, goes on working outside, and is imported
by a program that is started inside.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tests.vfs.hook.extensions import LIBRARIES

SITE = "/opt/inside"
DISTRIBUTIONS = {
    "lxml": ("lxml",),
    "numpy": ("numpy",),
    "PIL": ("pillow",),
    "h5py": ("h5py", "numpy"),
    "pandas": ("pandas", "numpy", "python-dateutil", "six"),
    "pyarrow": ("pyarrow", "numpy"),
    "polars": ("polars", "polars-runtime-32"),
}
"""By library: what has to be in the image, where it is installed here."""


def copy_distributions(libraries: Iterable[str], target: Path) -> None:
    """What pip has installed of libraries and what they need, as `pip install --target` has it, without tests."""
    for name in {name for library in libraries for name in DISTRIBUTIONS[library]}:
        for file in _files(name):
            if not {"..", "__pycache__", "tests"} & set(file.parts):
                to = target / file
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(str(file.locate()), to)


def machine_libraries(site: Path) -> dict[str, Path]:
    """The libraries that those packages, and Python's own modules, need beside theirs: an image of such has them."""
    own = Path(sysconfig.get_config_var("DESTSHARED")).glob("*.so")
    objects = [str(path) for path in (*site.rglob("*.so*"), *own)]
    listing = subprocess.run(["ldd", *objects], capture_output=True, text=True).stdout
    needed = {word for word in listing.split() if word.startswith("/") and not word.endswith(":")}
    return {path: Path(os.path.realpath(path)) for path in needed if not path.startswith(f"{site}/")}


def use_lxml() -> None:
    assert importlib.import_module("lxml.etree").fromstring("<a><b/></a>")[0].tag == "b"


def use_numpy() -> None:
    numpy = importlib.import_module("numpy")
    ones = numpy.ones((200, 200))  # by its own BLAS, in threads
    assert (ones @ ones).sum() == 200**3
    assert abs(numpy.linalg.det(numpy.eye(50)) - 1) < 1e-9


def use_pil() -> None:
    assert importlib.import_module("PIL.Image").new("L", (9, 9), 7).resize((3, 3)).getpixel((1, 1)) == 7


def use_h5py() -> None:
    assert importlib.import_module("h5py").h5.get_libversion() >= (1, 10, 0)


def use_pandas() -> None:
    pandas = importlib.import_module("pandas")
    assert pandas.DataFrame({"k": [1, 1, 2], "v": [1, 2, 3]}).groupby("k").v.sum().tolist() == [3, 3]


def use_pyarrow() -> None:
    pyarrow, compute = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.compute")
    assert compute.sum(pyarrow.array([1, 2, 3])).as_py() == 6


def use_polars() -> None:
    polars = importlib.import_module("polars")
    assert polars.DataFrame({"k": [1, 1, 2], "v": [1, 2, 3]}).group_by("k").sum().height == 2


OUTSIDE: dict[str, Callable[[], None]] = {
    "lxml": use_lxml,
    "numpy": use_numpy,
    "PIL": use_pil,
    "h5py": use_h5py,
    "pandas": use_pandas,
    "pyarrow": use_pyarrow,
    "polars": use_polars,
}


def mapped_objects() -> set[str]:
    with open("/proc/self/maps") as maps:
        return {line.split(maxsplit=5)[5].strip() for line in maps if ".so" in line}


def check_where_it_is_from(store: str, library: str) -> None:
    """No shared object of the package, nor of what came with it, is that of the machine."""
    host = sysconfig.get_path("platlib")
    own = {Path(file).parts[0] for name in DISTRIBUTIONS[library] for file in _files(name) if len(Path(file).parts) > 1}
    objects = mapped_objects()
    assert [path for path in objects if path.startswith(tuple(f"{host}/{name}/" for name in own))] == []
    inside = [path for path in objects if path.startswith(f"{store}/layers/")]
    assert any(f"{SITE}/" in path for path in inside), objects
    brought = [name for name in own if name.endswith(".libs")]
    assert all(any(f"{SITE}/{name}/" in path for path in inside) for name in brought), (brought, inside)


def _files(name: str) -> list[Any]:
    try:
        return list(importlib.metadata.files(name) or [])
    except importlib.metadata.PackageNotFoundError:
        return []


def main(store: str, image: str, library: str) -> None:
    from rootlay.vfs import Store

    assert library not in sys.modules
    with Store.open(store).image(image).container() as container:
        with container.activate():
            sys.path.insert(0, SITE)
            os.mkdir("/data")
            LIBRARIES[library]()
            module: Any = sys.modules[library]
            assert module.__file__.startswith(f"{SITE}/{library}"), module.__file__
            code = f"import sys; sys.path.insert(0, {SITE!r}); import {library}; print({library}.__file__)"
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
            assert (done.stdout, done.returncode) == (f"{module.__file__}\n", 0), done.stderr
        assert container.fs.getsize("/data/file") > 0
        check_where_it_is_from(store, library)
        OUTSIDE[library]()
        assert not os.path.exists(SITE)
    OUTSIDE[library]()  # the container is gone, too


if __name__ == "__main__":
    main(*sys.argv[1:])
