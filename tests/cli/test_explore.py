"""`rootlay explore`: rules, JSON, the page in a browser, the keys of the terminal view."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rootlay.vfs.explore.opening import open_named
from tests.cli.conftest import Rootlay

if TYPE_CHECKING:
    from rootlay.cli.explore.app import ExploreApp


@pytest.fixture
def layered(small: Rootlay, tmp_path: Path) -> Rootlay:
    """A store with an image of three layers: `layered`."""
    context = tmp_path / "context"
    context.mkdir()
    for number, names in enumerate((("one", "two", "d/three"), ("one",))):
        for name in names:
            file = context / str(number) / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{name} {number}\n" * (number + 1))
    (context / "Dockerfile").write_text("FROM small\nCOPY 0 /\nCOPY 1 /\n")
    small("build", "-q", "-t", "layered", str(context))
    return small


def test_rules_decide_the_exit_code(layered: Rootlay, tmp_path: Path) -> None:
    passed = layered.out("explore", "--ci", "--highest-user-wasted-percent", "1", "layered", cwd=tmp_path)
    assert passed.splitlines()[-1] == "Result: PASS"
    failed = layered("explore", "--ci", "--highest-wasted-bytes=1B", "layered", code=1, cwd=tmp_path)
    assert b"FAIL: highestWastedBytes" in failed.stdout
    (tmp_path / ".dive-ci").write_text("rules:\n  highestUserWastedPercent: 1.0\n")
    assert "Result: PASS" in layered.out("explore", "--ci", "layered", cwd=tmp_path)
    assert "number from 0 to 1" in layered.fails("explore", "--ci", "--lowest-efficiency=9", "layered", code=2)
    assert "--ci" in layered.fails("explore", "--lowest-efficiency=9", "layered", code=2)


def test_json_is_dives(layered: Rootlay) -> None:
    document = json.loads(layered.out("explore", "--json", "layered"))
    assert [layer["sizeBytes"] for layer in document["layer"]][1:] == [6 + 6 + 10, 12]
    assert document["image"]["fileReference"] == [{"count": 2, "sizeBytes": 18, "file": "/one"}]


def test_without_a_terminal_the_user_learns_what_to_give(layered: Rootlay) -> None:
    assert "--html" in layered.fails("explore", "layered", code=2)


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_page_works_in_a_browser_without_a_network(layered: Rootlay, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    layered("explore", "--html", str(page), "layered")
    assert not re.search(r"(src|href)=|https?://", page.read_text())
    done = subprocess.run(
        [
            "chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
            "--virtual-time-budget=5000", "--dump-dom", page.as_uri(),
        ],
        capture_output=True, timeout=100, check=True, text=True,
    )  # fmt: skip
    seen = done.stdout
    assert 'data-ready="1"' in seen
    assert len(re.findall(r'role="treeitem"', seen)) >= 3
    assert re.search(r'class="changed"[^>]*aria-label="one, 12 B, changed in this layer"', seen)
    assert "COPY 1 /" in seen
    assert re.search(r'aria-label="/one, 12 B, mostly layer 2"', seen)


def drive(layered: Rootlay, target: Path, steps: Callable[[ExploreApp, Any], Coroutine[Any, Any, None]]) -> None:
    """Run the view without a terminal, and press keys."""
    pytest.importorskip("textual")
    from rootlay.cli.explore.app import ExploreApp

    async def run() -> None:
        with open_named(layered.root, "layered") as stack:
            app = ExploreApp(stack, target)
            async with app.run_test(size=(120, 40)) as pilot:
                await app.workers.wait_for_complete()
                await pilot.pause()
                await steps(app, pilot)

    asyncio.run(run())


async def until(pilot: Any, seen: Callable[[], bool]) -> None:
    """Wait for what a thread finds."""
    for _ in range(500):
        await pilot.pause(0.02)
        if seen():
            return
    raise AssertionError("not seen within ten seconds")


def labels(app: ExploreApp) -> list[str]:
    from rootlay.cli.explore.filetree import FileTree

    return [str(node.label) for node in app.query_one(FileTree).root.children]


def test_layers_are_chosen_and_files_are_marked(layered: Rootlay, tmp_path: Path) -> None:
    async def steps(app: ExploreApp, pilot: Any) -> None:
        assert any(label.endswith("~ one") for label in labels(app))
        assert "/one" in str(app.query_one("#figures").render())
        await pilot.press("up")
        await pilot.pause()
        assert any(label.endswith("+ one") for label in labels(app))
        await pilot.press("tab", "ctrl+a")
        assert not any(label.endswith("+ one") for label in labels(app))
        await pilot.press("ctrl+a", "ctrl+b")
        assert "+ one" in [label.strip() for label in labels(app)]
        await pilot.press("ctrl+u")
        assert sorted(label.strip() for label in labels(app)) == ["+ d", "+ one", "+ two"]

    drive(layered, tmp_path, steps)


def test_files_are_found_shown_compared_and_extracted(layered: Rootlay, tmp_path: Path) -> None:
    async def steps(app: ExploreApp, pilot: Any) -> None:
        await pilot.press("ctrl+f", *"thre", "enter")
        await until(pilot, lambda: [label.split()[-1] for label in labels(app)] == ["/d/three"])
        await pilot.press("down", "ctrl+e")
        await pilot.pause()
        await pilot.press("ctrl+f", "ctrl+f", *"/one", "enter")
        await until(pilot, lambda: [label.split()[-1] for label in labels(app)][:1] == ["/one"])
        await pilot.press("home", "enter")
        await pilot.pause()
        assert str(app.screen.query_one("#content").render()) == "one 1\none 1\n"
        await pilot.press("d")
        await pilot.pause()
        assert "-one 0\n+one 1\n+one 1" in str(app.screen.query_one("#content").render())
        await pilot.press("escape", "q")

    drive(layered, tmp_path, steps)
    assert (tmp_path / "three").read_text() == "d/three 0\n"


def test_view_ends_with_its_terminal(layered: Rootlay) -> None:
    pytest.importorskip("textual")
    environ = {**os.environ, "ROOTLAY_ROOT": str(layered.root), "TERM": "xterm"}
    child, terminal = pty.fork()
    if child == 0:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup and some terminals do
        os.execve(sys.executable, [sys.executable, "-m", "rootlay.cli.entry", "explore", "layered"], environ)
    assert b"Layers" in b"".join(_until(terminal, b"Layers"))
    os.close(terminal)
    assert os.waitpid(child, 0)[1] != 0


def _until(terminal: int, text: bytes) -> list[bytes]:
    """What a terminal shows until a text has come."""
    seen = [b""]
    while text not in b"".join(seen):
        seen.append(os.read(terminal, 1 << 16))
    return seen
