"""The command line of Apptainer: its options before the command, the commands, their help and errors.

Errors are `FATAL:` lines, and exit with 255, as Apptainer's do. A program's exit code is passed on.
"""

from __future__ import annotations

from collections.abc import Callable

from rootlay.cli.apptainer.action import run_action
from rootlay.cli.apptainer.imagefile import build, pull
from rootlay.cli.apptainer.options import (
    BUILD_OPTIONS,
    CACHE_OPTIONS,
    INSPECT_OPTIONS,
    PULL_OPTIONS,
    RUN_OPTIONS,
    SHELL_OPTION,
    SOURCE_OPTIONS,
)
from rootlay.cli.apptainer.report import FATAL, VERSION, Report, with_settings
from rootlay.cli.apptainer.show import cache, inspect
from rootlay.cli.parse import LeaveToTyper, parse
from rootlay.cli.spec import Argument, Context, Option, UsageError, Values, Verb
from rootlay.store.model.value import value

Action = Callable[[Values, Context, Report], int]
_IMAGE = Argument("image", "A file, a directory, docker://NAME, oras://, docker-archive:, oci:, docker-daemon:.")
_COMMAND = Argument("command", "Program and arguments.", many=True)
_WORDS = Argument("command", "Arguments.", required=False, many=True)
REFUSED = {
    "instance": "there are no instances; use `rootlay run -d`, `exec` and `stop`",
    "push": "use `rootlay push` for an image, or `oras push` for the file",
    "remote": "log in with `rootlay login REGISTRY`",
    "registry": "log in with `rootlay login REGISTRY`",
    "key": "images are verified by digests, not by signatures",
    "keyserver": "images are verified by digests, not by signatures",
    "sign": "images are verified by digests; sign them in the registry (cosign)",
    "verify": "images are verified by digests, at each read",
    "sif": "image files are bundles; use `rootlay inspect` and `rootlay load -i FILE`",
    "overlay": "an overlay is a directory; make it with mkdir",
    "oci": "use `rootlay run` and `rootlay exec`",
    "capability": "programs have the rights of the caller, and no others",
    "config": "there is no configuration file; see docs/environment.md of rootlay",
    "plugin": "there are no plugins",
    "search": "use `rootlay search`",
    "delete": "there is no library",
    "test": "images of OCI have no tests; use exec",
    "run-help": "images of OCI have no help; use inspect",
    "checkpoint": "programs cannot be checkpointed",
    "completion": "use `rootlay completion`",
}


@value
class Command:
    """A command of Apptainer. `table`: its options and arguments."""

    table: Verb
    action: Action


def _no_action(values: Values, context: Context) -> int:
    raise NotImplementedError  # the table is only parsed


def _command(
    name: str,
    help_text: str,
    action: Action,
    options: tuple[Option, ...],
    arguments: tuple[Argument, ...],
    *,
    passes_on: bool = False,
) -> Command:
    return Command(Verb(name, help_text, _no_action, options, arguments, passes_on=passes_on), action)


def _runs(name: str) -> Action:
    return lambda values, context, report: run_action(name, values, context, report)


COMMANDS = {
    command.table.name: command
    for command in (
        _command("exec", "Run a program.", _runs("exec"), RUN_OPTIONS, (_IMAGE, _COMMAND), passes_on=True),
        _command("run", "Run what the image says.", _runs("run"), RUN_OPTIONS, (_IMAGE, _WORDS), passes_on=True),
        _command(
            *("shell", "Run a shell.", _runs("shell")),
            *((*RUN_OPTIONS, SHELL_OPTION), (_IMAGE, _WORDS)),
            passes_on=True,
        ),
        _command(
            *("pull", "Fetch an image and write it as a file.", pull),
            *(PULL_OPTIONS, (Argument("words", "[FILE] URI.", many=True),)),
        ),
        _command(
            *("build", "Convert an image to a file or a directory.", build),
            *(BUILD_OPTIONS, (Argument("words", "TARGET SOURCE.", many=True),)),
        ),
        _command(
            "inspect", "Print labels, variables, the program.", inspect, (*INSPECT_OPTIONS, *SOURCE_OPTIONS), (_IMAGE,)
        ),
        _command("cache", "List or clean the store.", cache, CACHE_OPTIONS, (Argument("action", "list or clean."),)),
    )
}
_LEVELS = {"-q": 0, "--quiet": 0, "-s": -1, "--silent": -1}
_IGNORED = frozenset("-d --debug -v --verbose --nocolor".split())


