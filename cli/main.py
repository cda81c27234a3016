"""Entry point: finds the store's root, the verb, and the parser that is due; turns errors into one line and a code.

Reads the environment, and hands it on: but for the place of the user's store nobody else looks at it. A verb goes
through the light parser first, and imports neither Typer nor rich; Typer has the rest: help, completion, and all that
is wrong with a command line.
"""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

from rootlay.cli.parse import LeaveToTyper, parse
from rootlay.cli.registry import VERBS, load_verb
from rootlay.cli.spec import RUNNING_VERBS, Context
from rootlay.store.userroot import NoHome, user_root

GARBAGE_AT = 50_000
"""Objects between two looks for garbage in circles (Python: 700): we leave little, and imports make many objects."""


def main(words: list[str] | None = None) -> int:
    """Run a command line (without the program's name) and return its exit code."""
    words = sys.argv[1:] if words is None else words
    gc.set_threshold(GARBAGE_AT)
    environ = dict(os.environ)
    root, rest = _split_root(words)
    verb = rest[0] if rest else ""
    try:
        context = Context(
            root or user_root(environ), environ, sys.stdout, sys.stderr, bool(root or environ.get("ROOTLAY_ROOT"))
        )
    except NoHome as error:
        print(f"rootlay: {error}", file=sys.stderr)
        return 125 if verb in RUNNING_VERBS else 1
    try:
        return _dispatch(verb, rest, context)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output has gone (`rootlay images | head -1`): what was asked for has been said.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except Exception as error:
        from rootlay.cli.failure import explain

        message, code = explain(error, verb, context.root)
        print(f"rootlay: {message}", file=context.err)
        return code


def _split_root(words: list[str]) -> tuple[Path | None, list[str]]:
    """Take `--root DIR` off the front; it stands before the verb."""
    if words and words[0].startswith("--root="):
        return Path(words[0].partition("=")[2]).absolute(), words[1:]
    if len(words) > 1 and words[0] == "--root":
        return Path(words[1]).absolute(), words[2:]
    return None, words


def _dispatch(verb: str, rest: list[str], context: Context) -> int:
    if verb in VERBS:
        table = load_verb(verb)
        try:
            values = parse(table, rest[1:])
        except LeaveToTyper:
            return _with_typer(verb, rest, context)
        return table.action(values, context)
    return _with_typer(verb, rest, context)


def _with_typer(verb: str, rest: list[str], context: Context) -> int:
    from rootlay.cli.app import make_app

    outcome: list[int] = []
    try:
        make_app(context, outcome)(args=rest, prog_name="rootlay")
    except SystemExit as leave:
        if outcome:
            return outcome[0]
        # Typer has said what is wrong with the command line (2), or has shown help (0).
        code = leave.code if isinstance(leave.code, int) else 1
        return 125 if code and verb in RUNNING_VERBS else code
    return outcome[0] if outcome else 0


if __name__ == "__main__":
    sys.exit(main())
