"""A session of a sandbox: a shell or a Python that lives from one step to the next, with snapshots between the steps.

Rules:
1. A step is code; its output ends with a mark that only this process and the interpreter know. Code that forges the
   mark deceives its own session only.
2. Files can be frozen only while no program runs in the fork. So `snapshot`, `rollback` and `fork` end the interpreter
   and what it started. A shell continues with its directory and its exported variables; a Python starts again: keep in
   files what must last.
3. A step that exceeds a limit ends the interpreter and all that it started; the files stay. The next step starts a new
   one.
"""

from __future__ import annotations

import contextlib
import shlex
import subprocess
from types import TracebackType
from typing import Any, Self

from rootlay.store.model.value import replace
from rootlay.vfs.api.container import Container
from rootlay.vfs.changes.changes import Changes
from rootlay.vfs.held.limits import Limits
from rootlay.vfs.held.tree import Tree
from rootlay.vfs.held.watch import Watch
from rootlay.vfs.sandbox.dialogue import Dialogue
from rootlay.vfs.sandbox.forks import Base
from rootlay.vfs.sandbox.result import Result

_PYTHON = """
import sys, json, traceback, os
scope = {"__name__": "__main__"}
for line in sys.stdin.buffer:
    mark, code = json.loads(line)
    status = 0
    try:
        exec(compile(code, "<step>", "exec"), scope)
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush(); sys.stderr.flush()
    os.write(2, mark.encode()); os.write(1, ("%s%d\\n" % (mark, status)).encode())
"""


def check_interpreter(name: str) -> None:
    """Raise ValueError for an unknown interpreter."""
    if name not in ("shell", "python"):
        raise ValueError(f"interpreter {name[:40]!r}: expected shell or python")


class SandboxSession:
    """See Sandbox.session. Close it, or use it as a context manager. For one thread at a time."""

    def __init__(self, base: Base, fork: Container, interpreter: str, limits: Limits, resume: str = "") -> None:
        self.container = fork
        self.interpreter = interpreter
        self.limits = limits
        self._base = base
        self._resume = resume
        self._dialogue: Dialogue | None = None

    def run(self, code: str, *, timeout: float | None = None) -> Result:
        """Run a step. Variables, functions and the working directory stay for the next one.

        Args:
            timeout: seconds; instead of the limit `wall`.

        Returns:
            The result, without changes: see `diff`.

        Raises:
            FileNotFoundError: the image has no such interpreter.
        """
        limits = self.limits if timeout is None else replace(self.limits, wall=timeout)
        dialogue = self._dialogue or self._start()
        watch = Watch(limits, dialogue.tree, self.container.record.real_path, dialogue.cgroup)
        result = dialogue.step(code, watch, limits)
        if not dialogue.is_alive:
            self._end()
        return result

    def read(self, path: str, most: int = -1) -> bytes:
        """Return the content of a file, at most so many bytes. Raises OSError."""
        with self.container.overlay.open_content(path) as file:
            return file.read(most)

    def write(self, path: str, content: str | bytes) -> None:
        """Write a file; missing directories are made. Raises fs.errors.FSError."""
        fs = self.container.fs
        if parent := path.rpartition("/")[0]:
            fs.makedirs(parent, recreate=True)
        fs.writebytes(path, content.encode() if isinstance(content, str) else content)

    def diff(self, since: str | None = None) -> Changes:
        """Return the changes since the prepared state, or since a snapshot."""
        from rootlay.vfs.containers.states import State, diff_states

        own, record = self.container, self._base.container.record
        before = State(record, self._base.snapshot) if since is None else State(own.record, own._snapshot(since))
        return diff_states(own.record.root, before, State(own.record))

    def snapshot(self, name: str = "") -> str:
        """Freeze the files; return the snapshot's name. See rule 2. Raises SnapshotExists."""
        self._suspend()
        return self.container.snapshot(name).name

    def rollback(self, name: str = "") -> None:
        """Return to a snapshot, the last one by default. The interpreter starts again. Raises UnknownSnapshot."""
        self._end()
        self._resume = ""
        self.container.rollback(name)

    def fork(self, snapshot: str = "") -> SandboxSession:
        """Return a new session with the same files, or with those of a snapshot. The caller closes it."""
        self._suspend()
        frozen = self.container._snapshot(snapshot) if snapshot else None
        made = self._base.fork(self.container, frozen)
        self.container._renew()  # its state was frozen
        return SandboxSession(self._base, made, self.interpreter, self.limits, self._resume)

    def close(self) -> None:
        """End the interpreter and all that it started, and remove the files. Idempotent."""
        self._end()
        self.container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> Dialogue:
        words = ["sh"] if self.interpreter == "shell" else ["python3", "-u", "-c", _PYTHON]
        limits = replace(self.limits, wall=0, output=0, cpu=0)  # the steps have these
        pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        process = self.container.begin(words, limits, pipes)
        tree = Tree(self.container.record.real_path, process.pid, whole=True)
        self._dialogue = Dialogue(process, tree, self.interpreter)
        if self._resume:
            self._dialogue.step(self._resume, Watch(Limits(), tree, ""), Limits())
        return self._dialogue

    def _suspend(self) -> None:
        """End the interpreter; a shell's directory and exported variables are kept for the next."""
        if self._dialogue is not None and self.interpreter == "shell":
            with contextlib.suppress(OSError):
                said = self.run("export -p; pwd", timeout=5)
                if said.ok and self._dialogue is not None:
                    *exports, directory = said.stdout.splitlines() or [""]
                    self._resume = "\n".join((*exports, f"cd {shlex.quote(directory)}"))
        self._end()

    def _end(self) -> None:
        if self._dialogue is not None:
            self._dialogue.close()
            self._dialogue = None
