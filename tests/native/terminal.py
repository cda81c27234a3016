"""A program on a pseudo-terminal, as people use it."""

from __future__ import annotations

import contextlib
import os
import select
import time
from dataclasses import dataclass
from pathlib import Path

PATIENCE_S = 20.0


@dataclass(slots=True)
class Session:
    """The terminal's other end."""

    master: int
    seen: bytes = b""

    def type(self, text: bytes) -> None:
        os.write(self.master, text)

    def expect(self, wanted: bytes) -> bytes:
        """Read until `wanted` shows up; what was read up to its end."""
        end = time.monotonic() + PATIENCE_S
        while wanted not in self.seen:
            ready, _, _ = select.select([self.master], [], [], max(0.0, end - time.monotonic()))
            assert ready, (wanted, self.seen)
            self.seen += os.read(self.master, 65536)
        at = self.seen.index(wanted) + len(wanted)
        before, self.seen = self.seen[:at], self.seen[at:]
        return before

    def settle(self, *words: str) -> None:
        """Let what was typed begin: a program of these words, in the foreground of its terminal; any, without words."""
        if not words:
            time.sleep(0.5)
            return
        end = time.monotonic() + PATIENCE_S
        while not any(_is_in_foreground(process, words) for process in Path("/proc").glob("[0-9]*")):
            assert time.monotonic() < end, words
            time.sleep(0.02)

    def drain(self) -> None:
        """Read until the other end is closed."""
        with contextlib.suppress(OSError):  # EIO: closed
            while os.read(self.master, 65536):
                pass


def _is_in_foreground(process: Path, words: tuple[str, ...]) -> bool:
    with contextlib.suppress(OSError):  # it has gone
        if (process / "cmdline").read_bytes() == b"".join(word.encode() + b"\0" for word in words):
            fields = (process / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            group, foreground = fields[2], fields[5]
            return group == foreground
    return False
