"""Several processes and threads on one container."""

from __future__ import annotations

import multiprocessing
import os
import threading
from pathlib import Path

from rootlay.vfs.merge.stack import Stack
from rootlay.vfs.overlay.overlay import Overlay
from tests.support.oracles.memory_view import directory, file
from tests.vfs.conftest import StackBuilder

LAYER = [directory(b""), directory(b"d"), file(b"d/log", b"start\n"), directory(b"e")]


def _append(stack: Stack, number: int) -> None:
    with Overlay(stack) as overlay:
        for count in range(20):
            descriptor = overlay.open("/d/log", os.O_WRONLY | os.O_APPEND)
            os.write(descriptor, b"%d:%d\n" % (number, count))
            os.close(descriptor)


def _rename_about(stack: Stack, number: int) -> None:
    with Overlay(stack) as overlay:
        for count in range(30):
            try:
                overlay.rename(b"/d" if (count + number) % 2 else b"/e/d", b"/e/d" if (count + number) % 2 else b"/d")
            except FileNotFoundError:
                continue


def run_processes(target: object, stack: Stack) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=target, args=(stack, number)) for number in range(6)]  # type: ignore[arg-type]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0


def test_concurrent_first_writers_copy_up_once(build: StackBuilder) -> None:
    stack = build.stack(layers=(LAYER,))
    run_processes(_append, stack)
    with Overlay(stack) as overlay, overlay.open_content("/d/log") as stream:
        found = stream.read().splitlines()
    assert found[0] == b"start"
    assert sorted(found[1:]) == sorted(b"%d:%d" % (n, c) for n in range(6) for c in range(20))


def test_concurrent_renames_lose_nothing(build: StackBuilder) -> None:
    stack = build.stack(layers=(LAYER,))
    run_processes(_rename_about, stack)
    with Overlay(stack) as overlay:
        places = [path for path in ("/d/log", "/e/d/log") if overlay.find(os.path.dirname(path)) is not None]
        assert len(places) == 1
        with overlay.open_content(places[0]) as stream:
            assert stream.read() == b"start\n"
    left = [name for _, _, names in os.walk(build.upper) for name in names if name.startswith(".wh..wh.t.")]
    assert left == []


def test_threads_share_one_overlay(build: StackBuilder) -> None:
    overlay = build.overlay(layers=(LAYER,))

    def work(number: int) -> None:
        for count in range(20):
            overlay.mkdir(f"/d/{number}.{count}")
            overlay.rename(f"/d/{number}.{count}", f"/e/{number}.{count}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(overlay.listdir("/e")) == 120
    assert overlay.listdir("/d") == [b"log"]
    assert Path(build.base / "lock").exists()
