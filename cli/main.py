"""Entry point: finds the store's root, the verb and the parser to use; turns errors into one line and an exit code.

This module reads the environment and passes it on; apart from the place of the user's store, no other module reads it.
A verb is parsed by the light parser first, and imports neither Typer nor rich. Typer handles the rest: help,
completion, and all errors of the command line.
"""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

from rootlay.cli.parse import LeaveToTyper, parse
from rootlay.cli.printer import OutputFailed, Printer, ReaderGone, abandon, standard_streams
from rootlay.cli.spec import RUNNING_VERBS, Context, UsageError
from rootlay.cli.verblist import HIDDEN, TWO_WORDS, VERBS, load_verb
from rootlay.store.disk.userroot import NoHome, user_root

INTERRUPTED = 130
USAGE = 2
GARBAGE_AT = 50_000
"""Objects between two runs of the cyclic garbage collector (Python: 700): imports make many objects and few cycles."""


def main(words: list[str] | None = None) -> int:
    """Run a command line (without the program's name) and return its exit code."""
    words = sys.argv[1:] if words is None else words
    gc.set_threshold(GARBAGE_AT)
    gc.enable()
    out, err = standard_streams()
    environ = dict(os.environ)
    try:
        root, rest = _split_globals(words, environ)
    except UsageError as error:
        err.line(f"rootlay: {error}")
        _settle(out, err)
        return USAGE
    verb = rest[0] if rest else ""
    try:
        place = root or user_root(environ)
    except NoHome as error:
        err.line(f"rootlay: {error}")
        _settle(out, err)
        return error.run_code if verb in RUNNING_VERBS else error.exit_code
    context = Context(place, environ, out, err, bool(root or environ.get("ROOTLAY_ROOT")))
    try:
        code = _dispatch(verb, rest, context)
        out.flush()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except ReaderGone:
        code = 0  # the requested text has been printed
    except Exception as error:
        from rootlay.cli.errorreport import explain

        message, code = explain(error, verb, context.root)
        err.line(f"rootlay: {message}")
    _settle(out, err)
    return code


def _settle(out: Printer, err: Printer) -> None:
    """Write the output that an error left unwritten, so that the interpreter reports no error at its exit."""
    for number, printer in ((1, out), (2, err)):
        try:
            printer.flush()
        except (ReaderGone, OutputFailed):
            abandon(number)


def _split_globals(words: list[str], environ: dict[str, str]) -> tuple[Path | None, list[str]]:
    """Read the options before the verb. Raises UsageError."""
    if len(words) > 2 and words[0] == "--root" and not words[2].startswith("-"):
        return Path(words[1]).absolute(), words[2:]
    if not words or not words[0].startswith("-"):
        return None, words
    from rootlay.cli.globaloptions import split_globals

    found = split_globals(words)
    if found.docker_config is not None:
        environ["DOCKER_CONFIG"] = found.docker_config
    return found.root, found.rest


def _dispatch(verb: str, rest: list[str], context: Context) -> int:
    if verb in VERBS or verb in HIDDEN:
        table = load_verb(verb)
        try:
            values = parse(table, rest[1:])
        except LeaveToTyper:
            return _with_typer(verb, rest, context)
        return table.action(values, context)
    if verb == "help" and not any(word.startswith("-") for word in rest):
        if not rest[1:]:
            return _with_typer("", ["--help"], context)
        # Words after the verb would be the program of a `run`: only those of a group name another verb.
        return _dispatch(rest[1], [*rest[1 : 3 if rest[1] in TWO_WORDS else 2], "--help"], context)
    if "ROOTLAY_AS_DOCKER" in context.environ:
        from rootlay.cli.globaloptions import docker_version

        text = docker_version(context.environ, rest)
        if text is not None:
            context.out.line(text)
            return 0
    return _with_typer(verb, rest, context)


def _with_typer(verb: str, rest: list[str], context: Context) -> int:
    """Handle help, completion, and errors of the command line, in one line. Raises UsageError, KeyboardInterrupt."""
    import typer

    from rootlay.cli.app import REFUSED, as_usage_error, make_app

    outcome: list[int] = []
    try:
        code = make_app(context, outcome)(args=rest, prog_name="rootlay", standalone_mode=False)
    except SystemExit as leave:
        if not outcome and leave.code and ("--help" in rest or not rest):  # rich: no reader of its output
            raise ReaderGone from None
        raise
    except typer.Abort:
        raise KeyboardInterrupt from None
    except Exception as error:
        if isinstance(error, OSError) and ("--help" in rest or verb not in VERBS):
            raise (ReaderGone() if isinstance(error, BrokenPipeError) else OutputFailed(f"{error.strerror}")) from None
        if not isinstance(error, REFUSED):
            raise
        if not rest:
            error.show()  # type: ignore[attr-defined]  # Click's: the help
            return USAGE
        raise as_usage_error(error, f"rootlay {verb}" if verb in VERBS else "rootlay") from None
    return outcome[0] if outcome else code if isinstance(code, int) else 0


if __name__ == "__main__":
    sys.exit(main())
