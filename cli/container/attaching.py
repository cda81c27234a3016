"""A terminal, or standard streams, at the main program of a container that runs in the background."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from types import FrameType

from rootlay.cli.spec import UsageError
from rootlay.store.containers.record import ContainerRecord
from rootlay.store.disk.smallfile import write_all
from rootlay.vfs.run.attachment import Attachment, BadKeys, parse_keys
from rootlay.vfs.run.containerlog import STDERR
from rootlay.vfs.run.foreground import FORWARDED
from rootlay.vfs.run.processes import signal_guest
from rootlay.vfs.run.status import EndWait
from rootlay.vfs.run.terminal import resize_terminal, terminal_size

DEFAULT_KEYS = "ctrl-p,ctrl-q"


def detach_keys(text: str | None) -> bytes:
    """Return the bytes of --detach-keys. Raises UsageError."""
    try:
        return parse_keys(text or DEFAULT_KEYS)
    except BadKeys as error:
        raise UsageError(
            f"--detach-keys {text}: {error}; expected letters and ctrl-LETTER, such as ctrl-p,ctrl-q"
        ) from None


class Client:
    """The standard streams of this process at a container. Make it before the program starts, to miss nothing.

    Args:
        stdin: pass standard input on, if the container has an input.
        streams: the streams to show.
        sig_proxy: pass signals on to the program.
    """

    def __init__(
        self,
        record: ContainerRecord,
        *,
        stdin: bool,
        streams: tuple[str, ...] = ("stdout", "stderr"),
        keys: bytes = b"",
        sig_proxy: bool = True,
    ) -> None:
        self._record = record
        self._streams = streams
        self._sig_proxy = sig_proxy
        self._raw = stdin and record.config.stdin and record.config.tty and os.isatty(0)
        self._wait = EndWait(record)
        client = 0 if stdin and record.config.stdin else -1
        self._attachment = Attachment(record, self._show, client=client, keys=keys if self._raw else b"")

    def run(self) -> int:
        """Relay until the program ends or the user detaches. Return its exit code; 0 if it continues."""
        self._record.note("attach")
        try:
            with passing_on(self._record, lambda: self._record.state().pid, signals=self._sig_proxy, raw=self._raw):
                ended = self._attachment.run()
            if not ended:
                self._record.note("detach")
            return self._wait.next_exit(lambda: False) if ended else 0
        finally:
            self.close()

    def close(self) -> None:
        """Release everything. The program continues."""
        self._attachment.close()
        self._wait.close()

    def _show(self, stream: int, data: bytes) -> None:
        name = "stderr" if stream == STDERR and not self._record.config.tty else "stdout"
        if name in self._streams:
            write_all(2 if name == "stderr" else 1, data)


@contextlib.contextmanager
def passing_on(record: ContainerRecord, pid: Callable[[], int], *, signals: bool, raw: bool) -> Iterator[None]:
    """Pass signals on to a program of a container, and the size of this process's terminal to the program's own.

    Args:
        raw: there are these two terminals; keys are passed on as they are typed.
    """

    def forward(number: int, frame: FrameType | None) -> None:
        signal_guest(record.real_path, pid(), number)

    def resize(number: int, frame: FrameType | None) -> None:
        resize_terminal(pid(), *terminal_size())

    handlers = dict.fromkeys(FORWARDED - {signal.SIGWINCH} if signals else (), forward)
    if raw:
        handlers[signal.SIGWINCH] = resize
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        with _raw_terminal() if raw else contextlib.nullcontext():
            if raw:
                resize(signal.SIGWINCH, None)
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _raw_terminal() -> Iterator[None]:
    import termios
    import tty

    before = termios.tcgetattr(0)
    tty.setraw(0)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
