"""Who is inside: the code in the block and what it hands its context to. Nobody else, and no trace is left."""

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import os
import re
import shutil
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rootlay.vfs import ActivationWarning, Container, Image, Store
from rootlay.vfs.hook import instance
from rootlay.vfs.hook.executor import ContextThreadPoolExecutor
from tests.vfs.hook.pointers import hook_range, hooked_pointers, libc_range, pointers

LOAD_SECONDS = float(os.environ.get("ROOTLAY_TEST_LOAD_SECONDS", "2"))


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    (tmp_path / "file").write_text("outside")
    return tmp_path / "file"


def test_every_pointer_has_its_old_value_afterwards(container: Container) -> None:
    with container.activate():
        os.stat("/")  # binds what is bound lazily
    before = pointers()
    with container.activate():
        inside = pointers()
        assert hooked_pointers() > 0
    after = pointers()
    low, high = hook_range()
    changed = [slot for slot in before if low <= inside.get(slot, 0) < high]
    assert len(changed) > 0
    low, high = libc_range()  # a slot that nobody has used so far may have been bound since
    assert [slot for slot in changed if after[slot] != before[slot] and not low <= after[slot] < high] == []
    assert hooked_pointers() == 0


def test_plain_threads_and_pools_are_outside(container: Container, outside: Path) -> None:
    seen: list[str] = []
    with ThreadPoolExecutor(1) as pool, container.activate():
        thread = threading.Thread(target=lambda: seen.append(outside.read_text()))
        with pytest.warns(ActivationWarning):
            thread.start()
        thread.join()
        with pytest.warns(ActivationWarning):
            assert pool.submit(outside.read_text).result() == "outside"
        assert not outside.exists()
    assert seen == ["outside"]


def test_our_pool_is_where_its_caller_is(image: Image, outside: Path) -> None:
    with image.container() as one, image.container() as two, ContextThreadPoolExecutor(1) as pool:
        for container, text in ((one, "one"), (two, "two")):
            with container.activate():
                Path("/name").write_text(text)
                assert pool.submit(Path("/name").read_text).result() == text
                assert list(pool.map(os.path.exists, ["/name", str(outside)])) == [True, False]
        assert pool.submit(outside.read_text).result() == "outside"


def test_a_copied_context_is_inside_wherever_it_runs(container: Container) -> None:
    found: list[str] = []
    with container.activate():
        context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(lambda: found.append(Path("/etc/motd").read_text()),))
    thread.start()
    thread.join()
    assert found == ["welcome\n"]
    del context


def test_tasks_of_one_loop_are_in_different_containers(image: Image, outside: Path) -> None:
    async def inside(container: Container, name: str) -> None:
        with container.activate(cwd="/tmp"):
            Path("mine").write_text(name)
            for _ in range(20):
                await asyncio.sleep(0)
                assert Path("/tmp/mine").read_text() == name
                assert os.getcwd() == "/tmp"
                assert await asyncio.to_thread(Path("mine").read_text) == name

    async def bypasses_hooks() -> None:
        for _ in range(60):
            await asyncio.sleep(0)
            assert outside.read_text() == "outside"

    async def default_pool(container: Container) -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ContextThreadPoolExecutor(2))
        with container.activate():
            assert await loop.run_in_executor(None, Path("/etc/motd").read_text) == "welcome\n"

    async def main() -> None:
        with image.container() as one, image.container() as two:
            await asyncio.gather(inside(one, "one"), inside(two, "two"), bypasses_hooks(), default_pool(one))

    asyncio.run(main())
    assert hooked_pointers() == 0


def in_native_thread(function: str, path: Path) -> None:
    """Calls a function of libc in a thread that Python does not know."""
    libc = ctypes.CDLL(None)
    thread, text = ctypes.c_ulong(), ctypes.create_string_buffer(os.fsencode(path))
    assert libc.pthread_create(ctypes.byref(thread), None, getattr(libc, function), text) == 0
    assert libc.pthread_join(thread, None) == 0


def test_threads_that_python_does_not_know_are_in_the_only_container(image: Image, outside: Path) -> None:
    with image.container() as one, image.container() as two:
        with one.activate():
            os.makedirs(outside.parent)
            outside.write_text("one")
            in_native_thread("unlink", outside)
            assert not outside.exists()
            outside.write_text("one")
            with one.activate():
                in_native_thread("unlink", outside)
            assert not outside.exists()
            outside.write_text("one")
            with two.activate():
                in_native_thread("unlink", outside)  # whose would it be?
            assert outside.exists()
        assert not outside.exists()
        outside.write_text("again")
        in_native_thread("unlink", outside)
        assert not outside.exists()
    assert hooked_pointers() == 0


def test_inside_and_outside_at_once_under_load(image: Image, tmp_path: Path) -> None:
    """The same name, with another content in each world; hooks come and go all the time."""
    name = tmp_path / "same"
    name.write_text("outside")
    end = time.monotonic() + LOAD_SECONDS
    counts: dict[str, int] = {}

    def work(world: str) -> None:
        n = 0
        while time.monotonic() < end:
            assert name.read_text() == world
            assert os.stat(name).st_size == len(world)
            assert os.listdir(tmp_path) == [name.name]
            n += 1
        counts[world] = counts.get(world, 0) + n

    def enter(container: Container, world: str) -> None:
        with container.activate():
            os.makedirs(tmp_path)
            name.write_text(world)
        while time.monotonic() < end:
            with container.activate():
                assert name.read_text() == world
                if threading.get_ident() % 2:
                    time.sleep(0)
        with container.activate():
            work(world)

    with image.container() as one, image.container() as two:
        with one.activate():
            os.makedirs(tmp_path)
            name.write_text("in three")
            context = contextvars.copy_context()
        with ThreadPoolExecutor(6) as pool:
            jobs = [pool.submit(work, "outside") for _ in range(2)]
            jobs += [pool.submit(context.copy().run, work, "in three") for _ in range(2)]
            jobs += [pool.submit(enter, two, "in two") if i == 0 else pool.submit(work, "outside") for i in range(2)]
            for job in jobs:
                job.result()
        del context
    assert counts["outside"] > 10
    assert counts["in three"] > 10
    assert os.listdir(tmp_path) == ["same"]
    assert hooked_pointers() == 0


def test_a_core_is_reused_as_if_it_were_new(image: Image, tmp_path: Path) -> None:
    """Its variables are all zero at first (hook/instance.c clears them), and nothing of the one before is left."""
    if shutil.which("readelf"):
        listing = subprocess.run(["readelf", "-SW", instance.SOURCE], capture_output=True, text=True).stdout
        assert ".bss" in listing
        assert not re.search(r" \.t?data +PROGBITS", listing), "a variable that is not zero at first: set it in init"
    other = Store.open(tmp_path / "store")
    (tmp_path / "tree/etc").mkdir(parents=True)
    (tmp_path / "tree/usr/share/doc/other").mkdir(parents=True)
    (tmp_path / "tree/etc/motd").write_text("another\n")
    another = other.import_rootfs(tmp_path / "tree", "other")
    for _ in range(3):
        with image.container() as c, c.activate():
            assert "one" in os.listdir("/usr/share/doc")
            for _ in range(20):
                assert Path("/etc/motd").read_text() == "welcome\n"
            Path("/new").write_text("new")
        with another.container() as c, c.activate():
            assert os.listdir("/usr/share/doc") == ["other"]
            for _ in range(20):
                assert Path("/etc/motd").read_text() == "another\n"
            assert not os.path.exists("/new")
            assert not os.path.exists("/usr/share/doc/one")
    assert hooked_pointers() == 0
