"""Changes a tree at random while a watcher watches it, and prints what the watcher reports.

Run by test_watchers.py inside and on kernel overlayfs: `watchers.py WATCHER ROOT SEED OPERATIONS`. WATCHER is
`inotifywait` (every event), `changes` (inotifywait without opens, accesses and closes without writing) or `watchdog`.
Each line is JSON: number, operation, answer, and the events until the fence, a file that is touched after each
operation, so that each has been reported, and each new directory is watched, before the next.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import queue
import random
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

FENCE = "fence"
CHANGES = "modify,attrib,close_write,moved_from,moved_to,create,delete,delete_self,move_self"
PATIENCE_S = 20
Operation = tuple[str, *tuple[str | int, ...]]


class InotifyWait:
    def __init__(self, root: str, *options: str) -> None:
        command = ["inotifywait", "-m", "-r", "--format", "%w\t%e\t%f", *options, root]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.data = b""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if b"Watches established" in line:
                break

    def lines(self) -> Iterator[tuple[str, ...]]:
        assert self.process.stdout is not None
        fd = self.process.stdout.fileno()
        while True:
            line, end, rest = self.data.partition(b"\n")
            if end:
                self.data = rest
                yield tuple(line.decode().split("\t"))
            elif select.select([fd], [], [], PATIENCE_S)[0] and (more := os.read(fd, 65536)):
                self.data += more
            else:
                return

    def pause(self) -> None:
        """inotifywait takes a rename for two changes if it reads between the two events."""
        os.kill(self.process.pid, signal.SIGSTOP)
        os.waitpid(self.process.pid, os.WUNTRACED)

    def proceed(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    def until_fence(self, fence: str) -> list[tuple[str, ...]]:
        found: list[tuple[str, ...]] = []
        for event in self.lines():
            if event[-1] == FENCE:
                if event[1].startswith("CLOSE_WRITE"):
                    return found
            else:
                found.append(event)
        raise TimeoutError(found)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


class Watchdog:
    def __init__(self, root: str) -> None:
        observers = importlib.import_module("watchdog.observers")
        self.events: queue.Queue[tuple[str, ...]] = queue.Queue()
        self.observer = observers.Observer()
        self.observer.schedule(self, root, recursive=True)
        self.observer.start()

    def dispatch(self, event: Any) -> None:
        """Called by watchdog."""
        names = (str(event.src_path), str(event.dest_path))
        self.events.put((event.event_type, "directory" if event.is_directory else "file", *names))

    def pause(self) -> None:
        """It waits for the second event by itself."""

    proceed = pause

    def until_fence(self, fence: str) -> list[tuple[str, ...]]:
        found: list[tuple[str, ...]] = []
        with contextlib.suppress(queue.Empty):
            while True:
                event = self.events.get(timeout=PATIENCE_S)
                if event[2] == fence:
                    if event[0] == "closed":
                        return found
                else:
                    found.append(event)
        raise TimeoutError(found)

    def stop(self) -> None:
        self.observer.stop()
        self.observer.join()


class Tree:
    """What is there, without a look that would be an event."""

    def __init__(self, root: str, rng: random.Random, *, leaves: bool) -> None:
        self.rng = rng
        self.leaves = leaves  # rename only directories without directories in them
        self.root = root
        self.directories: set[str] = set()
        self.files: set[str] = set()
        for base, below, names in os.walk(root):
            self.directories |= {os.path.join(base, name) for name in below}
            self.files |= {os.path.join(base, name) for name in names if name != FENCE}

    def operation(self) -> Operation:
        rng = self.rng
        files, directories = sorted(self.files), sorted(self.directories)
        file = rng.choice(files or [self.root + "/none"])
        directory = rng.choice(directories or [self.root + "/none"])
        leaf = rng.choice(
            [name for name in sorted(self.directories) if not self.is_parent(name)] or [self.root + "/none"]
        )
        moving = leaf if self.leaves else directory
        new = rng.choice([self.root, *directories]) + "/" + rng.choice("abcdefghijkl")
        choices: list[Operation] = [
            ("read", file), ("list", directory), ("stat", file), ("write", file), ("append", file), ("truncate", file),
            ("create", new), ("create", new), ("mkdir", new), ("mkdir", new), ("unlink", file), ("rmdir", directory),
            ("rename", file, new), ("rename", file, new), ("rename", file, rng.choice(files or [new])),
            ("rename", moving, new), ("chmod", file, rng.choice([0o600, 0o644, 0o755])),
            ("chmod", directory, rng.choice([0o700, 0o755])), ("utime", file), ("utime", directory), ("symlink", new),
            ("link", file, new), ("cut", file),
        ]  # fmt: skip
        return rng.choice(choices)

    def is_parent(self, directory: str) -> bool:
        return any(name.startswith(directory + "/") for name in self.directories)

    def moved(self, old: str, new: str) -> None:
        if old in self.files:
            self.files.discard(old)
            self.files.add(new)
            return
        for names in (self.files, self.directories):
            below = {name for name in names if name == old or name.startswith(old + "/")}
            names -= below
            names |= {new + name[len(old) :] for name in below}

    def note(self, op: str, *names: str | int) -> None:
        path = str(names[0])
        if op in ("create", "symlink"):
            self.files.add(path)
        elif op == "mkdir":
            self.directories.add(path)
        elif op in ("unlink", "rmdir"):
            self.files.discard(path)
            self.directories.discard(path)
        elif op == "link":
            self.files.add(str(names[1]))
        elif op == "rename" and not os.path.lexists(path):  # else both were one file
            self.moved(path, str(names[1]))


def perform(op: str, *names: str | int) -> None:
    path = str(names[0])
    if op in ("write", "append", "create"):
        how = {"write": os.O_RDWR, "append": os.O_WRONLY | os.O_APPEND, "create": os.O_WRONLY | os.O_CREAT | os.O_EXCL}
        fd = os.open(path, how[op] | os.O_NOFOLLOW)
        os.write(fd, b"text")
        os.close(fd)
    elif op == "truncate":
        fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        os.ftruncate(fd, 3)
        os.close(fd)
    elif op == "cut":
        os.close(os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW))
    elif op == "read":
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        os.read(fd, 100)
        os.close(fd)
    elif op == "list":
        os.listdir(path)
    elif op == "stat":
        os.lstat(path)
    elif op == "symlink":
        os.symlink("nowhere", path)
    elif op == "utime":
        os.utime(path, (1, 2), follow_symlinks=False)
    elif op == "chmod" and os.path.islink(path):
        return
    elif op == "link":
        os.link(path, str(names[1]), follow_symlinks=False)
    else:
        getattr(os, op)(*names)


def touch(fence: str) -> None:
    with open(fence, "r+b", buffering=0) as file:
        file.write(b"x")


def main() -> None:
    kind, root, seed, operations = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    fence = f"{root}/{FENCE}"
    # inotifywait loses names when it renames several watches: which ones depends on the order of listings.
    tree = Tree(root, random.Random(seed), leaves=kind != "watchdog")
    watcher: InotifyWait | Watchdog
    if kind == "watchdog":
        watcher = Watchdog(root)
    else:
        watcher = InotifyWait(root, *(("-e", CHANGES) if kind == "changes" else ()))
    for number in range(operations):
        op, *names = tree.operation()
        answer = 0
        watcher.pause()
        try:
            perform(op, *names)
        except OSError as error:
            answer = error.errno or -1
        else:
            tree.note(op, *names)
        watcher.proceed()
        touch(fence)
        events = watcher.until_fence(fence)
        touch(fence)  # what the watcher itself caused, when it watched a new directory
        events += watcher.until_fence(fence)
        print(json.dumps([number, [op, *names], answer, events]), flush=True)
    watcher.stop()


if __name__ == "__main__":
    main()
