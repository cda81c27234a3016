"""Candidates for the last word of a command line, from the tables of the verbs.

Rules:
1. Only tables are read here, and names of the store: no verb runs, nothing is written, nothing is fetched.
2. An argument's name, or an option's metavar, says what it takes (`_ARGUMENTS`, `_OPTIONS`).
3. Options that the table refuses are not offered.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable
from pathlib import Path

from rootlay.cli.spec import Option, Verb
from rootlay.cli.storenames import find_names, find_paths, find_snapshots
from rootlay.cli.subverbs import GROUPS
from rootlay.cli.verblist import TWO_WORDS, VERBS, load_verb

FILES = ":files"
"""The shell is to complete names of files."""

_ARGUMENTS = {
    "container": ("container",),
    "containers": ("container",),
    "image": ("image",),
    "images": ("image",),
    "volume": ("volume",),
    "network": ("network",),
    "reference": ("image",),
    "name": ("container", "image", "volume", "network"),
    "other": ("container", "image"),
}
"""By an argument's name: the kinds of names that it takes. All others take files."""

_EXCEPTIONS = {"diff": ("container", "image"), "explore": ("container", "image"), "images": ("image",)}
"""Verbs with an argument that takes more, or less, than its name says."""

_INSIDE = frozenset(("exec",))
"""Verbs whose words after the container are a command: absolute paths in it are inside."""

_OPTIONS = {"IMAGE": ("image",), "CONTAINER[:ro]": ("container",)}
"""By an option's metavar, as `_ARGUMENTS`."""

_SIGNALS = tuple(sorted(each.name.removeprefix("SIG") for each in signal.Signals))
_CHOICES: dict[str, tuple[str, ...]] = {
    "pull": ("missing", "always", "never"),
    "restart": ("no", "always", "unless-stopped", "on-failure"),
    "confine": ("auto", "require", "off"),
    "network": ("host", "none"),
    "signal": _SIGNALS,
    "stop_signal": _SIGNALS,
    "progress": ("auto", "plain", "tty", "quiet", "rawjson"),
    "type": ("container", "image", "volume", "network"),
    "attach": ("stdin", "stdout", "stderr"),
    "compression": ("gzip", "zstd", "uncompressed"),
    "call": ("build", "check", "outline", "targets"),
}
"""Words that an option takes, by its name."""


def complete(words: list[str], root: Path) -> list[str]:
    """Return the candidates for the last of `words`, those after the program's name; or FILES."""
    *before, current = words or [""]
    while before and before[0].startswith("-"):  # global options
        before = before[1:] if "=" in before[0] or before[0] in ("-D", "--debug", "--tls") else before[2:]
    if not before:
        return _fitting(current, (*VERBS, "help", "--help", "--root", "--version"))
    if before[0] == "help":
        return _fitting(current, VERBS)
    verb = _find_verb(before)
    if verb is None:
        return _fitting(current, GROUPS[before[0]].names) if before[0] in TWO_WORDS and len(before) == 1 else []
    rest = before[2:] if before[0] in TWO_WORDS else before[1:]
    return _in_verb(verb, rest, current, root)


def _find_verb(before: list[str]) -> Verb | None:
    if before[0] not in VERBS:
        return None
    verb = load_verb(before[0])
    if before[0] not in TWO_WORDS:
        return verb
    return GROUPS[before[0]].load(before[1]) if len(before) > 1 else None


def _in_verb(verb: Verb, rest: list[str], current: str, root: Path) -> list[str]:
    options = {flag: option for option in verb.all_options for flag in option.flags}
    positional: list[str] = []
    waiting: Option | None = None
    for word in rest:
        if waiting is not None:
            waiting = None
        elif positional and verb.passes_on:
            positional.append(word)
        elif word.startswith("-") and word != "-":
            option = options.get(word)
            waiting = option if option is not None and option.kind != "flag" else None
        else:
            positional.append(word)
    if waiting is not None:
        return _value(waiting, current, root)
    if current.startswith("-") and not (positional and verb.passes_on):
        flag, sign, begun = current.partition("=")
        if sign and flag in options:
            return [f"{flag}={value}" for value in _value(options[flag], begun, root) if value != FILES]
        shown = (option for option in verb.all_options if not option.hidden and option.status != "refused")
        return _fitting(current, (*(flag for option in shown for flag in option.flags), "--help"))
    return _argument(verb, positional, current, root)


def _value(option: Option, current: str, root: Path) -> list[str]:
    """Return the candidates for an option's value."""
    choices = option.takes or _CHOICES.get(option.name, ())
    kinds = ("network",) if option.name == "network" else _OPTIONS.get(option.metavar, ())
    if not choices and not kinds:
        return [FILES] if option.metavar in ("FILE", "DIR", "PATH", "FILE|DIR") or option.name == "volume" else []
    return _fitting(current, (*choices, *(name for kind in kinds for name in find_names(kind, root))))


def _argument(verb: Verb, positional: list[str], current: str, root: Path) -> list[str]:
    """Return the candidates for a positional argument."""
    if not verb.arguments:
        return []
    argument = verb.arguments[min(len(positional), len(verb.arguments) - 1)]
    if len(positional) >= len(verb.arguments) and not argument.many:
        return []
    if verb.name == "cp":
        return _copied(current, root)
    if verb.name in _INSIDE and positional:
        return _fitting(current, find_paths(root, positional[0], current)) if current.startswith("/") else []
    if verb.name == "snapshot" and len(positional) != 1:
        return _fitting(current, find_snapshots(root, positional[1]) if positional else ("create", "ls", "rm"))
    if argument.name == "snapshot" and positional:
        return _fitting(current, find_snapshots(root, positional[0]))
    kinds = _EXCEPTIONS.get(verb.name) or _ARGUMENTS.get(argument.name)
    if kinds is None:
        return [] if argument.name in ("command", "term", "host", "port") else [FILES]
    if "container" in kinds and "@" in current and "image" in kinds:
        name = current.partition("@")[0]
        return _fitting(current, (f"{name}@{snapshot}" for snapshot in find_snapshots(root, name)))
    used = set(positional) if argument.many else set()
    return _fitting(current, (name for kind in kinds for name in find_names(kind, root) if name not in used))


def _copied(current: str, root: Path) -> list[str]:
    """Return the candidates for an argument of `cp`: CONTAINER:PATH, or a file of the host."""
    name, colon, path = current.partition(":")
    if colon:
        return [f"{name}:{found}" for found in _fitting(path, find_paths(root, name, path or "/"))]
    containers = _fitting(current, (f"{name}:" for name in find_names("container", root)))
    return containers if current and containers else [FILES]


def _fitting(current: str, candidates: Iterable[str]) -> list[str]:
    """Return the candidates that continue the current word, sorted, each once."""
    return sorted({candidate for candidate in candidates if candidate.startswith(current)})
