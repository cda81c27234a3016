"""An executor whose processes are inside a container."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from rootlay.vfs.api.container import Container
from rootlay.vfs.api.whole import enter_process


class ContainerProcessPoolExecutor(ProcessPoolExecutor):
    """A ProcessPoolExecutor whose workers are in a container with all their threads: see `enter`.

    New interpreters are started (`spawn`), so that nothing of this process is inside. Workers that
    replace others (`max_tasks_per_child`) are inside, too. The functions are imported from the machine.

    Args:
        container: stays open, and is not removed, as long as the executor is used.
        max_workers, max_tasks_per_child, initializer, initargs: as in ProcessPoolExecutor; the initializer runs inside.
        cwd: directory inside; the container's working directory by default.
    """

    def __init__(
        self,
        container: Container,
        max_workers: int | None = None,
        *,
        cwd: str = "",
        max_tasks_per_child: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
    ) -> None:
        self._container = container  # an ephemeral container is not removed while it is used
        super().__init__(
            max_workers,
            mp_context=multiprocessing.get_context("spawn"),
            max_tasks_per_child=max_tasks_per_child,
            initializer=_enter,
            initargs=(container, cwd, initializer, initargs),
        )


def _enter(
    container: Container, cwd: str, initializer: Callable[..., object] | None, initargs: tuple[Any, ...]
) -> None:
    enter_process(container, cwd=cwd)
    if initializer is not None:
        initializer(*initargs)
