"""Watches a tree, changes it at random, and prints what inotify reported for each change.

Run by test_engine_watches.py inside and on a plain directory: `watched.py TREE SEED OPERATIONS`. Each line is JSON: the
operation, its answer, and the events by watch.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import struct
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
NAMES = {
    1: "ACCESS", 2: "MODIFY", 4: "ATTRIB", 8: "CLOSE_WRITE", 16: "CLOSE_NOWRITE", 32: "OPEN", 64: "MOVED_FROM",
    128: "MOVED_TO", 256: "CREATE", 512: "DELETE", 1024: "DELETE_SELF", 2048: "MOVE_SELF", 0x4000: "Q_OVERFLOW",
    0x8000: "IGNORED", 0x40000000: "ISDIR",
}  # fmt: skip
CHANGES = 2 | 4 | 8 | 64 | 128 | 256 | 512 | 1024 | 2048
EVERYTHING = 0xFFF


class Watcher:
    def __init__(self):
        self.fd = LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self.labels = {}

    def add(self, path, mask, label=None):
        wd = LIBC.inotify_add_watch(self.fd, os.fsencode(path), mask)
        if wd < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)
        self.labels[wd] = label or path
        return wd

    def read(self):
        """[watch, bits, cookie, name] of each event."""
        found, cookies = [], {}
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
                found.append([self.labels.get(wd, "queue"), bits, pair, name])
                at += 16 + size


def tree_of(root):
    directories, files = [], []
    for base, below, names in os.walk(root):
        directories += [os.path.join(base, name) for name in sorted(below)]
        files += [os.path.join(base, name) for name in sorted(names)]
    return [root, *sorted(directories)], sorted(files)


def operation(rng, root):
    directories, files = tree_of(root)
    file = rng.choice(files or [root + "/none"])
    directory = rng.choice(directories)
    new = rng.choice(directories) + "/" + rng.choice("abcdefgh")
    return rng.choice([
        ("write", file), ("append", file), ("truncate", file), ("create", new), ("mkdir", new), ("mkdir", new),
        ("unlink", file), ("unlink", file), ("rmdir", directory), ("rmdir", directory), ("rename", file, new),
        ("rename", file, new), ("rename", directory, new), ("chmod", file, rng.choice([0o600, 0o644, 0o755])),
        ("chmod", directory, rng.choice([0o700, 0o755])), ("utime", file), ("symlink", new), ("link", file, new),
        ("utime", directory),
    ])  # fmt: skip


def perform(op, *names):
    path = names[0]
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


def answer(do, *arguments):
    try:
        do(*arguments)
    except OSError as error:
        return error.errno
    return 0


def elsewhere(op, *names):
    """In another process."""
    child = os.fork()
    if not child:
        os._exit(answer(perform, op, *names))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main():
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
        result = elsewhere(*op) if number % 2 else answer(perform, *op)
        events = sorted(watcher.read(), key=lambda event: event[0])
        print(json.dumps([number, op, result, events]))
        if op[0] == "mkdir" and result == 0:
            watcher.add(op[1], CHANGES, f"{op[1]}@{number}")
            watcher.read()


if __name__ == "__main__":
    main()
