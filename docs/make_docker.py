"""Write docs/coming-from-docker.md from the tables of the verbs.

    python docs/make_docker.py            # with rootlay installed; writes docs/coming-from-docker.md
    python docs/make_docker.py --print    # to standard output

The names are those of docker/cli 28, in tests/cli/docker_flags.json.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rootlay.cli.globaloptions import GLOBAL_OPTIONS
from rootlay.cli.spec import Option, Verb
from rootlay.cli.subverbs import GROUPS
from rootlay.cli.verblist import load_verb

HERE = Path(__file__).parent
REFERENCE: dict[str, dict[str, str]] = json.loads(
    (HERE.parent / "tests" / "cli" / "docker_flags.json").read_text(encoding="utf-8")
)
HEAD = """# Coming from Docker

Made by `python docs/make_docker.py` from the tables of the command line; a test keeps it up to date. The reference is \
docker/cli 28 without swarm, plugins, trust and checkpoint.

Each name does one of three things: it works; it is accepted and has no effect here; or it is refused, with a message \
that says why and what to do. `rootlay docker-link DIR` makes a `docker` command in a directory. `--format` takes Go's \
templates with Docker's functions; `--filter`, `--no-trunc` and `-q` are Docker's. What works otherwise than in Docker \
is in [differences](differences.md).

"""


def find(name: str) -> Verb:
    """Return the table of a verb of one word or two."""
    first, _, second = name.partition(" ")
    verb = load_verb(first)
    found = GROUPS[first].load(second) if second else verb
    assert found is not None, name
    return found


def options_of(name: str) -> list[Option]:
    """Return the options of a verb that the reference has."""
    options = GLOBAL_OPTIONS if name == "docker" else find(name).all_options
    return [option for option in options if any(flag in REFERENCE[name] for flag in option.flags)]


def status_of(name: str) -> str:
    """Return what a verb does: works or refused."""
    return "refused" if name != "docker" and find(name).help.startswith("Refused") else "works"


def page() -> str:
    """Return the whole page."""
    names = [name for name in sorted(REFERENCE) if name != "docker"]
    own = {name: name for name in names}
    for name in names:
        first, _, second = name.partition(" ")
        if second and find(first) and second in GROUPS[first].others:
            own[name] = GROUPS[first].others[second]
    verbs = Counter(status_of(name) for name in names)
    flags = Counter(option.status for name in (*names, "docker") for option in options_of(name))
    lines = [HEAD + "| | works | accepted | refused |", "|---|---|---|---|"]
    lines.append(f"| {len(names)} verbs | {verbs['works']} | | {verbs['refused']} |")
    lines.append(f"| {sum(flags.values())} options | {flags['works']} | {flags['accepted']} | {flags['refused']} |")
    lines += ["", "## Before the verb", "", *_section("docker")]
    for name in names:
        lines += ["", f"## {name}", ""]
        if own[name] != name:
            lines.append(f"The same as [{own[name]}](#{own[name].replace(' ', '-')}).")
        else:
            lines += [_help_of(name), "", *_section(name)]
    return "\n".join(lines).rstrip("\n") + "\n"


def _help_of(name: str) -> str:
    return find(name).help.partition("\n")[0]


def _section(name: str) -> Iterator[str]:
    options = options_of(name)
    works = [option for option in options if option.status == "works"]
    if works:
        yield "Works: " + ", ".join(f"`{'`/`'.join(option.flags)}`" for option in works) + "."
    others = [option for option in options if option.status != "works"]
    if others:
        yield from ("", "| Option | | Reason |", "|---|---|---|")
    for option in sorted(others, key=lambda each: (each.status, each.name)):
        reason = option.accepted
        if option.refused:
            values = f"accepted with {', '.join(option.takes)}; else " if option.takes else ""
            reason = (f"{reason}; " if reason else "") + f"{values}refused: {option.refused}"
            reason = reason if option.status == "accepted" else option.refused
        yield f"| `{'`/`'.join(option.flags)}` | {option.status} | {reason.replace('|', chr(92) + '|')} |"


if __name__ == "__main__":
    if "--print" in sys.argv:
        print(page(), end="")
    else:
        (HERE / "coming-from-docker.md").write_text(page(), encoding="utf-8")
