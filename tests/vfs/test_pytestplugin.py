"""The pytest fixtures, used by pytest runs of their own, as a project would use them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rootlay.vfs import Store
from rootlay.vfs.plugins.pytestplugin import LABEL
from tests.vfs.pytest_project import leftovers, run_pytest, start, write_examples

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def store(small_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store.open(tmp_path_factory.mktemp("plugin") / "store")
    store.import_rootfs(small_tree, "small")
    return store


def test_each_test_gets_a_clean_root(tmp_path: Path, store: Store) -> None:
    write_examples(tmp_path, "test_clean.py")
    assert "2 passed" in run_pytest(tmp_path, store)
    assert leftovers(store) == []


SHARED = """
import pytest

def fill(container):
    container.fs.makedir("/prepared", recreate=True)
    container.fs.writetext("/prepared/data", "x" * 1000)
    with open({counter!r}, "a") as file:
        file.write("1")

@pytest.fixture(scope="session")
def rootlay_image(rootlay_store, rootlay_prepare):
    return rootlay_prepare(rootlay_store.image("small"), fill{key})

@pytest.fixture(scope="session")
def rootlay_container_options():
    return dict(env=dict(WHO="fixture"))

@pytest.mark.parametrize("number", range(20))
def test_prepared(rootlay_container, number):
    fs = rootlay_container.fs
    assert fs.readtext("/prepared/data") == "x" * 1000
    assert fs.listdir("/prepared") == ["data"]
    fs.writetext("/prepared/mine", str(number))
    fs.remove("/prepared/data")

def test_options(rootlay_container):
    found = rootlay_container.run(["sh", "-c", "echo $WHO"], capture_output=True, text=True)
    assert found.stdout == "fixture\\n"

def test_module_one(rootlay_module_container):
    rootlay_module_container.fs.writetext("/shared", "x")

def test_module_two(rootlay_module_container):
    assert rootlay_module_container.fs.readtext("/shared") == "x"
"""


@pytest.mark.parametrize("workers", [0, 2])
def test_data_is_prepared_once(tmp_path: Path, store: Store, workers: int) -> None:
    options = []
    if workers:
        pytest.importorskip("xdist", reason="pytest-xdist is not installed")
        options = ["-n", str(workers), "--dist", "load"]
    counter = tmp_path / "counter"
    tests = tmp_path / "tests"
    tests.mkdir()
    text = SHARED.format(counter=str(counter), key="")
    if workers:  # the two tests of a module may meet different workers
        text = text.partition("def test_module_one")[0]
    (tests / "test_shared.py").write_text(text)
    assert f"{21 if workers else 23} passed" in run_pytest(tests, store, *options)
    assert counter.read_text() == "1"
    assert leftovers(store) == []
    assert [image for image in image_names(store) if image != "small:latest"] == []


def image_names(store: Store) -> list[str]:
    from rootlay.store.store import ImageStore

    return [str(record.reference) for record in ImageStore.open(store.root).images()]


def test_a_keyed_layer_serves_later_runs(tmp_path: Path, store: Store) -> None:
    counter = tmp_path / "counter"
    tests = tmp_path / "tests"
    tests.mkdir()
    (tests / "test_shared.py").write_text(SHARED.format(counter=str(counter), key=', key="data:1"'))
    for _ in range(2):
        run_pytest(tests, store, "-k", "prepared")
    assert counter.read_text() == "1"
    [kept] = [name for name in image_names(store) if name.startswith("pytest-prepared")]
    store.image(kept).remove()


def test_containers_of_a_killed_run_go_with_the_next(tmp_path: Path, store: Store) -> None:
    (tmp_path / "test_a.py").write_text(
        "import os, signal\n"
        "def test_kill(rootlay_container):\n"
        "    rootlay_container.fs.writetext('/x', 'x')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert start(tmp_path, store).returncode == -9
    assert len(leftovers(store)) == 1
    store.image("small").container("other", labels={LABEL: str(os.getpid())})
    (tmp_path / "test_a.py").write_text("def test_a(rootlay_container): pass\n")
    run_pytest(tmp_path, store)
    assert leftovers(store) == ["other"]
    store.container("other").remove()


def test_without_an_image_the_error_says_what_to_do(tmp_path: Path, store: Store) -> None:
    (tmp_path / "test_a.py").write_text("def test_a(rootlay_container): pass\n")
    done = start(tmp_path, store, image="")
    assert done.returncode != 0
    assert "set rootlay_image in the configuration" in done.stdout
    done = start(tmp_path, store, image="nowhere")
    assert "UnknownImage" in done.stdout


def test_the_plugin_imports_nothing_before_it_is_used(tmp_path: Path, store: Store) -> None:
    (tmp_path / "test_a.py").write_text(
        "import sys\ndef test_a():\n    assert {'lmdb', 'fs', 'rootlay.store.store'}.isdisjoint(sys.modules)\n"
    )
    run_pytest(tmp_path, store)
