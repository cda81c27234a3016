"""Tasks of Dask in containers of an image: a worker plugin (`client.register_plugin(ContainerPlugin("debian"))`).

Rules:
1. Dask schedules; this plugin only changes where the code of a worker runs. Each worker uses the store of its machine,
   and fetches the image if that lacks it: once for all workers of a machine (rootlay.store.registry.once).
2. `each` says what is inside: with `task` each task has a container of its own, removed when it ends; with `worker` the
   tasks of a worker share one; with `process` the whole worker process is inside, with all its threads, for good.
3. A worker that cannot have its container runs no task: Dask only logs the error of a plugin of a worker that joins
   later, so all its tasks fail with that error. A task never runs outside by accident.
4. Names of the machine that tasks need, such as data directories, are given as `binds`. The interpreter's own files
   show through, as in every activation.
How to: docs/howto/dask.md. Needs the extra `rootlay[dask]`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import ExitStack
from typing import Any

from distributed import Worker
from distributed.diagnostics.plugin import WorkerPlugin
from distributed.threadpoolexecutor import ThreadPoolExecutor
from distributed.utils import set_thread_state
from distributed.worker import _worker_cvar

from rootlay.store.containers.record import Bind
from rootlay.vfs.api.container import Container, Image
from rootlay.vfs.api.store import Store
from rootlay.vfs.api.whole import enter_process

EACH = ("task", "worker", "process")


class InsidePool(ThreadPoolExecutor):  # type: ignore[misc]  # Dask has no types
    """Dask's pool of threads, whose work runs inside.

    Dask runs the work of a pool with ThreadPoolExecutor in its name in the context of its event loop, which is outside.
    Other executors get the bare function. So the name is another one, and what Dask does for its own threads
    (`get_worker`, `worker_client`, `secede`) is done here.

    Args:
        worker: the worker of Dask.
        image: what each task has a container of, if `container` is None.
        container: what all tasks share.
        options: of `Image.container`.
        activation: of `Container.activate`.
    """

    def __init__(
        self,
        worker: Worker,
        image: Image,
        container: Container | None,
        options: Mapping[str, Any],
        activation: Mapping[str, Any],
    ) -> None:
        super().__init__(worker.state.nthreads, thread_name_prefix="Dask-Rootlay-Threads")
        self._worker = worker
        self._image = image
        self._container = container
        self._options = dict(options)
        self._activation = dict(activation)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a function inside."""
        found: Future[Any] = super().submit(self._run, fn, *args, **kwargs)
        return found

    def _run(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        key = getattr(args[0], "key", None) if args else None
        with (
            set_thread_state(start_time=time.time(), execution_state=self._worker.execution_state, key=key),
            ExitStack() as stack,
        ):
            stack.callback(_worker_cvar.reset, _worker_cvar.set(self._worker))
            container = self._container or stack.enter_context(self._image.container(**self._options))
            stack.enter_context(container.activate(**self._activation))
            return fn(*args, **kwargs)


class RefusingPool(Executor):
    """An executor that runs nothing, and says why."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Raise RuntimeError."""
        raise RuntimeError(self._reason)


class ContainerPlugin(WorkerPlugin):  # type: ignore[misc]  # Dask has no types
    """Put tasks of all workers into containers of an image.

    Args:
        image: a name, which is pulled if the store lacks it, or the path of a bundle.
        each: `task`, `worker` or `process`: see rule 2.
        executor: with `task` and `worker`: the executor whose tasks are inside. `default`: all tasks; another name:
            those with `dask.annotate(executor=NAME)`.
        store: the store's directory on each machine; the user's own by default.
        env: variables of programs inside.
        binds: paths of the machine that are visible inside.
        user, cwd: user and directory inside.
        threads: as in `Container.activate`.
        name: the plugin's name: another one of this name is replaced.
    """

    def __init__(
        self,
        image: str,
        *,
        each: str = "task",
        executor: str = "default",
        store: str | None = None,
        env: Mapping[str, str] | None = None,
        binds: Sequence[Bind] = (),
        user: str | None = None,
        cwd: str | None = None,
        threads: str = "inherit",
        name: str = "rootlay",
    ) -> None:
        if each not in EACH:
            raise ValueError(f"each {each[:40]!r}: expected {', '.join(EACH)}")
        if each == "process" and executor != "default":
            raise ValueError("executor: with each='process' all tasks are inside; leave it out")
        self.name = name
        self.image = image
        self.each = each
        self.executor = executor
        self.store = store
        self.options: dict[str, Any] = {"env": dict(env or {}), "binds": tuple(binds), "user": user, "cwd": cwd}
        self.threads = threads
        self._container: Container | None = None
        self._replaced: Any = None

    def setup(self, worker: Worker) -> None:
        """Fetch the image, and move the worker's tasks inside. After an error no task runs (rule 3)."""
        self._replaced = worker.executors.get(self.executor)
        try:
            self._set_up(worker)
        except BaseException as error:
            worker.executors[self.executor] = RefusingPool(f"no container of {self.image}: {error}")
            raise

    def _set_up(self, worker: Worker) -> None:
        image = Store.open(self.store).ensure(self.image)
        if self.each == "process":
            self._enter(worker, image)
            return
        self._container = image.container(**self.options) if self.each == "worker" else None
        pool = InsidePool(worker, image, self._container, self.options, {"threads": self.threads})
        worker.executors[self.executor] = pool

    def _enter(self, worker: Worker, image: Image) -> None:
        """Move the process inside. The directory of the workers, to which they spill, stays the machine's."""
        own = os.path.dirname(os.path.abspath(worker.local_directory))
        options = {**self.options, "binds": (*self.options["binds"], Bind(own, own))}
        enter_process(image.container(**options))

    def teardown(self, worker: Worker) -> None:
        """Take the tasks out again, and remove the shared container. A process that is inside stays inside."""
        if self.each == "process":
            return
        pool = worker.executors.pop(self.executor, None)
        if self._replaced is not None:
            worker.executors[self.executor] = self._replaced
        if pool is not None:
            pool.shutdown(wait=False)
        if self._container is not None:
            self._container.close()
            self._container = None

    def __getstate__(self) -> dict[str, Any]:
        """Return what workers need: nothing that belongs to one of them."""
        return {**self.__dict__, "_container": None, "_replaced": None}
