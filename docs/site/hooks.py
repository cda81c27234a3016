"""What mkdocs does besides rendering docs/: see mkdocs.yml.

1. README.md, ARCHITECTURE.md and the other pages at the root of the tree are pages of the site.
2. The reference of the verbs is made from their tables, that of the Python API by mkdocstrings from the docstrings.
3. Links follow: to a page of the root by its place on the site; to any other file of the tree as its name.
4. Diagrams (docs/images/*.svg) are put into the page, so that they take the colors of the reader's scheme.
"""

from __future__ import annotations

import ast
import posixpath
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

TREE = Path(__file__).resolve().parents[2]
ROOT_PAGES = {
    "README.md": "index.md",
    "ARCHITECTURE.md": "architecture.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
ORIGINS = {site: root for root, site in ROOT_PAGES.items()}
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
FENCE = re.compile(r"(^```.*?^```[^\n]*$)", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are not below docs/."""
    for source, name in ROOT_PAGES.items():
        files.append(File.generated(config, name, content=(TREE / source).read_text(encoding="utf-8")))
    for name, text in _verb_pages().items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Replace the page of the Python API, and links that leave docs/."""
    uri = page.file.src_uri
    if uri == "api.md":
        markdown = _api_page()
    if uri.startswith("reference/"):
        return markdown
    parts = FENCE.split(markdown)
    parts[::2] = [LINK.sub(lambda found: _moved(uri, *found.groups()), part) for part in parts[::2]]
    return "".join(parts)


def _moved(uri: str, bang: str, text: str, target: str) -> str:
    """Return a link as it is on the site."""
    whole = f"{bang}[{text}]({target})"
    name, sign, fragment = target.partition("#")
    if re.match(r"[a-z]+:", target) or not name:
        return whole
    origin = ORIGINS.get(uri, f"docs/{uri}")
    path = posixpath.normpath(posixpath.join(posixpath.dirname(origin), name))
    if bang and path.endswith(".svg") and (TREE / path).is_file():
        return _diagram(TREE / path, text)
    if path == "docs/adr":
        path = "docs/adr/README.md"
    site = ROOT_PAGES.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else "")
    if not site or site.endswith(".py"):
        return text if text.startswith("`") else f"{text} (`{path}`)" if text != path else f"`{path}`"
    return f"{bang}[{text}]({posixpath.relpath(site, posixpath.dirname(uri) or '.')}{sign}{fragment})"


def _diagram(path: Path, text: str) -> str:
    """Return the picture for the page, without its own colors for readers outside the site."""
    drawn = re.sub(r"<style class=\"alone\">.*?</style>", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    return f'<div class="diagram" role="img" aria-label="{text}">' + re.sub(r"\s*\n\s*", " ", drawn) + "</div>"


def _api_page() -> str:
    """Return directives for mkdocstrings: every public name of `rootlay.vfs`, errors last."""
    source = ast.parse((TREE / "vfs" / "__init__.py").read_text(encoding="utf-8"))
    homes = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(source)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("rootlay.")
        for alias in node.names
    }
    errors = {name for name, home in homes.items() if _is_error(name, home)}
    parts = ["# Python API\n\nEverything here is importable from `rootlay.vfs`.\n"]
    parts += [f"::: {home}\n" for name, home in sorted(homes.items()) if name not in errors]
    parts.append(
        "## Errors\n\nEach has the attributes `fault` (`caller`, `image`, `disk` or `network`) and `exit_code` (see "
        "[exit codes](exit-codes.md)).\n"
    )
    parts += [f"::: {homes[name]}\n    options: {{heading_level: 3, members: false}}\n" for name in sorted(errors)]
    return "\n".join(parts)


def _is_error(name: str, home: str) -> bool:
    return "errors" in home or name in {"ContentUnreachable", "NotARegularFile", "NoHome"} or name.endswith("Error")


def _tables() -> Any:
    """Import docs/verbtables.py on the packages of this tree."""
    names = Path(_KEPT.name) / "rootlay"
    if not names.exists():
        names.mkdir()
        for part in ("cli", "store", "vfs"):
            (names / part).symlink_to(TREE / part)
        sys.path[:0] = [_KEPT.name, str(TREE / "docs")]
    import verbtables

    return verbtables


_KEPT = tempfile.TemporaryDirectory()


def _verb_pages() -> dict[str, str]:
    """Return the reference of the verbs: an overview, and one page for each verb of one word."""
    tables = _tables()
    from rootlay.cli.verblist import GROUPS

    pages: dict[str, list[str]] = {}
    helps = {}
    for command in tables.commands():
        first = command.name.split()[0]
        helps[command.name] = command.verb.help
        pages.setdefault(first, []).extend(_verb(tables, command))
    made = {f"reference/verbs/{name}.md": "\n".join(lines) + "\n" for name, lines in pages.items()}
    overview = [
        "# Command line",
        "",
        "Made from the tables of the command line. `rootlay help VERB` and `man rootlay-VERB` ",
    ]
    overview[-1] += "show the same. What Docker's options do: [Coming from Docker](../coming-from-docker.md)."
    for title, names in GROUPS.items():
        overview += ["", f"## {title}", "", "| Verb | |", "|---|---|"]
        overview += [f"| [{name}](verbs/{name}.md) | {_cell(_sentence(helps[name]))} |" for name in names]
    made["reference/cli.md"] = "\n".join(overview) + "\n"
    return made


def _sentence(text: str) -> str:
    return text.split("\n")[0].split(". ")[0].split(": ")[0].rstrip(".") + "."


def _cell(text: str) -> str:
    """Return text in a cell of a table, where nothing is markup."""
    escaped = re.sub(r"([\\*_<>\[\]{}])", r"\\\1", text) if "`" not in text else text.replace("<", "&lt;")
    return escaped.replace("|", "\\|").replace("\n", " ")


def _verb(tables: Any, command: Any) -> Iterator[str]:
    level = "##" if " " in command.name else "#"
    yield from (f"{level} rootlay {command.name}", "")
    if command.same:
        first = command.same.split()[0]
        yield from (f"The same as [rootlay {command.same}]({first}.md).", "")
        return
    yield from (f"```text\n{tables.synopsis(command)}\n```", "", _cell(command.verb.help), "")
    if command.verb.arguments:
        yield from ("| Argument | |", "|---|---|")
        yield from (f"| `{each.name.upper()}` | {_cell(each.help)} |" for each in command.verb.arguments)
        yield ""
    options = tables.shown_options(command.verb)
    if options:
        yield from ("| Option | |", "|---|---|")
        yield from (f"| `{tables.flags_of(each)}` | {_cell(tables.effect_of(each))} |" for each in options)
        yield ""
    if command.verb.examples:
        yield "```sh\n" + "\n".join(command.verb.examples) + "\n```\n"
    yield from (f"Exit status: {_cell(command.verb.exits or tables.DEFAULT_EXITS)}", "")
