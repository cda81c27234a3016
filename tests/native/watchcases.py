"""How a program may come to an inotify descriptor, and how it may read it: `watchcases.py CASE` prints what it reads.

Run by test_engine_watches.py inside and on a plain directory, as watched.py.
"""

from __future__ import annotations

import array
import ctypes
import errno
import fcntl
import os
import select
import socket
import struct
import sys
import termios
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.native.watched import CHANGES, LIBC, NAMES, Watcher, append
else:  # beside this file, where it runs
    from watched import CHANGES, LIBC, NAMES, Watcher, append


def split(data: bytes) -> list[tuple[int, str, str]]:
    found, at = [], 0
    while at < len(data):
        wd, mask, _, size = struct.unpack_from("iIII", data, at)
        bits = "|".join(text for bit, text in NAMES.items() if mask & bit)
        found.append((wd, bits, data[at + 16 : at + 16 + size].rstrip(b"\0").decode()))
        at += 16 + size
    return found


def read_all(fd: int, size: int = 65536) -> list[object]:
    """Of a descriptor that does not block. An error that is not EAGAIN is the last item."""
    found: list[object] = []
    while True:
        try:
            found += split(os.read(fd, size))
        except BlockingIOError:
            return found
        except OSError as error:
            return [*found, error.errno]


def hide(directory: str) -> None:
    """Changes of objects of the image, which the engine makes with names of its own."""
    append(f"{directory}/a")
    os.unlink(f"{directory}/b")


def ways_to_duplicate(fd: int) -> list[int]:
    return [
        os.dup(fd), LIBC.dup2(fd, 50), LIBC.dup3(fd, 51, os.O_CLOEXEC), fcntl.fcntl(fd, fcntl.F_DUPFD, 60),
        fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 70),
    ]  # fmt: skip


def duplicates() -> object:
    watcher = Watcher()
    for name in ("w/c", "w/e"):
        watcher.add(name, 512)
    found = []
    for number, fd in enumerate([*ways_to_duplicate(watcher.fd), os.dup(51)]):
        if number < 2:
            hide("w/c" if number else "w/e")
        os.rename("w/a", "w/c/a") if number == 2 else os.mkdir(f"w/c/{number}")
        if number == 3:
            os.rmdir("w/c/1")
        found.append(read_all(fd))
    LIBC.inotify_add_watch(70, b"w/f/g", 2 | 64)  # by the duplicate
    os.close(watcher.fd)
    os.rename("w/f/g/h", "w/h")
    os.mkdir("w/f/g/x")
    return [found, read_all(60)]


def number_used_again() -> object:
    """The duplicate of a closed watcher, and a new one with its number."""
    watcher = Watcher()
    watcher.add("w/c", 512)
    other = os.dup(watcher.fd)
    os.close(watcher.fd)
    again = Watcher()
    again.add("w/e", 256)
    for name in "ce":
        hide(f"w/{name}")
        append(f"w/{name}/new")
    return [again.fd == watcher.fd, read_all(other), again.read()]


def read_vector(fd: int, *sizes: int) -> list[object]:
    """One readv: the error, or the events."""
    buffers = [bytearray(size) for size in sizes]
    try:
        n = os.readv(fd, buffers)
    except OSError as error:
        return [error.errno]
    return list(split(b"".join(buffers)[:n]))


def vectors() -> object:
    watcher = Watcher()
    watcher.add("w/c", CHANGES)
    hide("w/c")
    os.rename("w/c/a", "w/c/z")
    events: list[object] = []
    while (more := read_vector(watcher.fd, 64, 64)) != [errno.EAGAIN]:  # the number of reads may differ
        events += more
    found = [events]
    append("w/c/new")
    for sizes in ((0, 33, 4096), (8,), (4096,), (4096,)):
        found.append(read_vector(watcher.fd, *sizes))  # noqa: PERF401
    hide("w/e")
    for offset in (0, 5):
        try:
            os.preadv(watcher.fd, [bytearray(4096)], offset)
        except OSError as error:
            found.append([error.errno])
    watcher.add("w/e", 512)
    os.rmdir("w/c/d") if not os.listdir("w/c/d") else os.unlink("w/c/d/a")
    append("w/e/a")
    os.unlink("w/e/a")
    buffer = ctypes.create_string_buffer(4096)
    vector = (ctypes.c_void_p * 2)(ctypes.addressof(buffer), 4096)
    n = LIBC.preadv2(watcher.fd, vector, 1, ctypes.c_long(-1), 0)
    found.append(list(split(buffer.raw[: max(n, 0)])))
    reading, writing = os.pipe()  # a number that was one of a watcher
    os.dup2(reading, watcher.fd)
    os.write(writing, b"from the pipe")
    found.append([os.readv(watcher.fd, [bytearray(4), bytearray(90)])])
    return found


