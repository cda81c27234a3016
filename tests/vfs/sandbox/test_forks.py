"""The pool of forks: how many wait for their removal."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from rootlay.vfs import Store
from rootlay.vfs.api.container import Container
from rootlay.vfs.sandbox.forks import USED_MAX, Base, Pool
from tests.vfs.busyimage import import_busy


class StuckBase(Base):
    """A base whose forks are made by this test's thread alone: the pool's thread waits."""

    def __init__(self, container: Container) -> None:
        super().__init__(container, 1)
        self.may_fork = threading.Event()

    def fork(self, *given: object) -> Container:
        if threading.current_thread() is not threading.main_thread():
            self.may_fork.wait()
        return super().fork()


def test_used_forks_do_not_pile_up(tmp_path: Path) -> None:
    """Each has open files: 10,000 quick runs ended with EMFILE when the pool's thread was late."""
    image = import_busy(tmp_path)
    base = StuckBase(image.container(confine="auto"))
    pool = Pool(base, 1)

    def containers() -> int:
        return sum(len(name) == 64 for name in os.listdir(image.root / "containers"))

    for _ in range(USED_MAX + 5):
        pool.dispose(pool.take())
        assert containers() <= 1 + USED_MAX
    assert containers() == 1 + USED_MAX
    base.may_fork.set()
    pool.close()
    base.close()
    assert containers() == 0
    assert list(Store.open(image.root).containers()) == []
