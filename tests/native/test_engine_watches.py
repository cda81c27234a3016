"""inotify inside against inotify on a plain directory: the same program, the same events (docs/adr/0028)."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.native.guest import HERE, Guest

FILES = ("a", "b", "c/a", "c/b", "c/d/a", "e/a", "e/b", "f/g/h/a")
OPERATIONS = 300  # of each seed; they meet none of the differences that ADR 28 lists


def make_tree(root: Path) -> None:
    for name in FILES:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content of {name}\n")


CASES = (
    "file_of_the_image", "opens_of_the_image", "lists_of_directories", "only_what_was_asked_for", "masks_add_up",
    "waiting", "interrupted", "inherited", "errors",
)  # fmt: skip
DESCRIPTORS = (
    "duplicates", "number_used_again", "vectors", "readable_bytes", "wakes", "small_buffers", "forked", "executed",
    "passed",
)  # fmt: skip
TAIL = """
tail -n 0 -F /srv/w/e/a >/srv/out 2>/dev/null & tail=$!
for text in one two three; do sleep 0.5; echo $text >>/srv/w/e/a; done
for i in 1 2 3 4 5 6 7 8 9 10; do grep -q three /srv/out && break; sleep 0.5; done
kill $tail
cat /srv/out
"""


@pytest.fixture
def watched(debian: Guest) -> Guest:
    tree = debian.lower / "srv" / "w"
    if not tree.exists():
        make_tree(tree)
    for name in ("watched.py", "watchcases.py"):
        shutil.copy(HERE / name, debian.lower / "srv" / name)
    return debian


@pytest.mark.parametrize("seed", range(4))
def test_random_changes_are_reported_as_in_a_plain_directory(watched: Guest, tmp_path: Path, seed: int) -> None:
    make_tree(tmp_path / "srv" / "w")
    arguments = [str(seed), str(OPERATIONS)]
    plain = subprocess.run(
        [sys.executable, HERE / "watched.py", "w", *arguments],
        cwd=tmp_path / "srv", capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    inside = watched.run("/usr/bin/python3", "/srv/watched.py", "w", *arguments, cwd="/srv", timeout=120)
    assert inside.returncode == 0, inside.stderr.decode()
    expected, found = plain.stdout.splitlines(), inside.stdout.decode().splitlines()
    assert len(expected) == OPERATIONS
    for wanted, seen in zip(expected, found, strict=True):
        assert seen == wanted


@pytest.mark.parametrize(("script", "case"), [
    *(("watched.py", case) for case in CASES), *(("watchcases.py", case) for case in DESCRIPTORS),
])  # fmt: skip
def test_a_watch_answers_as_in_a_plain_directory(watched: Guest, tmp_path: Path, script: str, case: str) -> None:
    make_tree(tmp_path / "srv" / "w")
    plain = subprocess.run(
        [sys.executable, HERE / script, case],
        cwd=tmp_path / "srv", capture_output=True, text=True, timeout=60, check=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    inside = watched.run("/usr/bin/python3", f"/srv/{script}", case, cwd="/srv")
    assert inside.returncode == 0, inside.stderr.decode()
    assert inside.stdout.decode() == plain.stdout


def test_tail_follows_a_file_of_the_image(watched: Guest) -> None:
    assert watched.sh(TAIL) == "one\ntwo\nthree\n"
