"""A directory in which faults are injected into stores: prepared once, copied for each fault, checked afterwards.

Rules:
1. All commands are forks of one process, which has loaded the shim and imported Python's modules. A fork runs the real
   command line and ends with its exit code. The process itself opens no store.
2. A victim and all processes that it started are killed before the store is checked. (This process is their
   subreaper.)
3. Other processes, without faults, check the store: see `verify`.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rootlay.cli.main import main
from rootlay.store.view import deltabuild
from tests.faults.control import Control
from tests.faults.sameness import Sameness, make_steady
from tests.faults.scenarios import Scenario, Words
from tests.faults.state import View, as_rows, differences, state_of

PATIENCE_S = 30
_PR_SET_CHILD_SUBREAPER = 36
_OF_DELTAS = deltabuild.MIN_ENTRIES, deltabuild.SHARE


class Trouble(Exception):
    """A check failed."""


@dataclass
class Victim:
    """An interrupted command: its `status` from waitpid, the number of its points, its output."""

    status: int
    points: int
    output: str

    @property
    def code(self) -> int:
        return os.waitstatus_to_exitcode(self.status)


@dataclass
class Lab:
    """`base` is the directory of all files; `copy` has the store that commands change, always at the same path."""

    base: Path
    control: Control
    log: Path
    host: str
    copy: Path = field(init=False)
    sameness: Sameness = field(init=False)
    inputs: Path = field(init=False)

    def __post_init__(self) -> None:
        self.copy = self.base / "lab"
        self.inputs = self.base / "in"
        self.sameness = Sameness(self.copy, time.time_ns())
        os.environ["ROOTLAY_ROOT"] = str(self.store)
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    @property
    def store(self) -> Path:
        return self.copy / "store"

    def words(self, words: Words) -> list[str]:
        """Return a command line with the paths filled in."""
        return [
            word.replace("{lab}", str(self.copy)).replace("{in}", str(self.inputs)).replace("{host}", self.host)
            for word in words
        ]

    # ---- preparation

    def make_template(self, scenario: Scenario, name: str) -> Path:
        """Make the store with which a scenario begins."""
        template = self.base / name
        self.restore(self.base / "base") if (self.base / "base").exists() else self._make_base()
        choose_views(delta=scenario.delta)
        self.child(lambda: self._run_all(scenario.prepare))
        if (ready := scenario.ready) is not None:
            self.child(lambda: ready(self.store))
        if scenario.damage:
            scenario.damage(self.store)
        shutil.rmtree(template, ignore_errors=True)
        subprocess.run(["cp", "-a", str(self.copy), str(template)], check=True)
        return template

    def _make_base(self) -> None:
        (self.copy / "out").mkdir(parents=True)
        # A store that has been used has a view and some hydrated files.
        first: tuple[Words, ...] = (("import", "{in}/base.tar", "base"), ("run", "--rm", "base", "true"))
        self.child(lambda: self._run_all(first))
        subprocess.run(["cp", "-a", str(self.copy), str(self.base / "base")], check=True)

    def _run_all(self, commands: tuple[Words, ...]) -> None:
        for words in commands:
            code, text = call(self.words(words))
            if code != 0:
                raise Trouble(f"{' '.join(words)}: exit code {code}: {text}")

    def restore(self, template: Path) -> None:
        """Make a fresh copy."""
        remove(self.copy)
        subprocess.run(["cp", "-a", str(template), str(self.copy)], check=True)

    # ---- processes

    def child(self, work: Callable[[], Any]) -> Any:
        """Call `work` in a child, and return its result. Its exceptions are raised here, as Trouble."""
        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(read_end)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the output of programs inside
            try:
                answer = {"value": work()}
            except BaseException as error:
                text = str(error) if isinstance(error, Trouble) else traceback.format_exc()
                answer = {"trouble": text}
            with open(write_end, "w") as pipe:
                json.dump(answer, pipe)
            os._exit(0)
        os.close(write_end)
        with open(read_end) as pipe:
            text = pipe.read()
        os.waitpid(pid, 0)
        self.empty_trash()
        answer = json.loads(text or '{"trouble": "the child died"}')
        if "trouble" in answer:
            raise Trouble(answer["trouble"])
        return answer["value"]

    def interrupt(self, words: list[str], at: int, action: str) -> Victim:
        """Run a command with `action` at point `at` (0: no fault), then kill the processes that it started."""
        output = self.base / "output"
        with contextlib.suppress(FileNotFoundError):
            self.log.unlink()
        self.control.arm(at, action)
        pid = os.fork()
        if pid == 0:
            os.setsid()
            fd = os.open(output, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
            null = os.open(os.devnull, os.O_RDONLY)
            os.dup2(null, 0)
            os.dup2(fd, 1)
            os.dup2(fd, 2)
            faulthandler.dump_traceback_later(PATIENCE_S / 2, file=2)
            code = 99
            make_steady()
            try:
                code = main(words)
                sys.stdout.flush()
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        if (status := wait_for(pid)) is None:
            self.empty_trash()
            raise Trouble(f"it hangs: {output.read_text(errors='replace')}")
        if action != "kill" or at == 0:
            self.settle()
        self.empty_trash()
        points = self.control.disarm()
        return Victim(status, points, output.read_text(errors="replace"))

    def settle(self) -> None:
        """Wait a moment for processes that the command left behind (a hydrator)."""
        deadline = time.monotonic() + 0.3
        while children() and time.monotonic() < deadline:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(-1, os.WNOHANG)
            time.sleep(0.01)

    def empty_trash(self) -> None:
        """Kill and reap all remaining descendants."""
        deadline = time.monotonic() + PATIENCE_S
        while pids := children():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            if time.monotonic() > deadline:
                raise Trouble(f"processes {pids} do not die")

    # ---- looking

    def verify(self, scenario: Scenario, before: View, after: View, done: bool) -> dict[str, Any]:
        """Check the store after a victim. `done`: the command reported success.

        Raises Trouble. Returns the number of leftovers, and whether the work was done.
        """
        store = self.store
        code, text = call(["fsck", "--deep", "--json"])
        if scenario.damage is None:
            lost = as_rows(text)
            if lost or code:
                raise Trouble(f"fsck after it: exit code {code}, {lost}")
        for words in (["images", "--json"], ["ps", "-a", "--json"]):
            if (found := call(words))[0]:
                raise Trouble(f"{words}: {found}")
        if scenario.damage is None:
            state = state_of(store)
            wrong = differences(state, before, after, steps=scenario.steps)
            if done and not scenario.steps:
                wrong += differences(state, after, after)
            if wrong:
                raise Trouble("; ".join(wrong))
        self.check_outputs(scenario)
        if scenario.damage is None and (code := call(["run", "--rm", "base", "true"])[0]):
            raise Trouble(f"run: exit code {code}")
        again, text = call(self.words(scenario.words))
        if again not in (0, *scenario.again):
            raise Trouble(f"once more: exit code {again}: {text}")
        finished = state_of(store)
        wrong = differences(finished, after, after, steps=scenario.steps)
        if wrong:
            raise Trouble(f"after once more: {'; '.join(wrong)}")
        code, text = call(["prune"])
        if code:
            raise Trouble(f"prune: exit code {code}: {text}")
        rows = json.loads(call(["ps", "-a", "--json"])[1])
        # A container that `run --rm` made and did not start is removed when it is an hour old.
        names = {f"container {row['name']}" for row in rows if row["status"] != "Created"}
        if left := names - before.keys() - after.keys():
            raise Trouble(f"prune leaves {left}")
        code, text = call(["fsck", "--deep", "--json"])
        if code or as_rows(text):
            raise Trouble(f"fsck at the end: exit code {code}, {as_rows(text)}")
        if scenario.damage:
            kept = [path.read_text(errors="replace") for path in store.rglob("*") if path.name in ("stray", "odd")]
            if sorted(kept) != ["mine", "mine, too"]:
                raise Trouble(f"of what could not be explained is left: {kept}")
        return {"leftovers": len(json.loads(text)["findings"])}

    def check_outputs(self, scenario: Scenario) -> None:
        """Check an output file: it is whole or absent. Only a temporary file of the command may be next to it."""
        if scenario.kept is None:
            return
        command, name = scenario.kept
        path = self.copy / "out" / name
        if path.exists():
            code, text = call(["--root", str(self.copy / "check"), *command.replace("{}", str(path)).split()])
            if code:
                raise Trouble(f"{name} is there, and not whole: {text}")
        beside = [other for other in os.listdir(path.parent) if other != name]
        if len(beside) > 1 or not all(other.startswith(".") and other.endswith(".partial") for other in beside):
            raise Trouble(f"left beside {name}: {beside}")


def choose_views(*, delta: bool) -> None:
    """Set whether this process and its forks make deltas for small views, too."""
    deltabuild.MIN_ENTRIES, deltabuild.SHARE = (1, 1) if delta else _OF_DELTAS


def call(words: list[str]) -> tuple[int, str]:
    """Run a command line in this process. Return its exit code and its output."""
    out, err = io.TextIOWrapper(io.BytesIO(), write_through=True), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            code = main(words)
        except SystemExit as leave:
            code = int(leave.code or 0)
    out.seek(0)
    text = out.read()
    return code, text if code == 0 or text.startswith("{") else text + err.getvalue()


def call_program(words: list[str], place: Path) -> tuple[int, str]:
    """Run a command line in this process. Return its exit code, and what its program wrote to the file `place`."""
    before = os.dup(1)
    with open(place, "w+b") as out:
        os.dup2(out.fileno(), 1)
        try:
            code, _ = call(words)
        finally:
            os.dup2(before, 1)
            os.close(before)
        out.seek(0)
        return code, out.read().decode(errors="replace")


def children() -> list[int]:
    """Return our children, with those that we adopted."""
    with open(f"/proc/{os.getpid()}/task/{os.getpid()}/children") as listing:
        return [int(word) for word in listing.read().split() if int(word) not in spared]


spared: set[int] = set()
"""Children that live as long as we do."""


def wait_for(pid: int) -> int | None:
    """Return the wait status of a child; None if it did not end and was killed."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return None
        time.sleep(0.002)


def remove(path: Path) -> None:
    """Remove a tree of any modes."""
    for words in (["rm", "-rf"], ["chmod", "-R", "u+rwX"], ["rm", "-rf"]):
        if not path.exists():
            return
        subprocess.run([*words, str(path)], stderr=subprocess.DEVNULL, check=False)
    if path.exists():
        raise Trouble(f"{path} cannot be removed")