def readable_bytes() -> object:
    """FIONREAD tells the size of what is read, if the engine has done nothing there."""
    watcher = Watcher()
    watcher.add("w/c", CHANGES)
    found = []
    for number in range(3):
        if number == 1:
            append("w/c/new")
        elif number == 2:
            os.rename("w/c/new", "w/c/x")
        count = array.array("i", [0])
        fcntl.ioctl(watcher.fd, termios.FIONREAD, count)
        found.append([count[0], sum(16 + (len(event[3]) and 16) for event in watcher.read())])
    return found


def wakes() -> object:
    """What the engine alone has done wakes a program at most to find nothing."""
    watcher = Watcher()
    watcher.add("w/c", 256 | 512)
    append("w/c/a")  # a copy-up
    os.chmod("w/c/b", 0o600)
    found: list[object] = [watcher.read(), select.select([watcher.fd], [], [], 0)[0] == []]
    epoll = select.epoll()
    epoll.register(watcher.fd, select.EPOLLIN)
    os.unlink("w/c/a")
    found += [epoll.poll(5) == [(watcher.fd, select.EPOLLIN)], watcher.read(), epoll.poll(0)]
    poll = select.poll()
    poll.register(watcher.fd, select.POLLIN)
    os.mkdir("w/c/new")
    return [*found, poll.poll(5000) == [(watcher.fd, select.POLLIN)], watcher.read(), poll.poll(0)]


def small_buffers() -> object:
    """One event at a time; and what the buffer has no room for is neither lost nor hidden from poll."""
    watcher = Watcher()
    watcher.add("w/c", CHANGES)
    watcher.add("w/e", 512)  # now: the next number may be another than outside
    os.unlink("w/c/a")
    os.rename("w/c/b", "w/c/x")
    found: list[object] = [read_all(watcher.fd, 32)]
    append("w/c/x")
    append("w/c/" + "n" * 40)
    os.rename("w/c/" + "n" * 40, "w/c/" + "m" * 90)
    found += [
        [size, select.select([watcher.fd], [], [], 0)[0] != [], read_all(watcher.fd, size)]
        for size in (0, 15, 16, 47, 64, 79, 80, 100, 112, 300)
    ]
    append("w/e/a")
    os.unlink("w/e/a")
    os.unlink("w/e/b")
    return [*found, read_all(watcher.fd, 32), select.select([watcher.fd], [], [], 0)[0]]


def forked() -> object:
    watcher = Watcher()
    watcher.add("w/c", 512)
    hide("w/c")
    os.mkdir("w/c/made")
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.write(writing, repr(read_all(watcher.fd)).encode())
        os._exit(0)
    os.wait()
    first = os.read(reading, 4096).decode()
    hide("w/e")
    os.rmdir("w/c/made")
    return [first, read_all(watcher.fd)]


def in_another_program(*how: str) -> str:
    """The events of every kind of change, read by a program that has added no watch."""
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    words = [sys.executable, os.path.abspath(__file__), "-", str(writing), *how]
    if os.fork() == 0:
        os.execv(sys.executable, words)
    os.close(writing)
    with open(reading, encoding="utf-8") as pipe:
        text = pipe.read()
    os.wait()
    return text


def executed() -> object:
    watcher = Watcher()
    watcher.add("w/c", CHANGES)
    os.set_inheritable(watcher.fd, True)
    hide("w/c")
    return in_another_program(str(watcher.fd))


def passed() -> object:
    """By a socket, to a program that waits for it and to one that does not."""
    found = []
    for wait in ("", "wait"):
        watcher = Watcher()
        watcher.add("w/e" if wait else "w/c", CHANGES)
        here, there = socket.socketpair()
        os.set_inheritable(there.fileno(), True)
        hide("w/e" if wait else "w/c")
        send = threading.Timer(0.4 if wait else 0, socket.send_fds, (here, [b"x"], [watcher.fd]))
        send.start()
        if not wait:
            send.join()
        found.append(in_another_program("from", str(there.fileno())))
        send.join()
    return found


def read_for_another() -> None:
    """The other program of in_another_program()."""
    writing, *how = sys.argv[2:]
    fd = int(how[-1])
    if how[0] == "from":
        there = socket.socket(fileno=fd)
        fd = socket.recv_fds(there, 10, 4)[1][0]
    os.write(int(writing), repr(read_all(fd)).encode())


if __name__ == "__main__":
    if sys.argv[1] == "-":
        read_for_another()
    else:
        print(globals()[sys.argv[1]](), flush=True)
