"""Watches a tree, changes it at random, and prints what inotify reported for each change.

Run by test_engine_watches.py inside and on a plain directory: `watched.py TREE SEED OPERATIONS`. Each line is JSON: the
operation, its answer, and the events by watch. `watched.py CASE` runs one of the functions below in a directory with
the tree `w`, and prints what inotify reports.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import signal
import struct
import sys
import threading
import time
from collections.abc import Callable

LIBC = ctypes.CDLL(None, use_errno=True)
NAMES = {
    1: "ACCESS", 2: "MODIFY", 4: "ATTRIB", 8: "CLOSE_WRITE", 16: "CLOSE_NOWRITE", 32: "OPEN", 64: "MOVED_FROM",
    128: "MOVED_TO", 256: "CREATE", 512: "DELETE", 1024: "DELETE_SELF", 2048: "MOVE_SELF", 0x4000: "Q_OVERFLOW",
    0x8000: "IGNORED", 0x40000000: "ISDIR",
}  # fmt: skip
CHANGES = 2 | 4 | 8 | 64 | 128 | 256 | 512 | 1024 | 2048
EVERYTHING = 0xFFF


Operation = tuple[str, str, *tuple[str | int, ...]]
Event = tuple[str, str, int, str]


class Watcher:
    def __init__(self) -> None:
        self.fd = LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self.labels: dict[int, str] = {}

    def add(self, path: str, mask: int, label: str = "") -> int:
        wd: int = LIBC.inotify_add_watch(self.fd, os.fsencode(path), mask)
        if wd < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)
        self.labels[wd] = label or path
        return wd

    def read(self) -> list[Event]:
        """Watch, bits, cookie and name of each event."""
        found: list[Event] = []
        cookies: dict[int, int] = {}
        while True:
            try:
                data = os.read(self.fd, 65536)
            except BlockingIOError:
                return found
            at = 0
            while at < len(data):
                wd, mask, cookie, size = struct.unpack_from("iIII", data, at)
                name = data[at + 16 : at + 16 + size].rstrip(b"\0").decode()
                bits = "|".join(text for bit, text in NAMES.items() if mask & bit)
                pair = cookies.setdefault(cookie, len(cookies) + 1) if cookie else 0
                found.append((self.labels.get(wd, "queue"), bits, pair, name))
                at += 16 + size


def tree_of(root: str) -> tuple[list[str], list[str]]:
    directories: list[str] = []
    files: list[str] = []
    for base, below, names in os.walk(root):
        directories += [os.path.join(base, name) for name in sorted(below)]
        files += [os.path.join(base, name) for name in sorted(names)]
    return [root, *sorted(directories)], sorted(files)


def operation(rng: random.Random, root: str) -> Operation:
    directories, files = tree_of(root)
    file = rng.choice(files or [root + "/none"])
    directory = rng.choice(directories)
    new = rng.choice(directories) + "/" + rng.choice("abcdefgh")
    choices: list[Operation] = [
        ("write", file), ("append", file), ("truncate", file), ("create", new), ("mkdir", new), ("mkdir", new),
        ("unlink", file), ("unlink", file), ("rmdir", directory), ("rmdir", directory), ("rename", file, new),
        ("rename", file, new), ("rename", directory, new), ("chmod", file, rng.choice([0o600, 0o644, 0o755])),
        ("chmod", directory, rng.choice([0o700, 0o755])), ("utime", file), ("symlink", new), ("link", file, new),
        ("utime", directory),
    ]  # fmt: skip
    return rng.choice(choices)


def perform(op: str, *names: str | int) -> None:
    path = str(names[0])
    if op in ("write", "append", "create"):
        how = {"write": "r+b", "append": "ab", "create": "xb"}[op]
        with open(path, how, buffering=0) as file:
            file.write(b"text")
    elif op == "truncate":
        with open(path, "r+b", buffering=0) as file:
            file.truncate(3)
    elif op == "symlink":
        os.symlink("nowhere", path)
    elif op == "utime":
        os.utime(path, (1, 2))
    else:
        getattr(os, op)(*names)


def answer(do: Callable[..., None], *arguments: str | int) -> int:
    try:
        do(*arguments)
    except OSError as error:
        return error.errno or -1
    return 0


def elsewhere(op: str, *names: str | int) -> int:
    """In another process."""
    child = os.fork()
    if not child:
        os._exit(answer(perform, op, *names))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    root, seed, operations = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    rng = random.Random(seed)
    watcher = Watcher()
    directories, files = tree_of(root)
    for path in directories:
        watcher.add(path, CHANGES)
    for path in files[:: rng.choice([1, 2, 3])]:
        watcher.add(path, CHANGES if rng.random() < 0.5 else 2)
    watcher.read()
    for number in range(operations):
        op = operation(rng, root)
        result = elsewhere(op[0], *op[1:]) if number % 2 else answer(perform, *op)
        events = sorted(watcher.read(), key=lambda event: event[0])
        print(json.dumps([number, op, result, events]))
        if op[0] == "mkdir" and result == 0:
            watcher.add(str(op[1]), CHANGES, f"{op[1]}@{number}")
            watcher.read()


ONESHOT, ADD, ONLYDIR = 0x80000000, 0x20000000, 0x01000000


def append(path: str) -> None:
    with open(path, "ab", buffering=0) as file:
        file.write(b"more")


def file_of_the_image() -> object:
    watcher = Watcher()
    watcher.add("w/a", EVERYTHING)
    with open("w/a", "rb", buffering=0) as file:
        file.read(4)
    append("w/a")
    os.rename("w/a", "w/moved")
    append("w/moved")
    os.unlink("w/moved")
    return watcher.read()


def only_what_was_asked_for() -> object:
    found = []
    for mask in (256, 512, 4, 2, 64, ONESHOT | 256, ONESHOT | 2):
        watcher = Watcher()
        watcher.add("w/c", mask)
        append("w/c/a")
        os.unlink("w/c/b")
        os.mkdir("w/c/b")
        os.rmdir("w/c/b")
        os.chmod("w/c/a", 0o600)
        os.rename("w/c/a", "w/c/new")
        os.rename("w/c/new", "w/c/a")
        append("w/c/b")
        found.append(watcher.read())
    return found


def opens_of_the_image() -> object:
    """Opens, and changes to the same value, show in the watch of the directory."""
    watcher = Watcher()
    watcher.add("w/c", EVERYTHING)
    with open("w/c/a", "rb", buffering=0) as file:
        file.read(4)
    os.chmod("w/c/b", os.stat("w/c/b").st_mode & 0o7777)
    os.chdir("w/c")
    with open("b", "rb", buffering=0) as file:
        file.read(4)
    os.chown("a", -1, os.stat("a").st_gid)
    return watcher.read()


def lists_of_directories() -> object:
    """A list shows as one open, read and close, in the directory's watch and in its parent's."""
    append("w/c/new")
    os.unlink("w/c/b")
    watcher = Watcher()
    for name in ("w", "w/c", "w/e"):
        watcher.add(name, EVERYTHING)
    found: list[object] = []
    for name in ("w/c", "w/c", "w/e", "w/f", "w/f/g", "w"):
        found += [sorted(os.listdir(name)), watcher.read()]
    fd = os.open("w/c", os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(2):
        found += [sorted(os.listdir(fd)), watcher.read()]
    found += [os.listdir("d") for _ in range(2) if os.fchdir(fd) is None]
    with open("a", "rb", buffering=0) as file:
        file.read(4)
    os.close(fd)
    return [*found, os.stat(".").st_nlink > 0, watcher.read()]


def masks_add_up() -> object:
    watcher = Watcher()
    wd = watcher.add("w/e", 256)
    again = watcher.add("w/e", 512 | ADD)
    os.unlink("w/e/a")
    append("w/e/new")
    first = watcher.read()
    watcher.add("w/e", 512)
    os.unlink("w/e/b")
    append("w/e/other")
    LIBC.inotify_rm_watch(watcher.fd, wd)
    append("w/e/last")
    return [wd == again, first, watcher.read()]


def waiting() -> object:
    """A blocking read wakes up for the program's own changes only."""
    watcher = Watcher()
    watcher.add("w", 256 | 512)
    os.set_blocking(watcher.fd, True)

    def change() -> None:
        time.sleep(0.1)
        append("w/b")  # a copy-up
        time.sleep(0.1)
        os.unlink("w/b")

    thread = threading.Thread(target=change)
    thread.start()
    data = os.read(watcher.fd, 4096)
    thread.join()
    return [len(data), data[16:].rstrip(b"\0").decode()]


