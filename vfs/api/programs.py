"""Programs of a container: `popen`, `run` and `arun`, with subprocess's conventions.

Rules:
1. A program is a child of the caller. `run` returns when it ends; a background child that keeps its pipes is not waited
   for.
2. A time-out, a limit, an exception in the caller and a cancelled `arun` end the program with its whole tree
   (rootlay.vfs.held.tree).
3. A program that does not exist raises FileNotFoundError, as in subprocess; there is no exit code 127 for it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, Unpack, overload

from rootlay.store.containers.record import ContainerRecord
from rootlay.vfs.api.arguments import checks_arguments
from rootlay.vfs.api.options import ProcessOptions
from rootlay.vfs.held.communicate import Conversation, Outcome, TimedOut
from rootlay.vfs.held.limits import Limits
from rootlay.vfs.held.start import NONE, HeldProcess, abandon, cgroup_of, start_held, watch_in_background
from rootlay.vfs.held.watch import Usage, Watch
from rootlay.vfs.merge.bypass import bypasses_hooks

if TYPE_CHECKING:
    from rootlay.vfs.run.processes import Moment
    from rootlay.vfs.run.session import Session

T = TypeVar("T", str, bytes)
Words = Sequence[str | os.PathLike[str]]


class Completed(subprocess.CompletedProcess[T], Generic[T]):
    """The end of a program: subprocess.CompletedProcess, and how its limits held.

    `truncated`: output was dropped. `exceeded` names the limit that the program or one of its descendants has reached:
    `memory`, `cpu`, `wall`, `pids`, `disk`, or nothing, also if that is not known (docs/howto/limits.md says when).
    `usage`: see Usage.
    """

    truncated: bool = False
    exceeded: str = ""
    usage: Usage = Usage()

    def __repr__(self) -> str:
        more = f", exceeded={self.exceeded!r}" if self.exceeded else ""
        more += ", truncated=True" if self.truncated else ""
        return f"{super().__repr__()[:-1]}{more})"


@bypasses_hooks
@checks_arguments
class RunsPrograms:
    """The part of a container that runs programs."""

    record: ContainerRecord
    neighbours = 1
    """How many programs with limits this user runs at a time: see rootlay.vfs.held.limits."""
    fresh = False
    """Whether no program has run in the container yet."""
    made: Moment | None = None
    """A moment before the container was made, if this process has made it."""

    @overload
    def popen(
        self, args: Words, *, env: Mapping[str, str] | None = ..., cwd: str | os.PathLike[str] | None = ...,
        user: str | int | None = ..., limits: Limits | None = ..., text: Literal[True],
        encoding: str | None = ..., **options: Unpack[ProcessOptions],
    ) -> subprocess.Popen[str]: ...  # fmt: skip
    @overload
    def popen(
        self, args: Words, *, env: Mapping[str, str] | None = ..., cwd: str | os.PathLike[str] | None = ...,
        user: str | int | None = ..., limits: Limits | None = ..., text: bool | None = ...,
        encoding: str, **options: Unpack[ProcessOptions],
    ) -> subprocess.Popen[str]: ...  # fmt: skip
    @overload
    def popen(
        self, args: Words, *, env: Mapping[str, str] | None = ..., cwd: str | os.PathLike[str] | None = ...,
        user: str | int | None = ..., limits: Limits | None = ..., text: Literal[False] | None = ...,
        encoding: None = ..., **options: Unpack[ProcessOptions],
    ) -> subprocess.Popen[bytes]: ...  # fmt: skip
    def popen(
        self,
        args: Sequence[str | os.PathLike[str]],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        user: str | int | None = None,
        limits: Limits | None = None,
        text: bool | None = None,
        encoding: str | None = None,
        **options: Unpack[ProcessOptions],
    ) -> subprocess.Popen[Any]:
        """Start a program inside. Standard streams and `options` as with subprocess.Popen.

        Args:
            args: argument vector; a name without a slash is looked up in PATH, inside.
            env: added to the container's own environment.
            cwd: directory inside; the container's working directory by default.
            user: `name|uid[:group|gid]` inside.
            limits: they hold for the program with its descendants, in a session of its own; not `output`, because the
                caller reads the pipes. The attribute `exceeded` of the result names the one that it reached.
            text, encoding: streams of `str`, as with subprocess.Popen.

        Raises:
            FileNotFoundError: the container has no such program. PermissionError, OSError: it cannot be executed.
            EngineMissing: this machine has no native engine.
            UnknownUser: the image does not have that user.
            LimitRefused: a limit cannot be enforced on this machine.
        """
        held = limits or NONE
        if held.output:
            raise ValueError("Limits: output: popen gives the pipes to the caller; use run, or leave it out")
        session, process = self._start(args, env, cwd, user, held, text, encoding, dict(options))
        if held != NONE:
            watch_in_background(process, session, held)
        return process

    @overload
    def run(
        self, args: Words, *, input: str | None = ..., capture_output: bool = ..., timeout: float | None = ...,
        check: bool = ..., env: Mapping[str, str] | None = ..., cwd: str | os.PathLike[str] | None = ...,
        user: str | int | None = ..., limits: Limits | None = ..., text: Literal[True],
        encoding: str | None = ..., **options: Unpack[ProcessOptions],
    ) -> Completed[str]: ...  # fmt: skip
    @overload
    def run(
        self, args: Words, *, input: str | None = ..., capture_output: bool = ..., timeout: float | None = ...,
        check: bool = ..., env: Mapping[str, str] | None = ..., cwd: str | os.PathLike[str] | None = ...,
        user: str | int | None = ..., limits: Limits | None = ..., text: bool | None = ...,
        encoding: str, **options: Unpack[ProcessOptions],
    ) -> Completed[str]: ...  # fmt: skip
    @overload
    def run(
        self, args: Words, *, input: bytes | None = ..., capture_output: bool = ..., timeout: float | None = ...,
        check: bool = ..., env: Mapping[str, str] | None = ..., cwd: str | os.PathLike[str] | None = ...,
        user: str | int | None = ..., limits: Limits | None = ..., text: Literal[False] | None = ...,
        encoding: None = ..., **options: Unpack[ProcessOptions],
    ) -> Completed[bytes]: ...  # fmt: skip
    def run(
        self,
        args: Sequence[str | os.PathLike[str]],
        *,
        input: str | bytes | None = None,  # noqa: A002 -- subprocess.run's own name
        capture_output: bool = False,
        timeout: float | None = None,
        check: bool = False,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        user: str | int | None = None,
        limits: Limits | None = None,
        text: bool | None = None,
        encoding: str | None = None,
        **options: Unpack[ProcessOptions],
    ) -> Completed[Any]:
        """Run a program inside and wait for it: subprocess.run's arguments, result and exceptions, and popen's.

        In a container whose main program runs, this is `docker exec`.

        Args:
            timeout: seconds. After that the program is killed with its descendants, and TimeoutExpired has the output
                so far.
            limits: the result tells which limit was reached (`exceeded`), and whether output was dropped
                (`truncated`). What is left of the program's descendants at its end is killed.

        Raises:
            subprocess.CalledProcessError, subprocess.TimeoutExpired: as from subprocess.run.
            FileNotFoundError, …: as from popen.
        """
        given = dict(options)
        asked = {"env": env, "cwd": cwd, "user": user, "text": text, "encoding": encoding}
        return self._talk(args, input, timeout, check, limits or NONE, capture_output, asked, given, -1)

    @overload
    async def arun(
        self, args: Words, *, input: str | None = ..., capture_output: bool = ..., timeout: float | None = ...,
        check: bool = ..., env: Mapping[str, str] | None = ..., cwd: str | os.PathLike[str] | None = ...,
        user: str | int | None = ..., limits: Limits | None = ..., text: Literal[True],
        encoding: str | None = ..., **options: Unpack[ProcessOptions],
    ) -> Completed[str]: ...  # fmt: skip
    @overload
    async def arun(
        self, args: Words, *, input: bytes | None = ..., capture_output: bool = ..., timeout: float | None = ...,
        check: bool = ..., env: Mapping[str, str] | None = ..., cwd: str | os.PathLike[str] | None = ...,
        user: str | int | None = ..., limits: Limits | None = ..., text: Literal[False] | None = ...,
        encoding: None = ..., **options: Unpack[ProcessOptions],
    ) -> Completed[bytes]: ...  # fmt: skip
    async def arun(
        self,
        args: Sequence[str | os.PathLike[str]],
        *,
        input: str | bytes | None = None,  # noqa: A002
        capture_output: bool = False,
        timeout: float | None = None,
        check: bool = False,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        user: str | int | None = None,
        limits: Limits | None = None,
        text: bool | None = None,
        encoding: str | None = None,
        **options: Unpack[ProcessOptions],
    ) -> Completed[Any]:
        """Run a program as `run` does, without blocking the event loop. A cancelled call kills the program's tree."""
        from rootlay.vfs.api.awaiting import in_thread

        given = dict(options)
        asked = {"env": env, "cwd": cwd, "user": user, "text": text, "encoding": encoding}
        return await in_thread(
            lambda stop: self._talk(args, input, timeout, check, limits or NONE, capture_output, asked, given, stop)
        )

    def talk(self, args: Words, data: bytes, limits: Limits, asked: dict[str, Any], stop: int) -> Completed[bytes]:
        """Run a program with captured output for a sandbox.

        Args:
            asked: `env`, `cwd` and `user`.
            stop: a descriptor; see rootlay.vfs.held.communicate.
        """
        return self._talk(args, data, None, False, limits, True, {**asked, "text": None, "encoding": None}, {}, stop)

    def begin(self, args: Words, limits: Limits, pipes: dict[str, Any]) -> HeldProcess:
        """Start the interpreter of a sandbox's session."""
        return self._start(args, None, None, None, limits, None, None, pipes)[1]

    def _talk(
        self,
        args: Words,
        data: str | bytes | None,
        timeout: float | None,
        check: bool,
        limits: Limits,
        capture: bool,
        asked: dict[str, Any],
        options: dict[str, Any],
        stop: int,
    ) -> Completed[Any]:
        if data is not None:
            if options.get("stdin") is not None:
                raise ValueError("stdin and input: give only one of them")
            options["stdin"] = subprocess.PIPE
        if capture:
            if options.get("stdout") is not None or options.get("stderr") is not None:
                raise ValueError("stdout and stderr cannot be given together with capture_output")
            options["stdout"] = options["stderr"] = subprocess.PIPE
        if timeout is not None and not options.keys() & {"start_new_session", "process_group"}:
            options["start_new_session"] = True  # its tree is found by that
        started: list[tuple[HeldProcess, Session]] = []
        try:
            session, process = self._start(args, limits=limits, options=options, started=started, **asked)
            encoding = _encoding(process)
            tree = process.tree(session)
            watch = Watch(limits, tree, session.record.real_path, cgroup_of(process), process.before)
            raw = data.encode(*encoding) if isinstance(data, str) and encoding else data or b""
            outcome = Conversation(process, tree, watch, limits, memoryview(raw).tobytes(), stop).run(timeout)  # type: ignore[arg-type]  # a str without text=True raises TypeError here, as in subprocess
        except TimedOut as end:
            out, err = (_decoded(part, encoding) for part in end.args)
            raise subprocess.TimeoutExpired(list(args), timeout or 0, out, err) from None
        except BaseException:
            for process, session in started:
                abandon(process, session)
            raise
        finally:
            for process, _ in started:
                _close(process)
        return _completed(list(args), process.returncode, outcome, encoding, check)

    def _start(
        self,
        args: Words,
        env: Mapping[str, str] | None,
        cwd: str | os.PathLike[str] | None,
        user: str | int | None,
        limits: Limits,
        text: bool | None,
        encoding: str | None,
        options: dict[str, Any],
        started: list[tuple[HeldProcess, Session]] | None = None,
    ) -> tuple[Session, HeldProcess]:
        if not args:
            raise ValueError("args is empty: name a program")
        from rootlay.vfs.run.program import make_program

        program = make_program(
            self.record, self._read, argv=tuple(os.fspath(word) for word in args), env=env,
            cwd=None if cwd is None else os.fspath(cwd), user=None if user is None else str(user),
        )  # fmt: skip
        session = self._open_session()
        given = options | {"text": text, "encoding": encoding}
        process = start_held(
            session, program, limits, given, neighbours=self.neighbours, fresh=self.fresh, started=started
        )
        process.args = args  # the caller's arguments, for its repr and for TimeoutExpired
        process.container = self  # a handle lives as long as its processes
        return session, process

    def _read(self, path: bytes) -> bytes | None:
        raise NotImplementedError

    def _open_session(self) -> Session:
        raise NotImplementedError


