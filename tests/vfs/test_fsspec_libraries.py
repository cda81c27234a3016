"""Libraries that know fsspec open files inside images: each where it is installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rootlay.vfs import Image, Store

TABLE = "name,value\none,1\ntwo,2\n"


@pytest.fixture
def image(tmp_path: Path) -> Image:
    (tmp_path / "tree" / "data").mkdir(parents=True)
    (tmp_path / "tree" / "data" / "table.csv").write_text(TABLE)
    return Store.open(tmp_path / "store").import_rootfs(tmp_path / "tree", "small")


@pytest.fixture
def options(image: Image) -> dict[str, Any]:
    return {"store": str(image.root)}


def library(name: str) -> Any:
    return pytest.importorskip(name, reason=f"{name} is not installed", exc_type=ImportError)


def test_pandas_reads_and_writes(image: Image, options: dict[str, Any]) -> None:
    pandas = library("pandas")
    frame = pandas.read_csv("rootlay://small!/data/table.csv", storage_options=options)
    assert list(frame["value"]) == [1, 2]
    with image.container("c1") as c:
        frame.to_csv("rootlay+container://c1!/data/out.csv", index=False, storage_options=options)
        assert c.fs.readtext("/data/out.csv") == TABLE
        c.remove()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it leaves files to the collector
def test_pyarrow_writes_and_reads_datasets(image: Image) -> None:
    library("pyarrow")
    pa, dataset, parquet = library("pyarrow"), library("pyarrow.dataset"), library("pyarrow.parquet")
    table = pa.table({"part": [1, 1, 2], "value": [10, 20, 30]})
    with image.container(hostname="box") as c:
        fs = c.fsspec
        dataset.write_dataset(table, "/set", format="parquet", filesystem=fs, partitioning=["part"])
        assert sorted(c.fs.listdir("/set")) == ["1", "2"]
        found = dataset.dataset("/set", format="parquet", filesystem=fs, partitioning=["part"]).to_table()
        assert sorted(found["value"].to_pylist()) == [10, 20, 30]
        parquet.write_table(table, "/one.parquet", filesystem=fs)
        assert parquet.read_table("/one.parquet", filesystem=fs, columns=["value"]).num_rows == 3


def test_dask_reads_in_parallel(options: dict[str, Any]) -> None:
    library("dask")
    from dask.bytes import read_bytes

    _, blocks = read_bytes("rootlay://small!/data/*.csv", blocksize=8, delimiter=b"\n", **options)
    import dask

    parts = dask.compute(*[part for file in blocks for part in file], scheduler="threads")
    assert b"".join(parts) == TABLE.encode()


def test_zarr_stores_arrays(image: Image) -> None:
    zarr = library("zarr")
    with image.container(hostname="box") as c:
        from fsspec.implementations.asyn_wrapper import AsyncFileSystemWrapper

        store = zarr.storage.FsspecStore(AsyncFileSystemWrapper(c.fsspec, asynchronous=True), path="/array")
        array = zarr.create_array(store, shape=(100,), chunks=(10,), dtype="i4")
        array[:] = 7
        assert int(zarr.open_array(store, mode="r")[:].sum()) == 700
        assert c.fs.isdir("/array/c")


WALK = """
import sys, upath
path = upath.UPath("rootlay://small!/data", store=sys.argv[1])
assert [child.name for child in path.iterdir()] == ["table.csv"]
assert (path / "table.csv").read_text() == sys.argv[2]
assert str((path / "table.csv").parent) == str(path)
made = upath.UPath("rootlay+container://c1!/made", store=sys.argv[1])
made.write_text("x")
assert made.read_text() == "x"
"""


def test_universal_pathlib_walks_in_a_process_that_has_done_nothing_else(image: Image) -> None:
    """What a test before this one has imported must not be what makes it work."""
    library("upath")
    with image.container("c1") as c:
        command = [sys.executable, "-W", "error", "-c", WALK, str(image.root), TABLE]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")
        c.remove()
