"""Both parsers are made from one table: they must understand the same command lines in the same way."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rootlay.cli.app import _command
from rootlay.cli.parse import LeaveToTyper, parse
from rootlay.cli.printer import Printer
from rootlay.cli.spec import Context, Option, UsageError, Values, Verb
from rootlay.cli.verblist import VERBS as NAMES
from rootlay.cli.verblist import load_verb
from rootlay.store.model.value import replace

CONTEXT = Context(Path("/nowhere"), {}, Printer(io.StringIO()), Printer(io.StringIO()))
VERBS = {name: load_verb(name) for name in NAMES}


def with_typer(verb: Verb, words: list[str]) -> dict[str, Any] | None:
    """What Typer makes of the words; None when it refuses them."""
    import typer

    seen: list[dict[str, Any]] = []

    def action(values: Values, context: Context) -> int:
        seen.append(values.given)
        return 0

    app = typer.Typer(add_completion=False)
    app.command(context_settings={"allow_interspersed_args": not verb.passes_on})(
        _command(replace(verb, action=action), CONTEXT, [])
    )
    silence = io.StringIO()
    with contextlib.suppress(SystemExit), contextlib.redirect_stderr(silence), contextlib.redirect_stdout(silence):
        app(words)
    return seen[0] if seen else None


def with_light(verb: Verb, words: list[str]) -> dict[str, Any] | None:
    try:
        return {option.name: option.start for option in verb.all_options} | parse(verb, words).given
    except (LeaveToTyper, UsageError):
        return None


@pytest.mark.parametrize(
    "words",
    [
        ["debian"],
        ["--rm", "debian", "ls", "-l", "--all"],
        ["-it", "--rm", "debian", "--", "bash"],
        ["-e", "A=1", "--env=B=2", "-eC=3", "debian"],
        ["--name=x", "-w", "/w", "-u", "0:0", "debian", "true"],
        ["-v/a:/b:ro", "debian"],
        ["--lower", "/a", "--lower", "/b", "sh", "-c", "x"],
        ["--", "debian", "--rm"],
        ["debian", "-e"],
    ],
)
def test_run_is_read_alike_by_both_parsers(words: list[str]) -> None:
    light = with_light(VERBS["run"], words)
    assert light is not None
    assert light == with_typer(VERBS["run"], words)


WORDS = st.sampled_from(
    "-i -t -it --rm --name --name=n -e -eX=1 --env=Y -w /w debian -- ls -l -d x=y --tty".split()
    + "-q --json -a -f -n -n3 -o out -".split()
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(VERBS)), st.lists(WORDS, max_size=6))
def test_whatever_the_light_parser_takes_typer_reads_alike(name: str, words: list[str]) -> None:
    light = with_light(VERBS[name], words)
    if light is not None:
        assert light == with_typer(VERBS[name], words)


@pytest.mark.parametrize(
    "words", [["--nope", "debian"], ["--name"], ["--help"], ["-x", "debian"], ["--rm=maybe", "debian"]]
)
def test_what_is_wrong_is_left_to_typer(words: list[str]) -> None:
    assert with_light(VERBS["run"], words) is None


@pytest.mark.parametrize("name", sorted(VERBS))
def test_each_verb_has_help_and_its_own_name(name: str) -> None:
    verb = VERBS[name]
    assert verb.name == name
    assert verb.help.endswith(".")
    assert all(option.help for option in verb.all_options)
    flags = [flag for option in verb.all_options for flag in option.flags]
    assert len(flags) == len(set(flags))


@pytest.mark.parametrize("name", sorted(VERBS))
def test_reasons_are_clauses_and_exceptions_need_a_refusal(name: str) -> None:
    for option in VERBS[name].all_options:
        assert not option.accepted.endswith(".")
        assert not option.refused.endswith(".")
        assert option.refused or not option.takes


TABLE = Verb(
    name="table",
    help="A table.",
    action=lambda values, context: 0,
    options=(
        Option(("--plain",), "text", "Works."),
        Option(("--none",), "text", "Nothing.", accepted="it has no effect"),
        Option(("--some",), "text", "Some.", accepted="why", refused="use another", takes=("one", "from:", "set=")),
        Option(("--never",), "flag", "Never.", refused="leave it out"),
        Option(("--always",), "flag", "Always.", default=True, refused="it is always done"),
        Option(("--count",), "int", "A number.", refused="leave it out", takes=("0",)),
    ),
    rare=lambda: (Option(("-r", "--rare"), "many", "Rare.", refused="not this one", takes=("good",)),),
)


@pytest.mark.parametrize(
    "line",
    [
        "--plain x",
        "--none x",
        "--some one",
        "--some=from:x",
        "--some set=x",
        "--some set:x",
        "--never=false",
        "--always",
        "--count 0",
        "-r good",
    ],
)
def test_both_parsers_take_what_the_table_accepts(line: str) -> None:
    light = with_light(TABLE, line.split())
    assert light is not None
    if "=f" not in line or "from" in line:  # Click has no value for a flag
        assert light == with_typer(TABLE, line.split())


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--some two", "--some=two: use another"),
        ("--never", "--never: leave it out"),
        ("--always=false", "--always=false: it is always done"),
        ("--count 1", "--count=1: leave it out"),
        ("-r good -r bad", "--rare=bad: not this one"),
    ],
)
def test_both_parsers_refuse_with_the_reason_of_the_table(line: str, said: str) -> None:
    with pytest.raises(UsageError, match=f"^{said}$"):
        parse(TABLE, line.split())
    if "=f" not in line:
        with pytest.raises(UsageError, match=f"^{said}$"):
            with_typer(TABLE, line.split())


def test_the_rare_options_are_loaded_only_if_one_is_given() -> None:
    assert not parse(TABLE, ["--plain", "x"]).has("rare")
    assert parse(TABLE, ["-r", "good"]).has("rare")
