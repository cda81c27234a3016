"""What a program sees of open directories whose names, or those above them, change: the same code in each engine.

As a program (`python -c SOURCE ROOT`), it prints what it saw as a Python literal.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY


def output(*command: str) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


class Watcher:
    """Stands in `a/b/c` below a root, and has it and a file of it open."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.seen: list[tuple[str, Any]] = []
        os.chdir(f"{root}/a/b/c")
        self.fd, self.file = os.open(".", DIRECTORY), os.open("f", os.O_RDONLY)
        self.top = os.open(f"{root}/a", DIRECTORY)

    def note(self, name: str, action: Callable[[], Any]) -> None:
        try:
            found = action()
        except OSError as error:
            found = os.strerror(error.errno or 0)
        self.seen.append((name, found.replace(self.root, "") if isinstance(found, str) else found))

    def look(self, name: str) -> None:
        fd = self.fd
        self.note(name, os.getcwd)
        self.note("descriptor", lambda: os.readlink(f"/proc/self/fd/{fd}"))
        self.note("file", lambda: os.readlink(f"/proc/self/fd/{self.file}"))
        self.note("program", lambda: output("/bin/pwd", "-P") + output("/bin/ls"))
        self.note("proc", lambda: output("/bin/readlink", "/proc/self/cwd"))
        self.note("names", lambda: sorted(os.listdir(".")))
        self.note("names by descriptor", lambda: sorted(os.listdir(fd)))
        self.note("stat", lambda: (os.stat("f").st_size, os.stat("d/x", dir_fd=fd).st_size))
        self.note("up", lambda: sorted(os.listdir("..")))
        self.note("real", lambda: os.path.realpath("d/../f"))
        self.note("same", lambda: os.fstat(fd).st_ino == os.stat(os.getcwd()).st_ino)
        self.note("same file", lambda: os.fstat(self.file).st_ino == os.stat(os.getcwd() + "/f").st_ino)

    def change(self, number: int) -> None:
        os.close(os.open(f"new{number}", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=self.fd))
        os.mkdir(f"m{number}", dir_fd=self.fd)
        os.fchmod(self.fd, 0o700 + number)
        os.fchmod(self.file, 0o640 + number)
        os.utime(self.file, (number, number))
        self.note("modes", lambda: (oct(os.stat(".").st_mode), oct(os.stat("f").st_mode), os.stat("f").st_mtime))

    def remove(self) -> None:
        there = os.getcwd()
        output("/bin/rm", "-r", there)
        for _ in range(2):
            self.note("removed", os.getcwd)
            self.note("stat", lambda: os.stat("f"))
            self.note("make", lambda: os.mkdir("m"))
            self.note("open", lambda: os.open("g", os.O_WRONLY | os.O_CREAT))
            self.note("stat by descriptor", lambda: os.stat("f", dir_fd=self.fd))
            self.note("names", lambda: os.listdir(self.fd))
            self.note("itself", lambda: (os.stat(".").st_nlink, os.fstat(self.fd).st_nlink))
            self.note("nothing", lambda: os.listdir("."))
            os.mkdir(there) if not os.path.exists(there) else None  # another of its name

    def end(self) -> None:
        os.chdir("/")
        for fd in (self.fd, self.file, self.top):
            os.close(fd)


def story(root: str) -> list[tuple[str, Any]]:
    watcher = Watcher(root)
    watcher.look("first")
    os.rename(f"{root}/a/b", f"{root}/b2")
    watcher.look("above it")
    output("/bin/mv", f"{root}/b2", f"{root}/b3")
    watcher.look("twice, by another process")
    os.rename("c", "../k", src_dir_fd=os.open("..", DIRECTORY), dst_dir_fd=watcher.top)
    watcher.look("itself, by descriptors")
    os.rename(f"{root}/o", f"{root}/a/b")
    watcher.look("another has its first name")
    watcher.change(1)
    watcher.look("changed")
    output("/bin/mv", f"{root}/k", f"{root}/a/b/c2")
    watcher.change(2)
    watcher.look("moved again")
    watcher.remove()
    watcher.end()
    return watcher.seen


if __name__ == "__main__":
    os.umask(0o022)
    print(repr(story(sys.argv[1])))
