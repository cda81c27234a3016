"""The Typer application, made from the tables of the verbs. Import it only if it is needed: that takes 150 ms."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, Optional

import typer
from rich.markup import escape

from rootlay.cli.spec import Argument, Context, Option, UsageError, Values, Verb
from rootlay.cli.verblist import GROUPS, load_verb

_TYPES: dict[str, Any] = {"flag": bool, "text": Optional[str], "int": Optional[int], "many": Optional[list[str]]}  # noqa: UP045 -- Typer's own idiom


def make_app(context: Context, outcome: list[int]) -> typer.Typer:
    """Return an application with all verbs, in their groups. A verb that ran puts its exit code into `outcome`."""
    app = typer.Typer(
        name="rootlay",
        help="Docker's image layers without root, daemon, FUSE, mounts, namespaces or ptrace.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
    )

    def version(value: bool) -> None:
        if value:
            from importlib.metadata import version as installed

            context.out.line(f"rootlay {installed('rootlay')}")
            raise typer.Exit

    @app.callback()
    def globals_(
        root: str = typer.Option(
            str(context.root), "--root", help="Where images and containers are kept.", envvar="ROOTLAY_ROOT"
        ),
        version: bool = typer.Option(False, "--version", callback=version, is_eager=True, help="Show the version."),
    ) -> None:
        del root, version  # cli/main.py reads them before any parser runs

    for group, names in GROUPS.items():
        for name in names:
            verb = load_verb(name)
            settings = {"allow_interspersed_args": False} if verb.passes_on else {}
            app.command(
                name, help=_help(verb), rich_help_panel=group, context_settings=settings, no_args_is_help=False
            )(_command(verb, context, outcome))
    return app


# Click's root of errors; newer Typers contain a copy of Click and give it no name.
REFUSED: type[Exception] = next(cls for cls in typer.BadParameter.__mro__ if cls.__name__ == "ClickException")


_NO_SWARM = "rootlay has no swarm"
DOCKERS = {
    "compose": 'docker compose works with `rootlay api`: eval "$(rootlay api --env)"',
    **dict.fromkeys(("swarm", "node", "service", "stack", "secret", "config"), _NO_SWARM),
    "plugin": "rootlay has no plugins",
    "trust": "signatures of content trust are not verified; pull by digest: NAME@sha256:…",
    "checkpoint": "the state of processes cannot be saved; `rootlay snapshot` saves the files",
}
"""Docker's verbs that do not exist here, and why."""


def as_usage_error(error: Exception, command: str) -> UsageError:
    """Return an error of Typer's (REFUSED) as one line that names the help to read."""
    message = error.format_message().rstrip(".")  # type: ignore[attr-defined]  # Click's
    unknown = re.match(r"No such command '(\w+)'", message)
    if unknown and unknown[1] in DOCKERS:
        message = f"{unknown[0]}: {DOCKERS[unknown[1]]}"
    message = re.sub(r": Input should be a valid (\w+).*", r": not a valid \1", message)
    return UsageError(f"{message} (see `{command} --help`)")


def run_alone(name: str, verb: Verb, words: list[str], context: Context) -> int:
    """Let Typer parse the words of one verb of a group, which is called as `name`: for help and errors.

    Raises UsageError.
    """
    outcome: list[int] = []
    app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)
    app.command(help=_help(verb), context_settings={"allow_interspersed_args": not verb.passes_on})(
        _command(verb, context, outcome)
    )
    try:
        code = app(args=words, prog_name=name, standalone_mode=False)
    except REFUSED as error:
        raise as_usage_error(error, name) from None
    return outcome[0] if outcome else code if isinstance(code, int) else 0


def _help(verb: Verb) -> str:
    """Return the help in restic's form: the purpose, examples, and an EXIT STATUS that a script can rely on."""
    text = escape(verb.help)
    if verb.examples:
        text += (
            "\n\n[bold]EXAMPLES[/bold]\n\n" + "\b\n" + "\n".join(f"  {escape(example)}" for example in verb.examples)
        )
    status = verb.exits or "0 success, 2 usage error, other codes in docs/exit-codes.md."
    return text + f"\n\n[bold]EXIT STATUS[/bold]\n\n{escape(status)}"


def _command(verb: Verb, context: Context, outcome: list[int]) -> Callable[..., None]:
    def command(**given: Any) -> None:
        values = {name: tuple(value or ()) if name in many else value for name, value in given.items()}
        for option in options:
            for item in values[option.name] if option.kind == "many" else (values[option.name],):
                option.check(item)
        outcome.append(verb.action(Values(values), context))
        raise typer.Exit(outcome[0])

    options = verb.all_options
    many = {option.name for option in options if option.kind == "many"}
    many |= {argument.name for argument in verb.arguments if argument.many}
    parameters = [_argument(argument) for argument in verb.arguments] + [_option(option) for option in options]
    command.__name__ = verb.name.replace("-", "_")
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # Typer reads it
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def _option(option: Option) -> inspect.Parameter:
    default = None if option.kind == "many" else option.start
    reason = option.accepted and f" No effect: {option.accepted}."
    if option.status == "refused":
        reason = f" Refused: {option.refused}."
    declaration = typer.Option(
        default,
        *option.flags,
        help=escape(option.help + reason),
        metavar=option.metavar or None,
        hidden=option.hidden,
        show_default=False,
    )
    return inspect.Parameter(
        option.name, inspect.Parameter.KEYWORD_ONLY, default=declaration, annotation=_TYPES[option.kind]
    )


def _argument(argument: Argument) -> inspect.Parameter:
    kind: Any = list[str] if argument.many else str
    declaration = typer.Argument(
        ... if argument.required else None,
        help=escape(argument.help),
        metavar=argument.name.upper(),
        show_default=False,
    )
    return inspect.Parameter(
        argument.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=declaration,
        annotation=kind if argument.required else Optional[kind],  # noqa: UP045 -- a value here, not an annotation
    )
