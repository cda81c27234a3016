"""`--format` of the lists: a template for each row, or a table with titles (docker/cli formatter/formatter.go)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rootlay.cli.spec import Context, UsageError
from rootlay.cli.template.errors import TemplateError
from rootlay.cli.template.evaluate import Template
from rootlay.cli.template.functions import HEADER_FUNCTIONS
from rootlay.cli.template.tabwriter import align
from rootlay.cli.template.values import Method, Struct
from rootlay.store.model.errors import printable_text
from rootlay.store.model.value import value

_TABLE = "table"


@value
class Listing:
    """The form of one kind of list.

    Args:
        kind: Go's type of a row, for errors.
        titles: those of the columns, by field.
        table: the template of the usual table, after `table `.
        quiet: the template of --quiet.
    """

    kind: str
    titles: Mapping[str, str]
    table: str
    quiet: str = "{{.ID}}"


def print_rows(
    context: Context, listing: Listing, rows: Iterable[Mapping[str, Any]], given: str | None, *, quiet: bool = False
) -> None:
    """Print the rows. `given`: --format. Raises UsageError for a template that is wrong."""
    wanted = given or _TABLE
    if quiet:
        wanted = listing.quiet
    elif wanted == _TABLE:
        wanted = f"{_TABLE} {listing.table}"
    is_table = wanted.startswith(_TABLE)
    text = "{{json .}}" if wanted == "json" else wanted.removeprefix(_TABLE) if is_table else wanted
    template = parse(text.strip(" ").replace("\\t", "\t").replace("\\n", "\n"))
    shown = [execute_row(template, Struct(listing.kind, _one_line(row) if is_table else row)) for row in rows]
    if is_table:
        header = template.execute(_header(listing), functions=HEADER_FUNCTIONS)
        context.out.lines(align("\n".join((header, *shown))))
    else:
        for line in shown:
            context.out.formatted(line + "\n")


def _one_line(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row for a table: with the tabs and line ends in its texts escaped, which would end a cell or the row."""
    found: dict[str, Any] = {}
    for name, item in row.items():
        if isinstance(item, Method):
            found[name] = Method(lambda given, call=item.call: printable_text(str(call(given))))  # type: ignore[misc]
        else:
            found[name] = printable_text(item) if isinstance(item, str) else item
    return found


def _header(listing: Listing) -> Any:
    """Return the titles as a map; that of a label is the last part of its name."""

    def label(name: str) -> str:
        return name.rpartition(".")[2].replace("-", " ").replace("_", " ")

    return {**listing.titles, "Label": Method(label)}


def parse(text: str) -> Template:
    """Parse a template. Raises UsageError, with Go's message."""
    try:
        return Template(text)
    except TemplateError as error:
        raise UsageError(f"template parsing error: {error}") from None


def execute_row(template: Template, row: Struct) -> str:
    """Return the output of a template for a row. Raises UsageError, with Go's message."""
    try:
        return template.execute(row)
    except TemplateError as error:
        raise UsageError(f"template parsing error: {error}") from None


def label_method(labels: Mapping[str, str]) -> Method:
    """Return the method `Label` of a row: the value of one label."""
    return Method(lambda name: labels.get(name, ""))


def joined_labels(labels: Mapping[str, str] | None) -> str:
    """Return labels as `a=x,b=y`, in the order of their names."""
    return ",".join(f"{name}={text}" for name, text in sorted((labels or {}).items()))


def ellipsis(text: str, width: int) -> str:
    """Return a text of at most this many characters, cut with `…`."""
    return text if len(text) <= width else text[: width - 1] + "…"


def natural(text: str) -> list[Any]:
    """Return a key that sorts `v2` before `v10`."""
    import re

    return [(int(part), part) if part.isdigit() else (-1, part) for part in re.findall(r"\d+|\D+", text)]


def short_id(identity: str) -> str:
    """Return the first twelve digits of an ID."""
    return identity.rpartition(":")[2][:12]


def print_inspected(
    context: Context, documents: Sequence[Mapping[str, Any]], given: str | None, kind: str = ""
) -> None:
    """Print what `inspect` found: all as a JSON array, or each by a template. `kind`: Go's type, if only it counts."""
    if given in (None, "", "json"):
        context.out.json(list(documents), indent=4 if given != "json" else None)
        return
    from rootlay.cli.docker.inspected import execute

    template = parse(str(given))
    for document in documents:
        context.out.formatted(execute(template, document, kind) + "\n")