def _encoding(process: HeldProcess) -> tuple[str, str] | None:
    """Return encoding and error handler of a process in text mode."""
    files: tuple[Any, ...] = (process.stdin, process.stdout, process.stderr)
    return next(((file.encoding, file.errors) for file in files if hasattr(file, "encoding")), None)


def _decoded(data: bytes | None, encoding: tuple[str, str] | None) -> Any:
    if data is None or encoding is None:
        return data
    return data.decode(*encoding).replace("\r\n", "\n").replace("\r", "\n")


def _close(process: HeldProcess) -> None:
    for name in ("stdin", "stdout", "stderr"):
        file = getattr(process, name, None)  # an interrupt can come before it has any
        if file is not None:
            try:
                file.close()
            except BrokenPipeError:
                continue
    if process.preparation is not None:
        process.preparation.release()


def _completed(
    args: list[Any], code: int, outcome: Outcome, encoding: tuple[str, str] | None, check: bool
) -> Completed[Any]:
    if outcome.truncated and encoding:  # the cut may be within a character
        encoding = (encoding[0], "replace" if encoding[1] == "strict" else encoding[1])
    out, err = _decoded(outcome.stdout, encoding), _decoded(outcome.stderr, encoding)
    if check and code:
        raise subprocess.CalledProcessError(code, args, out, err)
    done: Completed[Any] = Completed(args, code, out, err)
    done.truncated, done.exceeded, done.usage = outcome.truncated, outcome.exceeded, outcome.usage
    return done
