"""Ephemeral containers that nobody closes: a warning, and nothing is left."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from rootlay.store.containers.containers import Containers
from rootlay.store.disk.owner import is_gone, own_name
from rootlay.store.store import ImageStore
from rootlay.vfs import Image, Store
from rootlay.vfs.api.prune import prune


@pytest.fixture
def image(small_tree: Path, tmp_path: Path) -> Image:
    return Store.open(tmp_path / "store").import_rootfs(small_tree, "small")


def left(image: Image) -> list[str]:
    return [record.name for record in Containers(image.root).iter_all()]


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def start(image: Image, body: str) -> subprocess.Popen[str]:
    code = f"""
import os, sys, time
from rootlay.vfs import Store
image = Store.open({str(image.root)!r}).image("small")
{body}
"""
    return subprocess.Popen(
        [sys.executable, "-W", "always", "-c", code],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


USES: dict[str, Callable[[Image], object]] = {
    "nothing": lambda image: image.container(),
    "files": lambda image: image.container().fs.writetext("/x", "x"),
    "an overlay": lambda image: image.container().overlay.mkdir("/x"),
    "a program": lambda image: image.container().run(["true"], check=True),
    "an activation": lambda image: image.container().activate(),
    "a fork": lambda image: image.container().fork(),
    "directories": lambda image: Store.open(image.root).overlay(image.root / "layers"),
}


@pytest.mark.parametrize("use", USES)
def test_one_that_is_dropped_warns_and_goes(use: str, image: Image) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        USES[use](image)
        gc.collect()
        wait_until(lambda: not left(image))
    found = [warning for warning in caught if issubclass(warning.category, ResourceWarning)]
    assert found
    assert all("was never closed" in str(warning.message) for warning in found), list(map(str, found))


def test_what_is_made_of_a_container_keeps_it(image: Image) -> None:
    """Nobody has the handle itself any more."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fs, overlay, other = image.container().fs, image.container().overlay, image.container().fsspec
        activation = image.container().activate()
        process = image.container().popen(["sh", "-c", "read x; cat /etc/motd"], stdin=-1, stdout=-1)
        gc.collect()
        fs.writetext("/x", "x")
        assert overlay.as_identity(overlay.identity).stat("/etc/motd").size == 8
        assert other.cat("/etc/motd") == b"welcome\n"
        with activation:
            assert Path("/etc/motd").read_text() == "welcome\n"
        assert process.communicate(b"\n")[0] == b"welcome\n"
        assert len(left(image)) == 5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        del fs, overlay, other, activation, process
        gc.collect()
        wait_until(lambda: not left(image))


def test_named_ones_and_closed_ones_say_nothing(image: Image) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image.container("kept").fs.writetext("/x", "x")
        with image.container() as c:
            c.overlay.mkdir("/x")
        with pytest.raises(ZeroDivisionError), image.container():
            1 / 0  # noqa: B018
        Store.open(image.root).container("kept").run(["true"])
        del c
        gc.collect()
    assert left(image) == ["kept"]


def test_one_that_is_open_when_the_interpreter_exits(image: Image) -> None:
    process = start(
        image,
        """
c = image.container()
c.run(["true"])
c.fs.writetext("/x", "x")
overlay = image.container().overlay
inside = image.container()
inside.activate().__enter__()
""",
    )
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert said.count("was never closed") == 3, said
    assert "Traceback" not in said
    assert left(image) == []


@pytest.mark.parametrize("end", ["kill", "_exit"])
def test_what_a_process_leaves_that_ends_at_once_goes_with_prune(end: str, image: Image) -> None:
    body = "c = image.container(); c.run(['true']); d = c.fork(); print('made', flush=True); sys.stdin.read()"
    process = start(image, body + (";os._exit(0)" if end == "_exit" else ""))
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.readline()
    store = ImageStore.open(image.root)
    assert len(left(image)) == 2
    assert prune(store).containers == ()  # its owner lives, though its program has ended
    if end == "kill":
        os.kill(process.pid, signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # a zombie has ended, too
    else:
        process.stdin.close()
        process.wait()
        process.stdin = None
    wait_until(lambda: len(prune(store, dry_run=True).containers) == 2)  # programs that were just ending have ended
    assert len(prune(store).containers) == 2
    assert left(image) == []
    process.communicate()


def test_a_forked_child_that_ends_takes_nothing_along(image: Image) -> None:
    process = start(
        image,
        """
c = image.container()
c.fs.writetext("/x", "x")
if os.fork() == 0:
    del c  # and the interpreter exits
    sys.exit(0)
os.wait()
print(c.fs.readtext("/x"), c.run(["cat", "/x"], capture_output=True, text=True).stdout)
c.close()
""",
    )
    out, said = process.communicate(timeout=60)
    assert (out, said, process.returncode) == ("x x\n", "", 0)


def test_copies_and_pickles_are_handles_and_end_nothing(image: Image) -> None:
    with image.container() as c:
        c.fs.writetext("/x", "x")
        c.run(["true"], check=True)
        for other in (copy.copy(c), copy.deepcopy(c), pickle.loads(pickle.dumps(c))):
            assert other.fs.readtext("/x") == "x"
            other.close()
            del other
        gc.collect()
        assert c.fs.readtext("/x") == "x"
        store = pickle.loads(pickle.dumps(Store.open(image.root)))
        assert store.container(c.id).run(["cat", "/x"], capture_output=True).stdout == b"x"
    assert left(image) == []


def test_who_is_gone() -> None:
    machine, boot, space, pid, began = own_name().split("/")
    assert not is_gone(own_name())
    assert is_gone(f"{machine}/{boot}/{space}/{pid}/{int(began) - 1}")  # the number was given out again
    assert is_gone(f"{machine}/{boot}/{space}/4194305/{began}")
    assert is_gone(f"{machine}/{'0' * 32}/{space}/{pid}/{began}")  # the machine was started again
    for unknown in ("", "nonsense", f"other/{boot}/{space}/{pid}/0", f"{machine}/{boot}/1/{pid}/0"):
        assert not is_gone(unknown)
