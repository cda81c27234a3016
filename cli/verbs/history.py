"""`rootlay history`: show the steps that made an image, layer by layer."""

from __future__ import annotations

import contextlib
from typing import Any

from rootlay.cli.docker.options import JSON, LIST_FORMAT, NO_TRUNC
from rootlay.cli.registryoptions import PLATFORM_OPTION, platform_of
from rootlay.cli.spec import Argument, Context, Option, UsageError, Values, Verb
from rootlay.store.model.progress import unheard


def action(values: Values, context: Context) -> int:
    from rootlay.cli.docker.rows import HISTORY, history_rows
    from rootlay.cli.docker.table import print_rows
    from rootlay.store.model.value import replace
    from rootlay.store.store import ImageStore
    from rootlay.vfs.docker.images import history_of

    if values.flag("graph"):
        _print_graph(values, context)
        return 0
    if values.flag("json"):
        context.out.json(_own_rows(values, context))
        return 0
    image = ImageStore.open(context.root).image(values.required("image"), platform_of(values))
    human = values.flag("human")
    listing = HISTORY if human else replace(HISTORY, table=HISTORY.table.replace("Since", "At"))
    rows = history_rows(history_of(image), trunc=not values.flag("no_trunc"), human=human)
    print_rows(context, listing, rows, values.text("format"), quiet=values.flag("quiet"))
    return 0


def _print_graph(values: Values, context: Context) -> None:
    import shutil

    from rootlay.cli.docker.historygraph import graph_lines

    for name in ("format", "quiet", "json"):
        if values.given[name]:
            raise UsageError(f"--graph and --{name}: only one of them")
    cut = context.out.isatty() and not values.flag("no_trunc")
    columns = shutil.get_terminal_size().columns if cut else None
    context.out.lines(graph_lines(_own_rows(values, context), _ends(values, context), columns))


def _ends(values: Values, context: Context) -> dict[str, list[str]]:
    """Return the names of other images that are the beginning of this one, by the diff ID of their last layer."""
    from rootlay.store.model.errors import RootlayError
    from rootlay.store.store import ImageStore

    store = ImageStore.open(context.root)
    image = store.image(values.required("image"), platform_of(values))
    ends: dict[str, list[str]] = {}
    for record in store.images(unheard):
        with contextlib.suppress(RootlayError):
            layers = store.image(record.reference or str(record.id)).diff_ids
            if record.reference and layers and record.id != image.id and layers == image.diff_ids[: len(layers)]:
                ends.setdefault(str(layers[-1]), []).append(record.reference)
    return {layer: sorted(names) for layer, names in ends.items()}


def _own_rows(values: Values, context: Context) -> list[dict[str, Any]]:
    """Return the rows of --json, newest step first."""
    from rootlay.store.store import ImageStore

    image = ImageStore.open(context.root).image(values.required("image"), platform_of(values))
    layers = list(zip(image.diff_ids, image.manifest.layers, strict=True))
    rows = []
    steps = list(image.config.history)
    real = sum(not step.empty_layer for step in steps)
    for step in steps:
        layer = None if step.empty_layer or not layers else layers.pop(0)
        rows.append(
            {
                "created": step.created,
                "created_by": step.created_by,
                "comment": step.comment,
                "diff_id": str(layer[0]) if layer else None,
                "size": layer[1].size if layer else 0,
            }
        )
    if real < len(image.diff_ids):
        # For images without a history for each layer: the remaining layers nevertheless.
        rows += [
            {"created": "", "created_by": "(no history)", "comment": "", "diff_id": str(diff_id), "size": blob.size}
            for diff_id, blob in layers
        ]
    return rows[::-1]


VERB = Verb(
    name="history",
    help="Show the history of an image, newest layer first. SIZE is compressed.",
    action=action,
    options=(
        LIST_FORMAT,
        Option(("--graph",), "flag", "Draw the layers with bars for their sizes, and name the images they end."),
        Option(("-H", "--human"), "flag", "Sizes and times for people (default: true).", default=True),
        NO_TRUNC,
        PLATFORM_OPTION,
        Option(("-q", "--quiet"), "flag", "IDs only."),
        JSON,
    ),
    arguments=(Argument("image", "Image."),),
)
