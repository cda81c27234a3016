"""Sandboxes: code that is not trusted, each piece in a clean fork of one prepared container.

    with Sandbox("python:3.13", setup=["pip", "install", "numpy"]) as sandbox:
        result = sandbox.run("import numpy; print(numpy.pi); open('/out', 'w').write('x')")
        print(result.stdout, result.exceeded, [change.path for change in result.changes])

Rules:
1. The boundary is the confinement of the engine (SECURITY.md): Landlock and seccomp. `confine="require"` refuses to run
   where the kernel cannot confine.
2. Nothing survives a run: its processes are killed, its files are removed. The result has its changes.
3. A run with another user inside than root is not safer: users inside are not users of the machine.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from rootlay.store.model.value import value
from rootlay.vfs.api.container import Container, Image
from rootlay.vfs.api.programs import Completed
from rootlay.vfs.api.store import Store
from rootlay.vfs.held.limits import Limits, cgroup_parent
from rootlay.vfs.merge.path import ImagePath
from rootlay.vfs.overlay.containerstack import settle_removals
from rootlay.vfs.sandbox.forks import Base, Pool
from rootlay.vfs.sandbox.result import FileChange, Result, capture
from rootlay.vfs.sandbox.session import SandboxSession, check_interpreter

Setup = Callable[[Container], object] | Sequence[str] | None
Files = Mapping[str, str | bytes]
POOL = 4
_ARGUMENT_BYTES_MAX = 100_000
"""Longer code is passed on standard input: the kernel limits an argument to 128 KiB."""


def default_limits() -> Limits:
    """Return the limits of a run: 1 GiB of memory, 10 s, 64 processes, 1 MiB of output, 64 MiB on disk.

    For root without a delegated cgroup nothing limits processes (rootlay.vfs.held.limits): `pids` is 0 then.
    """
    limits = Limits(memory=1 << 30, cpu=10, wall=10, pids=64, output=1 << 20, files=256, disk=64 << 20)
    if os.geteuid() == 0 and cgroup_parent(limits) is None:
        return Limits(memory=1 << 30, cpu=10, wall=10, output=1 << 20, files=256, disk=64 << 20)
    return limits


@value
class _Run:
    """What one run needs."""

    argv: tuple[str, ...]
    data: bytes
    files: dict[str, bytes]
    limits: Limits
    options: dict[str, Any]


class Sandbox:
    """One prepared container, and forks of it. Close it, or use it as a context manager. Safe for threads.

    Args:
        image: an image, or the name of one in `store`.
        setup: prepares the container, once: a function that gets it, or the words of a program.
        limits: of each run; see `default_limits`.
        network: `none` or `host`.
        confine: `require`, `auto` or `off`: as `rootlay run --confine`.
        pool: how many forks to keep ready.
        workers: how many runs there are at a time, for the limit of processes.
        interpreter: the program that runs code: the code is its last argument.
        env, cwd, user: of every run, as for Image.container.
        store: by default the user's own.

    Raises:
        UnknownImage, EngineMissing: nothing was made.
        TypeError: `setup` or `interpreter` is one text, not words.
        subprocess.CalledProcessError: the program `setup` failed.
    """

    def __init__(
        self,
        image: Image | str,
        *,
        setup: Setup = None,
        limits: Limits | None = None,
        network: str = "none",
        confine: str = "require",
        pool: int = POOL,
        workers: int = POOL,
        interpreter: Sequence[str] = ("python3", "-c"),
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        user: str | int | None = None,
        store: Store | None = None,
    ) -> None:
        for argument, given in (("setup", setup), ("interpreter", interpreter)):
            if isinstance(given, str):  # a sequence of strings for a type checker
                raise TypeError(f"Sandbox: {argument} is a sequence of strings, not str: {given[:60]!r}")
        self.limits = limits if limits is not None else default_limits()
        self._interpreter = tuple(interpreter)
        found = (store or Store.open()).image(image) if isinstance(image, str) else image
        container = found.container(env=env, cwd=cwd, user=user, network=network, confine=confine)
        try:
            if callable(setup):
                setup(container)
            elif setup is not None:
                container.run(list(setup), check=True)
            self._base = Base(container, workers)
        except BaseException:
            container.close()
            raise
        self._pool = Pool(self._base, pool)

    def run(
        self,
        code: str | Sequence[str],
        *,
        files: Files | None = None,
        input: str | bytes | None = None,  # noqa: A002 -- subprocess.run's own name
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        limits: Limits | None = None,
    ) -> Result:
        """Run code in a fork of its own, and return what it did.

        Args:
            code: code for the interpreter; or the words of a program.
            files: files to write first, by absolute path; they belong to root inside.
            input: standard input; empty by default.
            env: more variables.
            limits: instead of the sandbox's.

        Raises:
            FileNotFoundError: there is no such program inside.
            NotStarted: the kernel cannot confine, and `confine` is `require`.
            OSError: the store's disk is full, or fails.
        """
        return self._run(self._prepared(code, files, input, env, cwd, limits), -1)

    async def arun(
        self,
        code: str | Sequence[str],
        *,
        files: Files | None = None,
        input: str | bytes | None = None,  # noqa: A002
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        limits: Limits | None = None,
    ) -> Result:
        """Run code as `run` does, without blocking the event loop. A cancelled call ends the code and its processes."""
        from rootlay.vfs.api.awaiting import in_thread

        wanted = self._prepared(code, files, input, env, cwd, limits)
        return await in_thread(lambda stop: self._run(wanted, stop))

    def session(self, interpreter: str = "shell", *, limits: Limits | None = None) -> SandboxSession:
        """Open a session in a fork of its own: files and interpreter stay from one step to the next. Close it.

        Args:
            interpreter: `shell` or `python`.
            limits: of each step; `wall` alone is exact, because the interpreter lives longer than a step.
        """
        check_interpreter(interpreter)
        return SandboxSession(self._base, self._base.fork(), interpreter, limits if limits is not None else self.limits)

    def close(self) -> None:
        """Remove the container, its forks, and all processes in them. Close sessions first. Idempotent."""
        self._pool.close()
        self._base.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _prepared(
        self,
        code: str | Sequence[str],
        files: Files | None,
        data: str | bytes | None,
        env: Mapping[str, str] | None,
        cwd: str | None,
        limits: Limits | None,
    ) -> _Run:
        argv = (*self._interpreter, code) if isinstance(code, str) else tuple(code)
        if isinstance(code, str) and len(code.encode("utf-8", "surrogatepass")) > _ARGUMENT_BYTES_MAX:
            if data is not None:
                raise ValueError(f"input: code of more than {_ARGUMENT_BYTES_MAX} bytes is passed on standard input")
            argv, data = (self._interpreter[0], "-"), code
        contents = {
            str(ImagePath.of(path)): text.encode() if isinstance(text, str) else text
            for path, text in (files or {}).items()
        }
        raw = data.encode() if isinstance(data, str) else data or b""
        options = {"env": env, "cwd": cwd, "user": None}
        return _Run(argv, raw, contents, limits if limits is not None else self.limits, options)

    def _run(self, wanted: _Run, stop: int) -> Result:
        fork = self._pool.take()
        try:
            for path, content in wanted.files.items():
                fork.fs.makedirs(os.path.dirname(path), recreate=True)
                fork.fs.writebytes(path, content)
            done = fork.talk(wanted.argv, wanted.data, wanted.limits, wanted.options, stop)
            changes: tuple[FileChange, ...] = ()
            more = False
            settle_removals(fork.record)
            if os.listdir(fork.record.upper_of(fork.record.stack())):
                changes, more = capture(self._base.overlay, fork._open_overlay(), wanted.files)
            return result_of(done, changes, more)
        finally:
            self._pool.dispose(fork)


def result_of(done: Completed[bytes], changes: Any = (), more: bool = False) -> Result:
    """Return the result of a program that has ended."""
    out, err = ((part or b"").decode("utf-8", "replace") for part in (done.stdout, done.stderr))
    return Result(done.returncode, out, err, done.truncated, done.exceeded, changes, more, done.usage)
