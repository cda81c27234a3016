"""Libraries that open files in C, C++ and Rust. As a program: `python extensions.py STORE IMAGE LIBRARY`.

Each function is called inside, imports its library there, and leaves a file in /data that it has read back.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

TABLE = {"k": [1, 2, 3], "v": ["one", "two", "three"]}


def use_sqlite3() -> None:
    sqlite3 = importlib.import_module("sqlite3")
    with sqlite3.connect("/data/file") as base:
        base.execute("pragma journal_mode=wal")
        base.execute("create table t (k, v)")
        base.executemany("insert into t values (?, ?)", zip(*TABLE.values(), strict=True))
    assert sorted(os.listdir("/data")) == ["file", "file-shm", "file-wal"]
    base.close()
    with sqlite3.connect("/data/file") as base:
        assert base.execute("select v from t where k = 2").fetchone() == ("two",)
    base.close()


def use_lxml() -> None:
    etree = importlib.import_module("lxml.etree")
    Path("/data/included.xml").write_text("<inside/>")
    Path("/data/source").write_text(
        '<!DOCTYPE r [<!ENTITY e SYSTEM "/data/included.xml">]>'
        '<r xmlns:x="http://www.w3.org/2001/XInclude"><x:include href="/data/included.xml"/></r>'
    )
    tree = etree.parse("/data/source")
    tree.xinclude()
    tree.write("/data/file")
    assert etree.parse("/data/file").getroot()[0].tag == "inside"


def use_numpy() -> None:
    numpy = importlib.import_module("numpy")
    numpy.arange(1000).tofile("/data/file")
    assert numpy.fromfile("/data/file", dtype=int).sum() == 499500
    mapped = numpy.memmap("/data/file", dtype=int, mode="r+")
    mapped[0] = 5
    mapped.flush()
    assert numpy.fromfile("/data/file", dtype=int)[0] == 5
    numpy.savez("/data/more.npz", a=numpy.ones(3))
    assert numpy.load("/data/more.npz")["a"].sum() == 3


def use_pil() -> None:
    image = importlib.import_module("PIL.Image")
    for kind in ("png", "jpeg", "tiff", "webp"):
        image.new("RGB", (40, 30), (200, 0, 0)).save("/data/file", kind)
        with image.open("/data/file") as read:
            assert read.size == (40, 30)
            assert read.load()[1, 1][0] > 190


def use_h5py() -> None:
    h5py = importlib.import_module("h5py")
    with h5py.File("/data/file", "w") as file:
        file["group/data"] = [1, 2, 3]
    with h5py.File("/data/file", "r") as file:
        assert list(file["group/data"]) == [1, 2, 3]


def use_pandas() -> None:
    pandas = importlib.import_module("pandas")
    table = pandas.DataFrame(TABLE)
    table.to_csv("/data/file", index=False)
    assert pandas.read_csv("/data/file").v.tolist() == TABLE["v"]
    assert pandas.read_csv("/data/file", memory_map=True).k.sum() == 6


def use_pyarrow() -> None:
    pyarrow, parquet, csv, dataset = (
        importlib.import_module(f"pyarrow{name}") for name in ("", ".parquet", ".csv", ".dataset")
    )
    table = pyarrow.table(TABLE)
    parquet.write_table(table, "/data/file")
    assert parquet.read_table("/data/file").equals(table)
    assert parquet.read_table("/data/file", memory_map=True).equals(table)
    csv.write_csv(table, "/data/more.csv")
    assert csv.read_csv("/data/more.csv").equals(table)
    dataset.write_dataset(table, "/data/set", format="parquet")
    assert dataset.dataset("/data/set").count_rows() == 3


def use_polars() -> None:
    polars = importlib.import_module("polars")
    table = polars.DataFrame(TABLE)
    table.write_parquet("/data/file")
    assert polars.read_parquet("/data/file").equals(table)
    table.write_csv("/data/more.csv")
    assert polars.read_csv("/data/more.csv").equals(table)
    assert polars.scan_parquet("/data/*file").collect().equals(table)
    assert polars.scan_csv("/data/more.csv").filter(polars.col("k") > 1).collect().height == 2


LIBRARIES: dict[str, Callable[[], None]] = {
    "sqlite3": use_sqlite3,
    "lxml": use_lxml,
    "numpy": use_numpy,
    "PIL": use_pil,
    "h5py": use_h5py,
    "pandas": use_pandas,
    "pyarrow": use_pyarrow,
    "polars": use_polars,
}


def main(store: str, image: str, library: str) -> None:
    from rootlay.vfs import Store

    assert library not in sys.modules
    with Store.open(store).image(image).container() as container:
        with container.activate():
            os.mkdir("/data")
            LIBRARIES[library]()
        assert container.fs.getsize("/data/file") > 0
        assert not os.path.exists("/data")
    module: Any = sys.modules[library]
    print(getattr(module, "__version__", "") or getattr(module, "sqlite_version", ""))


if __name__ == "__main__":
    main(*sys.argv[1:])
