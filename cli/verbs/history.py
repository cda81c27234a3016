"""`rootlay history`: show the steps that made an image, layer by layer."""

from __future__ import annotations

from rootlay.cli.listing import Column, age_of, print_table, size
from rootlay.cli.spec import Argument, Context, Option, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.store.store import ImageStore

    image = ImageStore.open(context.root).image(values.required("image"))
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
    rows.reverse()
    columns = (
        Column("LAYER", lambda row: (row["diff_id"] or "<empty>").rpartition(":")[2][:12]),
        Column("CREATED", lambda row: age_of(row["created"])),
        Column(
            "CREATED BY", lambda row: " ".join(row["created_by"].split())[: None if values.flag("no_trunc") else 45]
        ),
        Column("SIZE", lambda row: size(row["size"])),
        Column("COMMENT", lambda row: row["comment"]),
    )
    print_table(context, rows, columns, as_json=values.flag("json"))
    return 0


VERB = Verb(
    name="history",
    help="Show the history of an image, newest layer first. SIZE is compressed.",
    action=action,
    options=(Option(("--no-trunc",), "flag", "Do not truncate output."), Option(("--json",), "flag", "As JSON.")),
    arguments=(Argument("image", "Image."),),
)
