"""One function per instruction: from the words of a statement to the frozen instruction.

1. A function raises BadValue with the reason only; the parser adds file, line and keyword.
2. A text that may contain a variable is checked here only if it contains none; otherwise the user of the expanded value
   checks it.

Source: BuildKit frontend/dockerfile/instructions/parse.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from rootlay.store.model.value import value
from rootlay.vfs.build.language import instruction as tree
from rootlay.vfs.build.language.duration import parse_duration
from rootlay.vfs.build.language.errors import BadValue
from rootlay.vfs.build.language.flags import Flags, Kind
from rootlay.vfs.build.language.heredoc import RawHeredoc, find_mark
from rootlay.vfs.build.language.mount import check_mount
from rootlay.vfs.build.language.suggest import near_miss
from rootlay.vfs.build.language.syntax import Command, Heredoc, Pair, Source
from rootlay.vfs.build.language.words import exec_form, split_blanks, split_first_blank, split_words

_STAGE_NAME = re.compile(r"[a-z][a-z0-9\-_.]*")
_SHORTEST_NS = 1_000_000  # of HEALTHCHECK's durations: Docker's container.MinimumDuration
_RETRIES_LIMIT = 1 << 31


@value
class Statement:
    """One instruction before its words are interpreted.

    Args:
        source: its place in the file.
        flags: as written, quotes removed.
        rest: everything after the flags, without white space at both ends.
        escape: the escape character.
        heredocs: the here-documents that follow it.
    """

    source: Source
    flags: tuple[str, ...]
    rest: str
    escape: str
    heredocs: tuple[RawHeredoc, ...] = ()

    def options(self, **known: Kind) -> Flags:
        """Return the flags, each of which must be known (`_` for `-` in names). Raises BadValue."""
        return Flags(self.flags, {name.rstrip("_").replace("_", "-"): kind for name, kind in known.items()})


def from_(statement: Statement) -> tree.From:
    words = split_blanks(statement.rest)
    flags = statement.options(platform="text")
    name = None
    if len(words) == 3 and words[1].lower() == "as":
        name = words[2].lower()
        if not _STAGE_NAME.fullmatch(name):
            reason = "it starts with a letter and holds only letters, digits, '-', '_' and '.'"
            raise BadValue(f"invalid name for a stage: {words[2]!r}: {reason}")
    elif len(words) != 1:
        hint = near_miss(words[1], ["AS"], any_case=True) if len(words) == 3 else None
        raise BadValue("expected IMAGE or IMAGE AS NAME", hint)
    return tree.From(statement.source, words[0], name, flags.text("platform"))


def run(statement: Statement) -> tree.Run:
    flags = statement.options(mount="texts", network="text", security="text", device="texts")
    for mount in flags.texts("mount"):
        check_mount(mount)
    command, script = _command(statement), None
    if statement.heredocs and command.shell:
        if find_mark(command.words[0]) is not None:
            script = statement.heredocs[0].heredoc
            command = Command((script.content,), True)
        else:
            documents = "".join(f"\n{document.raw}{document.mark.name}" for document in statement.heredocs)
            command = Command((command.words[0] + documents,), True)
    return tree.Run(
        statement.source,
        command,
        flags.texts("mount"),
        _one_of("network", flags.text("network"), ("default", "none", "host")),
        _one_of("security", flags.text("security"), ("sandbox", "insecure")),
        flags.texts("device"),
        script,
    )


def cmd(statement: Statement) -> tree.Cmd:
    statement.options()
    return tree.Cmd(statement.source, _command(statement))


def entrypoint(statement: Statement) -> tree.Entrypoint:
    statement.options()
    return tree.Entrypoint(statement.source, _command(statement))


def label(statement: Statement) -> tree.Label:
    return tree.Label(statement.source, _pairs(statement))


def env(statement: Statement) -> tree.Env:
    return tree.Env(statement.source, _pairs(statement))


def maintainer(statement: Statement) -> tree.Maintainer:
    return tree.Maintainer(statement.source, _one_argument(statement))


def user(statement: Statement) -> tree.User:
    return tree.User(statement.source, _one_argument(statement))


def workdir(statement: Statement) -> tree.Workdir:
    return tree.Workdir(statement.source, _one_argument(statement))


def stopsignal(statement: Statement) -> tree.Stopsignal:
    return tree.Stopsignal(statement.source, _one_argument(statement))


def expose(statement: Statement) -> tree.Expose:
    statement.options()
    return tree.Expose(statement.source, _some(split_blanks(statement.rest)))


def volume(statement: Statement) -> tree.Volume:
    statement.options()
    paths = tuple(path.strip() for path in _some(_list(statement.rest)))
    if not all(paths):
        raise BadValue("a volume's path cannot be empty")
    return tree.Volume(statement.source, paths)


def arg(statement: Statement) -> tree.Arg:
    statement.options()
    pairs = []
    for word in _some(split_words(statement.rest, statement.escape)):
        key, equals, value = word.partition("=")
        if not key:
            raise BadValue("a name cannot be empty")
        pairs.append(Pair(key, value if equals else None))
    return tree.Arg(statement.source, tuple(pairs))


def copy(statement: Statement) -> tree.Copy:
    flags = statement.options(from_="text", chown="text", chmod="text", link="bool", parents="bool", exclude="texts")
    paths, files, destination = _sources(statement)
    return tree.Copy(
        statement.source,
        paths,
        destination,
        files,
        flags.text("from"),
        flags.text("chown"),
        flags.text("chmod"),
        bool(flags.find_bool("link")),
        bool(flags.find_bool("parents")),
        flags.texts("exclude"),
    )


def add(statement: Statement) -> tree.Add:
    flags = statement.options(
        chown="text", chmod="text", link="bool", exclude="texts", checksum="text", keep_git_dir="bool", unpack="bool"
    )
    paths, files, destination = _sources(statement)
    return tree.Add(
        statement.source,
        paths,
        destination,
        files,
        flags.text("chown"),
        flags.text("chmod"),
        bool(flags.find_bool("link")),
        flags.texts("exclude"),
        flags.text("checksum"),
        bool(flags.find_bool("keep-git-dir")),
        flags.find_bool("unpack"),
    )


def healthcheck(statement: Statement) -> tree.Healthcheck:
    kind, *rest = split_first_blank(statement.rest)
    if kind.upper() == "NONE":
        if rest:
            raise BadValue("NONE takes no arguments")
        return tree.Healthcheck(statement.source, None)
    flags = statement.options(
        interval="text", timeout="text", start_period="text", start_interval="text", retries="text"
    )
    if not kind:
        raise BadValue("needs at least one argument: NONE, or CMD and a command")
    if kind.upper() != "CMD":
        raise BadValue(f"unknown type {kind!r}: use NONE or CMD", near_miss(kind, ["NONE", "CMD"], any_case=True))
    text = rest[0] if rest else ""
    words = exec_form(text)
    if not text or words == ():
        raise BadValue("the command after CMD is missing")
    return tree.Healthcheck(
        statement.source,
        Command((text,), True) if words is None else Command(words, False),
        _interval(flags, "interval"),
        _interval(flags, "timeout"),
        _interval(flags, "start-period"),
        _interval(flags, "start-interval"),
        _retries(flags.text("retries")),
    )


def shell(statement: Statement) -> tree.Shell:
    statement.options()
    words = exec_form(statement.rest)
    if words is None:
        raise BadValue('needs the JSON form: SHELL ["program", "argument"]')
    return tree.Shell(statement.source, _some(words))


def _command(statement: Statement) -> Command:
    words = exec_form(statement.rest)
    return Command((statement.rest,), True) if words is None else Command(words, False)


def _list(rest: str) -> Sequence[str]:
    words = exec_form(rest)
    return split_blanks(rest) if words is None else words


def _some(words: Sequence[str]) -> tuple[str, ...]:
    if not words:
        raise BadValue("needs at least one argument")
    return tuple(words)


def _one_argument(statement: Statement) -> str:
    statement.options()
    if not statement.rest:
        raise BadValue("needs exactly one argument")
    return statement.rest


def _pairs(statement: Statement) -> tuple[Pair, ...]:
    """Parse `key=value…`, or the old `key value`; the first word decides."""
    statement.options()
    words = _some(split_words(statement.rest, statement.escape))
    if "=" not in words[0]:
        old = split_first_blank(statement.rest)
        if len(old) < 2:
            raise BadValue("needs two arguments: write key=value")
        return (Pair(old[0], old[1]),)
    pairs = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise BadValue(f"no '=' in {word!r}: write key=value, with quotes around a value that has spaces")
        if not key:
            raise BadValue("a name cannot be empty")
        pairs.append(Pair(key, value))
    return tuple(pairs)


def _sources(statement: Statement) -> tuple[tuple[str, ...], tuple[Heredoc, ...], str]:
    """Return the paths, heredocs and destination of COPY and ADD."""
    words = _list(statement.rest)
    if len(words) < 2:
        raise BadValue("needs a source and a destination")
    *sources, destination = words
    if not statement.heredocs:
        return tuple(sources), (), destination
    documents = {document.mark.name: document.heredoc for document in statement.heredocs}
    if find_mark(destination) is not None:
        raise BadValue("a heredoc cannot be the destination")
    paths, files = [], []
    for word in sources:
        mark = find_mark(word)
        if mark is None:
            paths.append(word)
        elif mark.name in documents:
            files.append(documents[mark.name])
    return tuple(paths), tuple(files), destination


def _one_of(name: str, value: str | None, allowed: Sequence[str]) -> str | None:
    if value is not None and value not in allowed:
        raise BadValue(
            f"--{name} is {', '.join(allowed[:-1])} or {allowed[-1]}, not {value!r}", near_miss(value, allowed)
        )
    return value


def _interval(flags: Flags, name: str) -> int:
    text = flags.text(name)
    value = 0 if text is None else parse_duration(text)
    if value and value < _SHORTEST_NS:
        raise BadValue(f"--{name} cannot be less than 1ms")
    return value


def _retries(text: str | None) -> int:
    if text is None:
        return 0
    if not re.fullmatch(r"\+?[0-9]{1,10}", text, re.ASCII) or int(text) >= _RETRIES_LIMIT:
        raise BadValue(f"--retries must be a number from 0, not {text!r}")
    return int(text)


Form = Callable[[Statement], tree.Instruction]
FORMS: dict[str, Form] = {
    "ADD": add,
    "ARG": arg,
    "CMD": cmd,
    "COPY": copy,
    "ENTRYPOINT": entrypoint,
    "ENV": env,
    "EXPOSE": expose,
    "FROM": from_,
    "HEALTHCHECK": healthcheck,
    "LABEL": label,
    "MAINTAINER": maintainer,
    "RUN": run,
    "SHELL": shell,
    "STOPSIGNAL": stopsignal,
    "USER": user,
    "VOLUME": volume,
    "WORKDIR": workdir,
}
