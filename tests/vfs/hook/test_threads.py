"""Threads and processes that are started inside: inside by choice, or a warning says that they are not."""

from __future__ import annotations

import contextvars
import multiprocessing
import os
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rootlay.vfs import ActivationWarning, Container, ContainerProcessPoolExecutor, ContextThreadPoolExecutor, Image

MARKER = "/etc/marker-of-the-container"


@pytest.fixture
def c(container: Container) -> Container:
    container.fs.writetext(MARKER, "inside")
    return container


def is_inside() -> bool:
    return os.path.exists(MARKER)


def ask_thread() -> bool:
    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(is_inside()))
    thread.start()
    thread.join()
    return found[0]


def test_threads_inherit_by_choice(c: Container) -> None:
    def nested() -> bool:
        return ask_thread() and ask_thread()

    with c.activate(threads="inherit"):
        assert nested()
        with ThreadPoolExecutor(2) as pool:
            assert all(pool.map(lambda _: is_inside(), range(4)))
    with ThreadPoolExecutor(1) as pool, warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pool.submit(is_inside).result() is False


def test_a_thread_that_works_outside_is_told(c: Container) -> None:
    with c.activate():
        with pytest.warns(ActivationWarning, match="inherit"):
            assert ask_thread() is False
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            thread = threading.Thread(target=contextvars.copy_context().run, args=(is_inside,))
            thread.start()
            thread.join()
            with ContextThreadPoolExecutor(1) as pool:
                assert pool.submit(is_inside).result()
    with pytest.raises(ValueError, match="inherit or outside"):
        c.activate(threads="inside")


def test_replaced_workers_of_a_pool_are_inside(c: Container) -> None:
    with c.activate(threads="inherit"), multiprocessing.get_context("fork").Pool(1, maxtasksperchild=1) as pool:
        assert [pool.apply(is_inside) for _ in range(3)] == [True] * 3


def test_an_executor_of_processes_that_are_inside(c: Container) -> None:
    with ContainerProcessPoolExecutor(c, 1, max_tasks_per_child=1, cwd="/etc") as pool:
        assert [pool.submit(os.path.exists, MARKER).result() for _ in range(2)] == [True, True]
        assert pool.submit(os.getcwd).result() == "/etc"
    assert not is_inside()


def test_shown_paths_can_be_writable(c: Container, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("before")
    with c.activate(writable=[tmp_path]):
        Path(tmp_path, "file").write_text("after")
        Path(tmp_path, "made").mkdir()
        subprocess.run(["sh", "-c", f"echo x > {tmp_path}/made/by-a-program"], check=True)
        assert is_inside()
    assert (tmp_path / "file").read_text() == "after"
    assert (tmp_path / "made" / "by-a-program").read_text() == "x\n"
    assert [str(change) for change in c.diff()] == ["C /etc", f"A {MARKER}"]


def test_variables_of_the_container_count(image: Image) -> None:
    os.environ["KEPT"] = "host"
    with image.container(env={"KEPT": "inside", "NEW": "n"}) as c:
        with c.activate(environ=os.environ), c.activate(environ=os.environ):
            said = subprocess.run(["sh", "-c", "echo $KEPT $NEW"], capture_output=True, text=True, check=True)
            assert said.stdout == "inside n\n"
        assert (os.environ["KEPT"], "NEW" in os.environ) == ("host", False)
    del os.environ["KEPT"]


def test_a_whole_process_enters(c: Container, image: Image) -> None:
    named = image.container("entered", env={"VALUE": "5"})
    named.fs.writetext(MARKER, "inside")
    program = (
        "import os, sys, threading; from rootlay.vfs import Store, enter\n"
        "enter(Store.open(sys.argv[1]).container('entered'), environ=os.environ, cwd='/etc')\n"
        f"t = threading.Thread(target=lambda: print(os.path.exists('{MARKER}'), os.getcwd(), os.environ['VALUE']))\n"
        "t.start(); t.join()\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, str(image.root)], capture_output=True, text=True, check=False
    )
    named.remove()
    assert (done.stdout, done.stderr) == ("True /etc 5\n", "")
