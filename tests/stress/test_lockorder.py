"""The check of the lock order finds every violation, and nothing else."""

from __future__ import annotations

import fcntl
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rootlay.store.disk.lock import UseLock, acquire, try_lock
from tests.stress.lockorder import RANKS, Watch, watch

pytestmark = pytest.mark.once

LAYER = f"sha256-{'0' * 64}.lock"


@pytest.fixture
def seen(tmp_path: Path) -> Iterator[Watch]:
    (tmp_path / "locks").mkdir()
    before = fcntl.flock
    yield watch(tmp_path)
    fcntl.flock = before


def test_the_order_is_fine(seen: Watch, tmp_path: Path) -> None:
    with acquire(tmp_path / "locks" / LAYER), UseLock(tmp_path / "locks" / "use", remover=False):
        acquire(tmp_path / "locks" / "index.lock").release()
    assert dict(seen.pairs) == {"layer -> use": 1, "layer -> view or index": 1, "use -> view or index": 1}
    assert seen.wrong == []


def test_the_other_way_round_is_seen(seen: Watch, tmp_path: Path) -> None:
    with UseLock(tmp_path / "locks" / "use", remover=True):
        acquire(tmp_path / "locks" / LAYER).release()
    assert [text.partition(":")[0] for text in seen.wrong] == ["use -> layer"]


def test_two_of_one_rank_are_seen(seen: Watch, tmp_path: Path) -> None:
    with acquire(tmp_path / "locks" / LAYER):
        acquire(tmp_path / "locks" / LAYER.replace("0", "1")).release()
    assert len(seen.wrong) == 1


def test_what_was_given_back_is_not_held(seen: Watch, tmp_path: Path) -> None:
    UseLock(tmp_path / "locks" / "use", remover=False).__exit__(None, None, None)
    acquire(tmp_path / "locks" / LAYER).release()
    assert not seen.pairs


def test_who_does_not_wait_and_who_is_another_thread_is_fine(seen: Watch, tmp_path: Path) -> None:
    with UseLock(tmp_path / "locks" / "use", remover=False):
        found = try_lock(tmp_path / "locks" / LAYER)
        assert found is not None
        found.release()
        other = threading.Thread(target=lambda: acquire(tmp_path / "locks" / LAYER).release())
        other.start()
        other.join()
    assert seen.wrong == []


def test_a_number_that_another_thread_has_now_is_not_held(seen: Watch, tmp_path: Path) -> None:
    """A lock is closed, and another thread takes the same lock under the same descriptor number."""
    use = tmp_path / "locks" / "use"
    UseLock(use, remover=False).__exit__(None, None, None)
    waits = use.open()  # it has the descriptor number, but no lock yet
    acquire(tmp_path / "locks" / LAYER).release()
    other = threading.Thread(target=lambda: fcntl.flock(waits, fcntl.LOCK_SH))
    other.start()
    other.join()
    acquire(tmp_path / "locks" / LAYER).release()
    waits.close()
    assert not seen.pairs


def test_ranks_are_those_of_the_document() -> None:
    text = (Path(__file__).parents[2] / "docs" / "robustness.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d) \| (.*?) \|", text, re.MULTILINE)
    for number, names in rows:
        for name in re.findall(r"`([^`]+)`", names):
            example = re.sub(r"<id>|<key>|<diff id>|<chain id>", "a" * 64, name)
            ranks = [rank for rank, _, pattern in RANKS if pattern.fullmatch(example)]
            assert ranks == ([int(number)] if "tmp/" not in name and "lease" not in name else []), name
