"""Signals by their names: `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3`, in any case."""

from __future__ import annotations

import re
import signal

from rootlay.store.model.errors import RootlayError, printable_text

_REALTIME = re.compile(r"RTM(IN|AX)(?:([+-])(\d+))?")
_OTHER_NAMES = {"IOT": signal.SIGABRT, "CLD": signal.SIGCHLD, "POLL": signal.SIGIO, "STKFLT": 16, "UNUSED": 31}


class BadSignal(RootlayError, ValueError):
    """A text that is not a signal of Linux."""

    exit_code = 73

    def __init__(self, text: str) -> None:
        super().__init__(f"invalid signal: {printable_text(text[:40])}; expected a name such as SIGTERM, or a number")
        self.text = text


def parse_signal(text: str) -> int:
    """Return the number of a signal. Raises BadSignal."""
    name = text.upper().removeprefix("SIG")
    if name.isascii() and name.isdigit():
        number = int(name[:6])
    elif found := _REALTIME.fullmatch(name):
        offset = int(found[3] or 0) * (-1 if found[2] == "-" else 1)
        number = (signal.SIGRTMIN if found[1] == "IN" else signal.SIGRTMAX) + offset
        number = number if signal.SIGRTMIN <= number <= signal.SIGRTMAX else 0
    else:
        number = int(_OTHER_NAMES.get(name, getattr(signal, f"SIG{name}", 0) if name.isalnum() else 0))
    if not 1 <= number <= signal.SIGRTMAX:
        raise BadSignal(text)
    return number
