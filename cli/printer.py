"""The output: the only module of the command line that writes to a standard stream. A test checks that.

Rules:
1. Foreign text (names, labels, messages of registries and so on) may hold characters that move a terminal's cursor or
   reverse the direction of its text. `line` escapes everything that is not printable: control characters (C0, DEL, C1),
   line ends, bidirectional and other format characters, bytes that are not UTF-8. It does so for every kind of output,
   so that a pipe shows the same text as a terminal.
2. `json` is exact, and ASCII: JSON's own escapes.
3. `formatted` is for the output of templates, which write their own tabs and line ends: it escapes all but these.
4. `binary` is for output that is passed on unchanged: archives, documents, the output of programs.
5. A reader may close our output: ReaderGone. Any other error of it is OutputFailed. Errors of standard error are
   ignored: there is no other place to report them.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable

from rootlay.store.model.errors import RootlayError, printable_text
from rootlay.vfs.run.descriptors import open_null

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO, TextIO


class ReaderGone(Exception):
    """The reader of our output closed it (`rootlay images | head -1`): nothing is left to do or to print."""


class OutputFailed(RootlayError):
    """Standard output cannot be written."""

    exit_code = 36

    def __init__(self, reason: str) -> None:
        super().__init__(f"standard output: {reason}")
        self.reason = reason


class Printer:
    """A standard stream.

    Args:
        stream: None: it was closed when we were started. Lines are dropped then; `binary` raises.
        quiet: whether its errors are ignored.
    """

    def __init__(self, stream: TextIO | None, *, quiet: bool = False) -> None:
        self._stream = stream
        self._quiet = quiet

    def line(self, text: object, *, flush: bool = False) -> None:
        """Write a line, by rule 1."""
        self.lines((str(text),), flush=flush)

    def lines(self, texts: Iterable[str], *, flush: bool = False) -> None:
        """Write several lines in one piece."""
        self._write("".join(f"{printable_text(text)}\n" for text in texts), flush=flush)

    def formatted(self, text: str) -> None:
        """Write the output of a template, by rule 3."""
        lines = ("\t".join(map(printable_text, line.split("\t"))) for line in text.split("\n"))
        self._write("\n".join(lines))

    def json(self, value: Any, *, indent: int | None = 2) -> None:
        """Write a value as JSON, by rule 2."""
        self._write(json.dumps(value, indent=indent, default=str) + "\n")

    def json_list(self, values: Iterable[Any]) -> None:
        """Write a list as `json` does, one value after the other."""
        begin = "[\n  "
        for value in values:
            self._write(begin + json.dumps(value, indent=2, default=str).replace("\n", "\n  "))
            begin = ",\n  "
        self._write("\n]\n" if begin.startswith(",") else "[]\n")

    def drawn(self, text: str) -> None:
        """Write text with our escape sequences. Preconditions: all foreign text went through `printable_text`."""
        self._write(text, flush=True)

    def output(self, text: str) -> None:
        """Write lines with the output of a program, unchanged."""
        self._write(text, flush=True)

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        """Return the descriptor. Raises OSError."""
        if self._stream is None:
            raise OSError("closed")
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Write as `drawn`, for `text`."""
        self._write(text)
        return len(text)

    @property
    def text(self) -> TextIO:
        """This as a stream, for libraries that draw, with the precondition of `drawn`."""
        return self  # type: ignore[return-value]  # it has what they use

    @property
    def binary(self) -> BinaryIO:
        """The stream for raw bytes; writing raises OutputFailed if there is no standard output."""
        self.flush()
        stream = None if self._stream is None else self._stream.buffer
        return _Bytes(stream, self._guarded)  # type: ignore[return-value]  # it has what they use

    def flush(self) -> None:
        """Write the buffered output. Raises ReaderGone, OutputFailed."""
        if self._stream is not None:
            self._guarded(self._stream.flush)

    def _write(self, text: str, *, flush: bool = False) -> None:
        stream = self._stream
        if stream is None or not text:
            return
        self._guarded(lambda: stream.write(text))
        if flush:
            self.flush()

    def _guarded(self, write: Callable[[], Any]) -> Any:
        try:
            return write()
        except BrokenPipeError:
            if not self._quiet:
                raise ReaderGone from None
        except (OSError, ValueError) as error:
            if not self._quiet:
                reason = error.strerror if isinstance(error, OSError) else None
                raise OutputFailed(reason or str(error)) from None


class _Bytes:
    """The stream below a Printer, with its errors."""

    def __init__(self, stream: BinaryIO | None, guarded: Callable[[Callable[[], Any]], Any]) -> None:
        self._stream = stream
        self._guarded = guarded

    @property
    def _open(self) -> BinaryIO:
        if self._stream is None:
            raise OutputFailed("it is closed")
        return self._stream

    def write(self, data: bytes) -> int:
        written: int = self._guarded(lambda: self._open.write(data))
        return written

    def writelines(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        self._guarded(self._open.flush)

    def fileno(self) -> int:
        return self._open.fileno()

    def isatty(self) -> bool:
        return self._open.isatty()


def standard_streams() -> tuple[Printer, Printer]:
    """Return standard output and error. Open a closed standard descriptor on /dev/null first: otherwise the next file
    that is opened, one of the store's, would get its number and receive the output."""
    closed = {number for number in (0, 1, 2) if not _is_open(number)}
    for _ in closed:
        open_null()  # the lowest free number
    for number in sorted(closed):
        os.set_inheritable(number, True)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 -- as long as the process
    for name, number in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w", encoding="utf-8", closefd=False))  # noqa: SIM115 -- as above
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")  # a locale without the characters
    return Printer(None if 1 in closed else sys.stdout), Printer(None if 2 in closed else sys.stderr, quiet=True)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def abandon(*numbers: int) -> None:
    """Redirect the descriptors to /dev/null, so that buffered output causes no error when the process ends."""
    null = open_null()
    for number in numbers:
        os.dup2(null, number)
    os.close(null)
