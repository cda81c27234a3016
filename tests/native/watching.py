"""Cases of test_engine_watches.py: `watching.py CASE` in a directory with the tree `w`. Prints what inotify reports."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(__file__))
from watched import CHANGES, EVERYTHING, LIBC, Watcher

ONESHOT, ADD, ONLYDIR = 0x80000000, 0x20000000, 0x01000000


def append(path):
    with open(path, "ab", buffering=0) as file:
        file.write(b"more")


def file_of_the_image():
    watcher = Watcher()
    watcher.add("w/a", EVERYTHING)
    with open("w/a", "rb", buffering=0) as file:
        file.read(4)
    append("w/a")
    os.rename("w/a", "w/moved")
    append("w/moved")
    os.unlink("w/moved")
    return watcher.read()


def only_what_was_asked_for():
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


def masks_add_up():
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


def waiting():
    """A blocking read wakes up for the program's own changes only."""
    watcher = Watcher()
    watcher.add("w", 256 | 512)
    os.set_blocking(watcher.fd, True)

    def change():
        time.sleep(0.1)
        append("w/b")  # a copy-up
        time.sleep(0.1)
        os.unlink("w/b")

    thread = threading.Thread(target=change)
    thread.start()
    data = os.read(watcher.fd, 4096)
    thread.join()
    return [len(data), data[16:].rstrip(b"\0").decode()]


def interrupted():
    watcher = Watcher()
    watcher.add("w", 256)
    os.set_blocking(watcher.fd, True)

    def stop(*_):
        raise TimeoutError

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        os.read(watcher.fd, 4096)
    except TimeoutError:
        return "interrupted"


def inherited():
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


def errors():
    buffer = ctypes.create_string_buffer(4096)
    watcher, found = Watcher(), []
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
    print(globals()[sys.argv[1]](), flush=True)
