"""Texts that become one word of a line in a file of a container: /etc/hosts, /etc/resolv.conf, /etc/hostname."""

from __future__ import annotations

from rootlay.store.model.errors import InputError

_SHOWN = 80


class NotOneWord(InputError):
    """A name that would be more than one word, or more than one line, in a file of a container."""

    fault = "caller"
    exit_code = 55
    usual = "expected one word, without spaces, line ends and control characters"


def is_one_word(text: str) -> bool:
    """Return whether a text is not empty and has no spaces, line ends, NULs and other control characters."""
    return bool(text) and text.isprintable() and " " not in text


def check_word(kind: str, text: str) -> None:
    """Check a text. Raises NotOneWord, whose message begins with `kind`."""
    if not is_one_word(text):
        raise NotOneWord(f"{kind} {text[:_SHOWN]!r}")
