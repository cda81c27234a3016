"""One of many processes that work on a store: random commands, and checks of their results.

Each worker has its own names and knows what must exist under them. All workers share layers, blobs, views, the build
cache, one container and `index.json`.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from rootlay.store.containers.containers import Containers
from rootlay.store.store import ImageStore
from rootlay.vfs.containers.imageview import open_image
from rootlay.vfs.overlay.containerstack import open_overlay, read_small_file
from tests.faults.lab import call
from tests.faults.state import digest_of
from tests.stress.lockorder import report, watch

HANGS_S = 180
LINES = 300
WRITER = f"i=0; while [ $i -lt {LINES} ]; do echo $i >> /log; i=$((i+1)); done"
REMOVERS = "rm -r /usr/share/doc/one & rm -r /usr/share/doc/two /script & echo x >> /etc/motd & wait; rm -r /usr/share"


class Wrong(Exception):
    """A check failed."""


@dataclass
class Worker:
    """`known` has the digests of the trees that commands must make; `tags` has the worker's images in the store."""

    number: int
    store: Path
    inputs: Path
    host: str
    known: dict[str, str]
    choose: random.Random
    tags: dict[str, str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    turn: int = 0

    def name(self, kind: str) -> str:
        return f"w{self.number}-{kind}{self.turn}"

    def one(self) -> None:
        """Do one random action. Raises Wrong."""
        self.turn += 1
        actions = [
            *(self.import_layer, self.import_layer, self.pull, self.load, self.remove_image, self.remove_image),
            *(self.read, self.read, self.commit, self.write_and_commit, self.build, self.build, self.append),
            *(self.append, self.snapshots, self.remove, self.remove, self.prune, self.prune, self.check),
        ]
        action = self.choose.choice(actions)
        start = time.monotonic()
        action()
        self.done[action.__name__] += 1
        self.slowest = max(self.slowest, time.monotonic() - start)

    # ---- actions

    def import_layer(self) -> None:
        """Import the same layer as every worker."""
        tag = self.name("i")
        self.must("import", str(self.inputs / "app.tar.gz"), tag)
        self.has(tag, self.known["app"])

    def pull(self) -> None:
        """Pull a name that all workers share, while others remove it."""
        self.must("pull", "--plain-http", f"{self.host}/app:1")
        if self.choose.random() < 0.3:
            self.must("rmi", f"{self.host}/app:1", codes=(0, 10, 12))

    def load(self) -> None:
        self.must("load", "-i", str(self.inputs / "docker.tar"))
        if self.choose.random() < 0.5:
            self.must("rmi", "app", codes=(0, 10, 12))

    def remove_image(self) -> None:
        if self.tags:
            tag = self.choose.choice(sorted(self.tags))
            self.must("rmi", tag)
            del self.tags[tag]

    def read(self) -> None:
        self.must("run", "--rm", "base", "sh", "-c", "read x < /etc/motd; [ $x = welcome ]")

    def commit(self) -> None:
        container, tag = self.name("c"), self.name("t")
        self.must("create", "--name", container, "base", "true")
        self.must("cp", str(self.inputs / "motd"), f"{container}:/etc/motd")
        self.must("commit", container, tag)
        self.has(tag, self.known["commit"])
        self.must("rm", container)

    def write_and_commit(self) -> None:
        """Commit while a program writes, and remove the container while it runs."""
        container, tag = self.name("r"), self.name("l")
        self.must("run", "-d", "--name", container, "base", "sh", "-c", WRITER)
        code = self.must("commit", container, tag, codes=(0, 14))  # `prune` of another can remove it
        if code == 0:
            found = self.ask(lambda: self.log_of(tag))
            wanted = "".join(f"{i}\n" for i in range(LINES))
            if not wanted.startswith(found):
                raise Wrong(f"{tag} has a log that was never there: {found[-40:]!r}")
            self.tags[tag] = ""
        self.must("rm", "-f", container)

    def build(self) -> None:
        """Build the same as every worker, on one cache."""
        tag = self.name("b")
        self.must("build", "-q", "-t", tag, str(self.inputs / "context"))
        self.has(tag, self.known["build"])

    def append(self) -> None:
        """Let two processes inside append to one file, to which those of other workers append, too."""
        one, two = f"{self.number}.{self.turn}.a", f"{self.number}.{self.turn}.b"
        script = f"(echo {one} >> /log) & (echo {two} >> /log); wait"
        self.must("exec", "shared", "sh", "-c", script)
        self.lines += [one, two]

    def snapshots(self) -> None:
        container, twin, tag = self.name("s"), self.name("f"), self.name("t")
        self.must("create", "--name", container, "base", "true")
        self.must("snapshot", "create", container, "clean")
        self.must("cp", str(self.inputs / "motd"), f"{container}:/etc/motd")
        self.must("commit", container, tag)  # of two uppers
        self.has(tag, self.known["commit"])
        self.must("fork", f"{container}@clean", "--name", twin)
        self.must("rollback", container, "clean")
        for name in (container, twin):
            if self.ask(lambda name=name: self.motd_of(name)) != "welcome\n":
                raise Wrong(f"{name} is not as its snapshot")
            self.must("rm", name)

    def remove(self) -> None:
        """Let programs remove files of the image at the same time; then kill one while it removes."""
        container, tag = self.name("m"), self.name("t")
        self.must("run", "--name", container, "base", "sh", "-c", REMOVERS)
        if self.must("commit", container, tag, codes=(0, 14)) == 0:  # another worker's `prune` may be faster
            self.has(tag, self.known["removed"])
        self.must("rm", "-f", container)
        self.must("run", "-d", "--name", container, "base", "sh", "-c", REMOVERS)
        self.must("rm", "-f", container)

    def prune(self) -> None:
        self.must("prune")

    def check(self) -> None:
        """Check that nothing is damaged while all work."""
        code, text = self.run("fsck", *(("--deep",) if self.choose.random() < 0.5 else ()))
        if code:
            raise Wrong(f"fsck: exit code {code}: {text}")

    # ----

    def has(self, tag: str, digest: str) -> None:
        found = self.ask(lambda: self.digest_of_image(tag))
        if found != digest:
            raise Wrong(f"{tag} is {found}, not {digest}")
        self.tags[tag] = digest

    def digest_of_image(self, tag: str) -> str:
        with open_image(self.store, ImageStore.open(self.store).image(tag)) as overlay:
            return digest_of(overlay)

    def log_of(self, tag: str) -> str:
        with open_image(self.store, ImageStore.open(self.store).image(tag)) as overlay:
            return (read_small_file(overlay, b"/log") or b"").decode()

    def motd_of(self, name: str) -> str:
        with open_overlay(Containers(self.store).find(name)) as overlay:
            return (read_small_file(overlay, b"/etc/motd") or b"").decode()

    def must(self, *words: str, codes: tuple[int, ...] = (0,)) -> int:
        code, text = self.run(*words)
        if code not in codes:
            raise Wrong(f"{' '.join(words)}: exit code {code}: {text}")
        return code

    def run(self, *words: str) -> tuple[int, str]:
        text = self.ask(lambda: "{}\n{}".format(*call(list(words))))
        code, _, output = text.partition("\n")
        return int(code), output

    def ask(self, question: object) -> str:
        """Return the answer of a child, which uses the store as a separate process."""
        import faulthandler
        import traceback

        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(read_end)
            null = os.open(os.devnull, os.O_RDWR)
            for fd in (0, 1):
                os.dup2(null, fd)
            faulthandler.dump_traceback_later(HANGS_S / 2, file=2)
            locks = watch(self.store)
            try:
                answer = str(question())  # type: ignore[operator]
            except BaseException:
                answer = "99\n" + traceback.format_exc()
            report(locks, self.store.parent / "locks")
            with open(write_end, "w") as pipe:
                pipe.write(answer)
            os._exit(0)
        os.close(write_end)
        signal.signal(signal.SIGALRM, _hung)
        signal.alarm(HANGS_S)
        try:
            with open(read_end) as pipe:
                answer = pipe.read()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            raise Wrong("a command hangs: a deadlock?") from None
        finally:
            signal.alarm(0)
            os.waitpid(pid, 0)
        return answer


def _hung(number: int, frame: object) -> None:
    raise TimeoutError
