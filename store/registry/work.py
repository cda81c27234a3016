"""Several blobs in parallel, one progress for all, and one end: the first error stops the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

from rootlay.store.model.progress import Progress


class SharedProgress:
    """The sum of the reports of several workers. Thread safe; never decreases, even if an upload starts again."""

    def __init__(self, progress: Progress, total_bytes: int, label: str) -> None:
        self._progress = progress
        self._total_bytes = total_bytes
        self._label = label
        self._lock = threading.Lock()
        self._done: dict[int, int] = {}
        self._shown = -1

    def report(self, worker: int, done_bytes: int) -> None:
        """Note that the worker has now done that many bytes."""
        with self._lock:
            self._done[worker] = done_bytes
            total = sum(self._done.values())
            if total > self._shown:
                self._shown = total
                self._progress(total, self._total_bytes, self._label)


def run_all(jobs: Sequence[Callable[[], object]], parallel: int, stop: threading.Event) -> None:
    """Run all jobs, `parallel` at a time. The first error is raised when all have ended; `stop` is set before."""
    if not jobs:
        return
    with ThreadPoolExecutor(max_workers=max(1, parallel), thread_name_prefix="registry") as pool:
        futures = [pool.submit(job) for job in jobs]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        except BaseException:  # KeyboardInterrupt
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
        failed = [future for future in futures if future in done and future.exception() is not None]
        if failed:
            stop.set()
            pool.shutdown(cancel_futures=True)
            failed[0].result()