def interrupted() -> str:
    watcher = Watcher()
    watcher.add("w", 256)
    os.set_blocking(watcher.fd, True)

    def stop(*_: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        os.read(watcher.fd, 4096)
    except TimeoutError:
        return "interrupted"
    return "events"


def inherited() -> str:
    """A program that gets the descriptor by an exec, and one that uses its number for a file."""
    watcher = Watcher()
    watcher.add("w/f", CHANGES)
    os.set_inheritable(watcher.fd, True)
    append("w/f/g/h/a")
    os.rename("w/f/g", "w/f/moved")
    read = f"import os; d = os.read({watcher.fd}, 4096); print(d.count(b'moved'), d.count(b'.wh.'))"
    if os.fork() == 0:
        os.execv(sys.executable, [sys.executable, "-c", read])
    os.wait()
    file = os.open("w/a", os.O_RDONLY)
    os.dup2(file, watcher.fd)
    return os.read(watcher.fd, 7).decode()


def errors() -> object:
    buffer = ctypes.create_string_buffer(4096)
    watcher = Watcher()
    found: list[list[int]] = []
    for fd, path, mask in ((999, b"w", 2), (0, b"w", 2), (watcher.fd, b"none", 2), (watcher.fd, b"w", 0),
                           (watcher.fd, b"w/a", ONLYDIR | 2), (watcher.fd, b"w/a/x", 2)):  # fmt: skip
        found.append([LIBC.inotify_add_watch(fd, path, mask), ctypes.get_errno()])
    found.append([LIBC.read(watcher.fd, buffer, 4096), ctypes.get_errno()])
    watcher.add("w", 256)
    append("w/made")
    found.append([LIBC.read(watcher.fd, buffer, 4), ctypes.get_errno()])
    found.append([LIBC.read(watcher.fd, ctypes.c_void_p(8), 4096), ctypes.get_errno()])
    return found


if __name__ == "__main__":
    if len(sys.argv) == 2:
        print(globals()[sys.argv[1]](), flush=True)
    else:
        main()
