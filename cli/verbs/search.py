"""`rootlay search`: search a registry for images."""

from __future__ import annotations

from rootlay.cli.docker.options import FILTER, LIST_FORMAT, NO_TRUNC
from rootlay.cli.spec import Argument, Context, Option, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.cli.docker.ask import ask, filters_of
    from rootlay.cli.docker.rows import SEARCH, search_rows
    from rootlay.cli.docker.table import print_rows

    filters = filters_of(values.many("filter"))
    query = {"term": values.required("term"), "limit": values.number("limit"), "filters": filters}
    found = ask(context, "GET", "/images/search", **query)
    starred = sorted(found, key=lambda each: -each["star_count"])
    print_rows(context, SEARCH, search_rows(starred, trunc=not values.flag("no_trunc")), values.text("format"))
    return 0


VERB = Verb(
    name="search",
    help="Search Docker Hub, or the registry that the term begins with, for images.",
    action=action,
    options=(
        FILTER,
        LIST_FORMAT,
        Option(("--limit",), "int", "Largest number of results: 1 to 100 (default: 25).", "N"),
        NO_TRUNC,
    ),
    arguments=(Argument("term", "[HOST/]TERM"),),
)
