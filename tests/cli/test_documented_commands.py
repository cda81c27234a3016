"""The commands of the documentation run, and print what the pages show (tests/support/documented.py)."""

from __future__ import annotations

import html
import importlib.util
import os
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from rootlay.cli.parse import LeaveToTyper, parse
from rootlay.cli.subverbs import GROUPS
from rootlay.cli.verblist import VERBS, load_verb
from tests.cli.conftest import Rootlay
from tests.support.documented import Command, commands_of, matches, run_page

TREE = Path(__file__).parents[2]
HOWTOS = ("ci", "clusters", "wrap", "workflows", "sandboxes", "sharing", "air-gapped")
RUN = ("README", *(f"docs/{name}" for name in ("tutorial", *(f"howto/{name}" for name in HOWTOS))))
NEVER = {"registry", "index"}
"""What no test of this tier has: a registry and a package index."""
SRUN = '#!/bin/sh\nSLURM_PROCID=0 "$@" && SLURM_PROCID=1 "$@"\n'
"""Stands for Slurm's srun: two tasks, one after the other."""


@pytest.fixture(scope="module")
def documented_store(tmp_path_factory: pytest.TempPathFactory, small_tar: Path) -> Path:
    """A store in which the image that the pages call `debian:trixie-slim` is a small one."""
    root = tmp_path_factory.mktemp("documented") / "store"
    Rootlay(root)("import", str(small_tar), "debian:trixie-slim")
    return root


def found() -> frozenset[str]:
    """Return what pages may need and this machine has."""
    programs = {name for name in ("skopeo",) if shutil.which(name)}
    modules = Path("/sys/kernel/security/lsm")
    landlock = {"landlock"} if os.access(modules, os.R_OK) and "landlock" in modules.read_text() else set()
    return frozenset(programs | landlock | {"srun"})


@pytest.mark.parametrize("name", RUN)
def test_the_commands_of_a_page_print_what_it_shows(name: str, documented_store: Path, tmp_path: Path) -> None:
    home, programs = tmp_path / "home", tmp_path / "bin"
    home.mkdir()
    programs.mkdir()
    if "howto" in name:
        shutil.copytree(documented_store, home / ".local/share/rootlay", symlinks=True)
    (programs / "rootlay").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m rootlay.cli.main "$@"\n')
    (programs / "srun").write_text(SRUN)
    for each in programs.iterdir():
        each.chmod(0o755)
    environ = {
        "HOME": str(home),
        "PATH": f"{programs}:{os.environ['PATH']}",
        "SHARED": str(documented_store),
        "USER": "user",
        "COLUMNS": "200",
        "TMPDIR": str(tmp_path),
        "LC_ALL": "C.UTF-8",
    }
    wrong, _ = run_page(commands_of(TREE / f"{name}.md"), home, environ, found())
    assert not wrong, "\n".join(wrong)


def lines_of_pages() -> list[tuple[str, str]]:
    """Return the lines of the documentation that start with `rootlay`: of blocks, not of running text."""
    lines = []
    for page in (TREE / "README.md", *sorted((TREE / "docs").rglob("*.md"))):
        if "adr" not in page.parts and page.name not in ("coming-from-docker.md", "api.md"):
            text = page.read_text(encoding="utf-8").replace("\\\n", "")
            lines += [(page.name, line) for line in re.findall(r"^(?:    |\$ )(rootlay [a-z].*)$", text, re.MULTILINE)]
    return lines


def unknown_words(line: str) -> set[str]:
    """Return the verb or the options of a command line that do not exist."""
    found_words = re.findall(r"""(?:[^\s'"#|;&<>]|'[^']*'?|"[^"]*"?)+|[#|;&<>]""", line)
    ends = [number for number, word in enumerate(found_words) if word in "#|;&<>"]
    words = found_words[1 : min(ends, default=None)]
    name, rest = words[0], words[1:]
    if name not in VERBS:
        return {name}
    verb = load_verb(name)
    if group := GROUPS.get(name):
        second = group.load(rest[0]) if rest else None
        if second is None:
            return {" ".join(words[:2])}
        verb, rest = second, rest[1:]
    try:
        parse(verb, rest)
    except LeaveToTyper:
        known = {flag for option in verb.all_options for flag in option.flags}
        return {word.partition("=")[0] for word in rest if word.startswith("--")} - known - {"--", "--help"}
    return set()


def test_verbs_and_options_of_all_pages_exist() -> None:
    """Of the lines that no test runs, too."""
    lines = lines_of_pages()
    assert len(lines) > 60
    assert [(page, line) for page, line in lines if unknown_words(line)] == []
    assert unknown_words("rootlay rum x") == {"rum"}
    assert unknown_words("rootlay run --rmm x") == {"--rmm"}
    assert unknown_words("rootlay volume create --nothing x") == {"--nothing"}


def test_each_page_has_something_to_run() -> None:
    for name in RUN:
        assert {each.needs for each in commands_of(TREE / f"{name}.md")} - NEVER


def test_the_picture_of_the_readme_shows_what_its_commands_print(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without white space, which is wrapped there, and with digests, sizes and ages blotted out."""
    spec = importlib.util.spec_from_file_location("make_picture", TREE / "docs/make_picture.py")
    assert spec is not None
    assert spec.loader is not None
    picture = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(picture)
    (tmp_path / "rootlay").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m rootlay.cli.main "$@"\n')
    (tmp_path / "rootlay").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    printed = "".join(f"$ {command}\n{output}\n" for command, output in picture.outputs())
    drawn = (TREE / "docs/images/terminal.svg").read_text("utf-8")
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", drawn)
    shown = html.unescape("\n".join(texts))
    assert blotted(printed) in blotted(shown)


def blotted(text: str) -> str:
    """Return a text without white space and without what differs each time."""
    text = re.sub(r"\b[0-9a-f]{12,64}\b", "HEX", text.replace("\xa0", " "))
    text = re.sub(r"(Less than a second|About an? \w+|\d+ \w+) ago +[\d.]+[kM]?B", "AGE", text)
    return re.sub(r"\s+", "", text)


def test_an_output_is_compared() -> None:
    assert matches("a …\n…\nz", "a b\nc\nd\nz\n")
    assert matches("TAG  ID", "TAG       ID\n")
    assert not matches("a", "b\n")
    assert not matches("", "b\n")


def test_a_wrong_command_is_found(tmp_path: Path) -> None:
    wrong, _ = run_page([Command("echo a", "b"), Command("false", "")], tmp_path, os.environ, frozenset())
    assert len(wrong) == 2