def run_face(words: list[str], context: Context) -> int:
    """Run a command line of Apptainer (without the program's name) and return its exit code."""
    level = 1
    left = list(words)
    while left and left[0].startswith("-"):
        word = left.pop(0)
        if word in ("--version",):
            context.out.line(f"apptainer version {VERSION}")
            return 0
        if word in ("-h", "--help"):
            return _help(context)
        if word in ("-c", "--config"):
            left = left[1:]
        elif word in _LEVELS:
            level = min(level, _LEVELS[word])
        elif word not in _IGNORED:
            Report(context.err).fatal(f"unknown flag: {word[:80]} (see `apptainer --help`)")
            return FATAL
    report = Report(context.err, level)
    if not left or left == ["help"]:
        return _help(context)
    name, rest = left[0], left[1:]
    if name == "version":
        context.out.line(VERSION)
        return 0
    try:
        return _dispatch(name, rest, context, report)
    except Exception as error:
        from rootlay.cli.errorreport import explain

        message, _ = explain(error, name, context.root)
        report.fatal(message)
        return FATAL


def _dispatch(name: str, rest: list[str], context: Context, report: Report) -> int:
    if name == "help":
        name, rest = rest[0], ["--help"]
    if name in REFUSED:
        raise UsageError(f"{name}: {REFUSED[name]}")
    command = COMMANDS.get(name)
    if command is None:
        known = ", ".join(sorted(COMMANDS))
        raise UsageError(f"unknown command {name[:40]}: expected one of {known}, version")
    table = command.table
    try:
        values = parse(table, rest)
    except LeaveToTyper:
        if rest and rest[-1] in ("-h", "--help"):
            return _help_of(table, context)
        raise UsageError(_what_is_wrong(table, rest)) from None
    return command.action(with_settings(values, table, context.environ), context, report)


def _what_is_wrong(table: Verb, rest: list[str]) -> str:
    known = {flag for option in table.options for flag in option.flags}
    for word in rest:
        if word.startswith("--") and word != "--" and word.partition("=")[0] not in known:
            return f"unknown flag: {word[:80]} (see `apptainer {table.name} --help`)"
        if not word.startswith("-") and table.passes_on:
            break
    expected = " ".join(argument.name.upper() for argument in table.arguments)
    return f"{table.name}: expected [OPTIONS] {expected} (see `apptainer {table.name} --help`)"


def _help(context: Context) -> int:
    context.out.line("Usage: apptainer [-q|-s|-d|-v] COMMAND [OPTIONS] …: the command line of Apptainer, by rootlay")
    context.out.line("")
    context.out.lines(f"  {name:<10} {command.table.help}" for name, command in COMMANDS.items())
    return 0


def _help_of(table: Verb, context: Context) -> int:
    expected = " ".join(argument.name.upper() for argument in table.arguments)
    context.out.line(f"Usage: apptainer {table.name} [OPTIONS] {expected}")
    context.out.line("")
    context.out.line(table.help)
    context.out.line("")
    for option in table.options:
        names = ", ".join(option.flags) + (f" {option.metavar}" if option.metavar else "")
        reason = f" No effect: {option.accepted}." if option.accepted else ""
        reason = f" Refused: {option.refused}." if option.status == "refused" else reason
        context.out.line(f"  {names:<34} {option.help}{reason}")
    return 0
