"""Stages side by side, and builds that are stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from rootlay.store.containers.containers import Containers
from rootlay.store.model.image import Image
from rootlay.store.model.manifest import Platform
from rootlay.store.model.progress import Progress
from rootlay.vfs.build.result.failure import BuildCancelled, BuildFailed, RunFailed
from rootlay.vfs.build.result.report import Step
from rootlay.vfs.build.schedule import Schedule
from rootlay.vfs.run.processes import iter_guests
from tests.vfs.build.conftest import Notes, Yard


def test_independent_work_overlaps_and_dependent_work_does_not() -> None:
    both = threading.Barrier(2, timeout=20)
    order: list[int] = []

    def work(number: int, done: Mapping[int, int]) -> int:
        if number in (0, 1):
            both.wait()
        if number == 2:
            assert set(done) == {0, 1}
        order.append(number)
        return number * 10

    found = Schedule({0: (), 1: (), 2: (0, 1)}, work, lambda: None).run()
    assert found == {0: 0, 1: 10, 2: 20}
    assert order[-1] == 2


def test_an_error_cancels_the_rest_and_is_the_one_that_is_raised() -> None:
    stopped = threading.Event()

    def work(number: int, done: Mapping[int, int]) -> int:
        if number == 0:
            assert stopped.wait(20)
            raise BuildCancelled
        raise BuildFailed(None, "the reason")

    with pytest.raises(BuildFailed, match="the reason"):
        Schedule({0: (), 1: (), 2: (0, 1)}, work, stopped.set).run()


def test_stages_that_do_not_need_each_other_run_side_by_side(yard: Yard) -> None:
    # Each waits for the other's file in a cache that both see: one after the other they would never end.
    wait = "i=0; while [ ! -e /c/{} ]; do sleep 0.05; i=$((i+1)); [ $i -lt 400 ] || exit 1; done"
    mount = f"--mount=type=cache,target=/c,id=side-by-side-{os.getpid()}"
    built = yard.build(
        f"FROM base AS a\nRUN {mount} echo > /c/a; {wait.format('b')}; echo a > /a\n"
        f"FROM base AS b\nRUN {mount} echo > /c/b; {wait.format('a')}; echo b > /b\n"
        "FROM scratch\nCOPY --from=a /a /\nCOPY --from=b /b /\n"
    )
    assert built.ls("/") == ["a", "b"]


def test_a_stage_that_fails_stops_the_others(yard: Yard) -> None:
    with pytest.raises(RunFailed, match="exit code 9"):
        yard.build(
            "FROM base AS a\nRUN sleep 1000\nFROM base AS b\nRUN sleep 0.3; exit 9\n"
            "FROM scratch\nCOPY --from=a /a /\nCOPY --from=b /b /\n"
        )
    assert not list(Containers(yard.store.root).iter_all())


class Endless(BaseHTTPRequestHandler):
    """A server that never comes to an end."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(bytes(1 << 20))
                time.sleep(0.01)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
        """Nothing."""


def test_a_stage_that_fails_stops_downloads_and_pulls(yard: Yard) -> None:
    def fetch(reference: str, platform: Platform, progress: Progress) -> Image:
        while True:
            progress(1, None, reference)
            time.sleep(0.01)

    rest = "FROM base AS b\nRUN sleep 0.3; exit 9\nFROM scratch\nCOPY --from=a /x /\nCOPY --from=b /x /\n"
    with pytest.raises(RunFailed, match="exit code 9"):
        yard.build(f"FROM never-here AS a\n{rest}", fetch=fetch)
    with ThreadingHTTPServer(("127.0.0.1", 0), Endless) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(RunFailed, match="exit code 9"):
            yard.build(f"FROM base AS a\nADD http://127.0.0.1:{server.server_port}/x /x\n{rest}")
        server.shutdown()


def test_a_fetch_is_seen_and_does_not_hold_others_up(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rootlay.vfs.build.session.FETCH_LINE_S", 0.0)
    other_done = threading.Event()

    def fetch(reference: str, platform: Platform, progress: Progress) -> Image:
        progress(1_500_000, 3_000_000, "layer")
        assert other_done.wait(60)
        return yard.store.image("base")

    class Watching(Notes):
        def finish(self, step: Step, seconds: float, size_bytes: int, *, cached: bool) -> None:
            super().finish(step, seconds, size_bytes, cached=cached)
            if step.text == "RUN echo the other":
                other_done.set()

    notes = Watching()
    text = "FROM far-away AS a\nFROM base AS b\nRUN echo the other\nFROM a\nCOPY --from=b /etc /x\n"
    yard.build(text, notes, fetch=fetch, no_cache=True)
    assert "layer: 1.5 of 3.0 MB\n" in notes.text


def test_two_builds_at_the_same_time_share_the_work(yard: Yard) -> None:
    text = "FROM base\nRUN echo shared-by-builds > /tmp/s; sleep 0.5\n"
    found: list[Notes] = []

    def one() -> None:
        found.append(yard.build(text).notes)

    threads = [threading.Thread(target=one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(notes.cached) for notes in found) == [0, 1, 1]


def test_two_processes_share_the_work(yard: Yard) -> None:
    yard.write("Dockerfile", f"FROM base\nRUN echo {os.getpid()} > /shared; sleep 0.5\nRUN echo end\n")
    words = [sys.executable, "-m", "rootlay.cli.main", "--root", str(yard.store.root)]
    words += ["build", "--progress=plain", "--source-date-epoch=1", "."]
    running = [
        subprocess.Popen(words, cwd=yard.context, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    told = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert len({out for out, _ in told}) == 1  # one image
    assert sum(err.count(" CACHED") for _, err in told) == 4  # each step was done once


def test_views_of_stacks_in_between_do_not_stay(yard: Yard) -> None:
    yard.write("f")
    built = yard.build("FROM base\nRUN echo in-between > /x\nCOPY f /\nRUN echo 2 > /y\nCOPY f /f2\n")
    views = {path.stem for path in (yard.store.root / "views").iterdir()}
    base = yard.store.image("base").chain_id.hex
    assert base in views
    from rootlay.store.model.digest import chain_id

    for count in range(2, len(built.image.diff_ids)):
        assert chain_id(built.image.diff_ids[:count]).hex not in views


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_build_leaves_no_process_no_container_and_no_image(yard: Yard, number: signal.Signals) -> None:
    (yard.context / "Dockerfile").write_text("FROM base\nRUN echo before\nRUN echo started; sleep 1000\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "rootlay.cli.main", "--root", str(yard.store.root), "build", "-t", "stopped", "."],
        cwd=yard.context,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "started" in line and "RUN" not in line:
            break
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "rootlay: the build was cancelled"
    assert not list(Containers(yard.store.root).iter_all())
    assert "stopped:latest" not in {record.reference for record in yard.store.images()}
    assert yard.build("FROM base\nRUN echo before\n").notes.cached == ["RUN"]


def test_what_a_killed_build_left_the_next_one_removes(yard: Yard) -> None:
    (yard.context / "Dockerfile").write_text("FROM base\nRUN echo started; sleep 1000\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "rootlay.cli.main", "--root", str(yard.store.root), "build", "."],
        cwd=yard.context,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "started" in line and "RUN" not in line:
            break
    process.kill()
    process.communicate()
    (record,) = Containers(yard.store.root).iter_all()
    path = os.path.realpath(record.path)
    assert list(iter_guests(path))
    yard.build("FROM base\nRUN echo after a crash\n")
    assert not list(Containers(yard.store.root).iter_all())
    assert not list(iter_guests(path))
