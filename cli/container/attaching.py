"""A terminal, or standard streams, at the main program of a container that runs in the background."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from types import FrameType

from rootlay.cli.spec import UsageError
from rootlay.store.containers.record import ContainerRecord
from rootlay.store.disk.smallfile import write_all
from rootlay.vfs.run.attachment import Attachment, BadKeys, parse_keys
from rootlay.vfs.run.containerlog import STDERR
from rootlay.vfs.run.foreground import FORWARDED
from rootlay.vfs.run.processes import signal_guest
from rootlay.vfs.run.status import EndWait

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
        self._sig_proxy = sig_proxy and not record.config.tty
        self._raw = stdin and record.config.stdin and record.config.tty and os.isatty(0)
        self._wait = EndWait(record)
        client = 0 if stdin and record.config.stdin else -1
        self._attachment = Attachment(record, self._show, client=client, keys=keys if self._raw else b"")

    def run(self) -> int:
        """Relay until the program ends or the user detaches. Return its exit code; 0 if it continues."""
        self._record.note("attach")
        try:
            with self._forwarding(), _raw_terminal() if self._raw else contextlib.nullcontext():
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
    def _forwarding(self) -> Iterator[None]:
        def forward(number: int, frame: FrameType | None) -> None:
            signal_guest(self._record.real_path, self._record.state().pid, number)

        wanted = FORWARDED - {signal.SIGWINCH} if self._sig_proxy else ()
        before = {number: signal.signal(number, forward) for number in wanted}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextlib.contextmanager
def _raw_terminal() -> Iterator[None]:
    """Pass keys on as they are typed: the program's own terminal interprets them."""
    import termios
    import tty

    before = termios.tcgetattr(0)
    tty.setraw(0)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
