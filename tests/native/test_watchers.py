"""Watchers inside against the same watchers on kernel overlayfs: random changes of a tree, the same events.

`inotifywait -m -r` and Python's watchdog watch a tree of the image; the objects that change are the image's, the
upper's and copied-up ones. The long form does 10,000 operations with each. Events of one directory are compared in
order. ADR 28 lists the two differences that are expected: how a directory replaces an empty one with whiteouts, and how
often a directory is opened that is renamed or removed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from tests.native.guest import HERE, Guest, need
from tests.vfs.test_kernel_overlayfs import mount_overlay, unmount

pytestmark = [pytest.mark.oracles, pytest.mark.long_form, pytest.mark.needs_root("mount overlayfs")]

ROUNDS, OPERATIONS = (25, 400) if os.environ.get("ROOTLAY_TEST_LONG") else (2, 250)
WATCHERS = ("changes", "inotifywait", "watchdog")
OPENS = ("OPEN", "ACCESS", "CLOSE_NOWRITE")
READ_ONCE_MORE = ("rename", "rmdir")  # the directories that these name
Answer = tuple[list[object], int, dict[str, list[str]]]


def make_tree(root: Path) -> None:
    directories = ("", "a", "b", "c", "a/b", "a/c", "b/a/c", "c/d/e/f", "d", "e/f")
    for directory in directories:
        (root / directory).mkdir(parents=True, exist_ok=True)
    for directory in directories:
        for name in "abcdefghijkl"[len(directory) :: 2]:
            if not (root / directory / name).exists():
                (root / directory / name).write_text(f"content of {directory}/{name}\n" * 9)
    (root / "fence").touch()
    (root / "empty").mkdir()


@pytest.fixture(scope="module")
def lower(debian_root: Path) -> Path:
    """The Debian image with the tree, the programs, and what they need."""
    place = debian_root / "srv"
    if not (place / "watched").exists():
        make_tree(place / "watched")
    shutil.copy(HERE / "watchers.py", place)
    tool = need("inotifywait")
    shutil.copy(tool, debian_root / "usr" / "bin" / "inotifywait")
    listed = subprocess.run(["ldd", tool], capture_output=True, text=True, check=True).stdout
    (library,) = (line.split()[2] for line in listed.splitlines() if "libinotifytools" in line)
    shutil.copy(library, debian_root / "usr" / "lib" / Path(library).name)
    found = importlib.util.find_spec("watchdog")
    if found is not None:
        assert found.origin is not None
        shutil.copytree(Path(found.origin).parent, place / "watchdog", dirs_exist_ok=True)
    return debian_root


def answers(output: str) -> list[Answer]:
    """For each operation: itself, its answer, and the events by directory."""
    found: list[Answer] = []
    for line in output.splitlines():
        _, op, answer, events = json.loads(line)
        by_place: dict[str, list[str]] = defaultdict(list)
        for event in events:
            if op[0] in READ_ONCE_MORE and event[1].startswith(OPENS) and event[1].endswith(",ISDIR"):
                continue
            place = event[0] if len(event) < 4 else str(Path(event[2]).parent)
            by_place[place].append(" ".join(event))
        if op[0] == "mkdir":  # two reads of a listing are one event unless the fence's events come between them
            by_place = {place: list(dict.fromkeys(of_place)) for place, of_place in by_place.items()}
        if op[0] in ("rename", "mkdir"):  # watchdog lists a directory that moved, in the order of the file system
            by_place = {place: sorted(of_place) for place, of_place in by_place.items()}
        found.append((op, answer, dict(by_place)))
    return found


def replaces_a_directory(op: list[object], inside: dict[str, list[str]]) -> bool:
    return op[0] == "rename" and any(" DELETE,ISDIR " in event for events in inside.values() for event in events)


def on_overlayfs(lower: Path, base: Path, words: list[str]) -> str:
    base.mkdir()
    try:
        mount_overlay(lower, base, base / "merged")
    except OSError as error:
        pytest.skip(f"a kernel that lets us mount overlayfs ({error})")
    try:
        return subprocess.run(
            [sys.executable, HERE / "watchers.py", *words],
            cwd=base / "merged" / "srv", capture_output=True, text=True, timeout=900, check=True,
        ).stdout  # fmt: skip
    finally:
        unmount(base / "merged")


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(ROUNDS))
@pytest.mark.parametrize("watcher", WATCHERS)
def test_a_watcher_reports_what_it_reports_on_overlayfs(
    lower: Path, debian: Guest, tmp_path: Path, watcher: str, seed: int
) -> None:
    if watcher == "watchdog" and not (lower / "srv" / "watchdog").exists():
        pytest.skip("watchdog is not installed")
    words = [watcher, "watched", str(seed), str(OPERATIONS)]
    expected = answers(on_overlayfs(lower, tmp_path / "kernel", words))
    inside = debian.run("/usr/bin/python3", "/srv/watchers.py", *words, cwd="/srv", timeout=900)
    assert inside.returncode == 0, inside.stderr.decode()
    found = answers(inside.stdout.decode())
    assert len(expected) == OPERATIONS
    differ = [pair for pair in zip(expected, found, strict=True) if pair[0] != pair[1]]
    unexpected = [pair for pair in differ if not replaces_a_directory(pair[1][0], pair[1][2])]
    assert not unexpected, (len(unexpected), unexpected[:3])
    assert len(differ) <= OPERATIONS // 100
