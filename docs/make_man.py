"""Write man pages from the tables of the verbs: rootlay(1), and one page for each verb, as rootlay-volume-create(1).

    python docs/make_man.py DIRECTORY     # from the tree or with rootlay installed; needs no other package

The build of the wheel does it (vfs/csrc/man.cmake): the pages are installed into share/man/man1.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
PURPOSE = "Docker's image layers without root, daemon, FUSE, mounts, namespaces or ptrace"


def escape(text: str) -> str:
    """Return text as roff shows it literally: backslashes, hyphens that are minus signs, leading periods."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("…", "...").replace("`", "\\(ga").replace("'", "\\(aq")
    return text if not text.startswith((".", "'")) else "\\&" + text


def _title(name: str) -> list[str]:
    return [f'.TH "{escape(name.upper())}" "1" "" "rootlay" "rootlay manual"', ".nh", ".ad l"]


def _first_line(text: str) -> str:
    """Return the first sentence, without its period."""
    return text.split("\n")[0].split(". ")[0].split(": ")[0].rstrip(".")


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in filter(None, (part.strip() for part in text.split("\n"))):
        yield from (".PP", escape(paragraph))


def page_of(command: Command) -> str:
    """Return the page of one verb."""
    name = f"rootlay {command.name}"
    verb = command.verb
    lines = [*_title(name.replace(" ", "-")), ".SH NAME"]
    lines.append(f"{escape(name.replace(' ', '-'))} \\- {escape(_first_line(verb.help))}")
    lines += [".SH SYNOPSIS", f".B {escape(synopsis(command))}", ".SH DESCRIPTION", *_paragraphs(verb.help)]
    if command.same:
        lines += [".PP", escape(f"The same as rootlay-{command.same}(1).")]
    if verb.arguments:
        lines.append(".SH ARGUMENTS")
        for argument in verb.arguments:
            lines += [".TP", f".B {escape(argument.name.upper())}", escape(argument.help)]
    options = shown_options(verb)
    if options:
        lines.append(".SH OPTIONS")
        for option in options:
            lines += [".TP", f".B {escape(flags_of(option))}", escape(effect_of(option))]
    lines += [".SH EXIT STATUS", escape(verb.exits or DEFAULT_EXITS)]
    if verb.examples:
        lines += [".SH EXAMPLES", ".nf", *map(escape, verb.examples), ".fi"]
    lines += [".SH SEE ALSO", ".BR rootlay (1)"]
    return "\n".join(lines) + "\n"


def main_page() -> str:
    """Return rootlay(1): the options before the verb, and the verbs by group."""
    lines = [*_title("rootlay"), ".SH NAME", f"rootlay \\- {escape(PURPOSE)}", ".SH SYNOPSIS"]
    lines += [".B rootlay [OPTIONS] VERB ...", ".SH DESCRIPTION"]
    lines.append(
        escape("Each verb has a page of its own: rootlay-run(1). `rootlay help VERB` and `rootlay VERB --help` ")
        + escape("show its options.")
    )
    lines.append(".SH OPTIONS")
    for option in GLOBAL_OPTIONS:
        lines += [".TP", f".B {escape(flags_of(option))}", escape(effect_of(option))]
    helps = {command.name: command.verb.help for command in commands()}
    for title, names in VERB_GROUPS.items():
        lines.append(f".SH {escape(title.upper())}")
        for name in names:
            lines += [".TP", f".BR {escape(f'rootlay-{name}')} (1)", escape(_first_line(helps[name]))]
    lines += [".SH ENVIRONMENT", ".TP", ".B ROOTLAY_ROOT", "The store, if \\-\\-root is not given."]
    lines += [".SH EXIT STATUS", escape(DEFAULT_EXITS), ".SH SEE ALSO", ".BR rootlay\\-run (1)"]
    return "\n".join(lines) + "\n"


def pages() -> dict[str, str]:
    """Return all pages, by file name."""
    made = {f"rootlay-{command.name.replace(' ', '-')}.1": page_of(command) for command in commands()}
    return {"rootlay.1": main_page(), **made}


def write(target: Path) -> None:
    """Write all pages into a directory, which is created."""
    target.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (target / name).write_text(text, encoding="utf-8")


def _find_packages() -> None:
    """Make the packages of this tree importable as `rootlay`, in a directory that outlives this process's imports."""
    names = tempfile.TemporaryDirectory()
    (Path(names.name) / "rootlay").mkdir()
    for part in ("cli", "store", "vfs"):
        (Path(names.name) / "rootlay" / part).symlink_to(HERE.parent / part)
    sys.path[:0] = [names.name, str(HERE)]
    sys.dont_write_bytecode = True
    _KEPT.append(names)


_KEPT: list[tempfile.TemporaryDirectory[str]] = []
if __name__ == "__main__":
    _find_packages()

from verbtables import (  # noqa: E402
    DEFAULT_EXITS,
    Command,
    commands,
    effect_of,
    flags_of,
    shown_options,
    synopsis,
)

from rootlay.cli.globaloptions import GLOBAL_OPTIONS  # noqa: E402
from rootlay.cli.verblist import GROUPS as VERB_GROUPS  # noqa: E402

if __name__ == "__main__":
    write(Path(sys.argv[1]))
