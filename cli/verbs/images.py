"""`rootlay images`: list images."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rootlay.cli.docker.options import FILTER, JSON, LIST_FORMAT, NO_TRUNC, QUIET
from rootlay.cli.progress import print_notes
from rootlay.cli.spec import Argument, Context, Option, UsageError, Values, Verb
from rootlay.store.model.errors import CorruptStore

if TYPE_CHECKING:
    from rootlay.store.model.digest import Digest
    from rootlay.store.model.image import ImageRecord

Row = dict[str, Any]


def action(values: Values, context: Context) -> int:
    from rootlay.store.store import ImageStore

    damaged: list[str] = []
    records = list(ImageStore.open(context.root).images(damaged.append))
    if values.flag("json"):
        context.out.json(_rows(records, values.text("name")))
    elif values.flag("tree"):
        _print_tree(values, context, records, damaged)
    else:
        _print(values, context)
    print_notes(context, damaged)
    return CorruptStore.exit_code if damaged else 0


def _print(values: Values, context: Context) -> None:
    from rootlay.cli.docker.ask import ask, filters_of
    from rootlay.cli.docker.rows import IMAGES, IMAGES_WITH_DIGESTS, image_rows
    from rootlay.cli.docker.table import print_rows

    filters = filters_of(values.many("filter"))
    if values.text("name"):
        filters.setdefault("reference", []).append(values.required("name"))
    found = ask(context, "GET", "/images/json", all=values.flag("all"), filters=filters)
    given, digests = values.text("format"), values.flag("digests")
    by_digest = (digests and given in (None, "table")) or ".Digest" in (given or "")
    newest = sorted(found, key=lambda each: -each["Created"])
    rows = image_rows(newest, trunc=not values.flag("no_trunc"), digests=digests, by_digest=by_digest)
    listing = IMAGES_WITH_DIGESTS if digests else IMAGES
    print_rows(context, listing, rows, given, quiet=values.flag("quiet"))


def _print_tree(values: Values, context: Context, records: list[ImageRecord], damaged: list[str]) -> None:
    """Print each image below the one that it continues, and the platforms of a multi-platform one below it."""
    from rootlay.cli.docker.imagetree import Leaf, grow, lines_of
    from rootlay.cli.template.tabwriter import align
    from rootlay.store.model.errors import RootlayError
    from rootlay.store.store import ImageStore

    for name in ("quiet", "no_trunc", "digests"):
        if values.flag(name):
            raise UsageError(f"--tree and --{name.replace('_', '-')}: only one of them")
    if values.text("format"):
        raise UsageError("--tree and --format: only one of them")
    store = ImageStore.open(context.root)
    leaves: list[Leaf] = []
    sizes: dict[Digest, int] = {}
    for row in _rows(records, values.text("name")):
        name = f"{row['repository']}:{row['tag']}" if row["tag"] else row["repository"] or "<untagged>"
        try:
            image = store.image(name if row["tag"] else row["id"])
        except RootlayError as error:
            damaged.append(f"{name} is left out: {error}")
            continue
        sizes |= dict(zip(image.diff_ids, (layer.size for layer in image.manifest.layers), strict=True))
        leaves.append(Leaf(name, row["id"], image.diff_ids, tuple(row["platforms"])))
    context.out.lines(align("\n".join(lines_of(grow(leaves), sizes))))


def _rows(records: Iterable[ImageRecord], wanted: str | None) -> list[Row]:
    """Return one row for each record that `wanted` (a repository, or NAME:TAG) selects."""
    rows = []
    for record in records:
        reference = record.reference or ""
        name, digest, _ = reference.partition("@")  # an image pulled by digest has no tag
        tag = ""
        if not digest:
            name, _, tag = reference.rpartition(":")
        if wanted and wanted not in (reference, name):
            continue
        rows.append(
            {
                "repository": name,
                "tag": tag,
                "id": str(record.id),
                "digest": str(record.manifest_digest),
                "created": record.created,
                "size": record.size,
                "platforms": list(record.platforms),
            }
        )
    return rows


VERB = Verb(
    name="images",
    help="List images. SIZE is the compressed size of the layers. --tree shows which layers "
    "images share, and platforms.",
    action=action,
    options=(
        Option(("-a", "--all"), "flag", "Show all images.", accepted="there are no intermediate images to hide"),
        Option(("--digests",), "flag", "Show digests."),
        FILTER,
        LIST_FORMAT,
        NO_TRUNC,
        QUIET,
        Option(("--tree",), "flag", "Show each image below the one that it continues."),
        JSON,
    ),
    arguments=(Argument("name", "Show only this repository or NAME:TAG.", required=False),),
    exits="0 success; 27 an image is damaged (the others are listed).",
    examples=("rootlay images --filter dangling=true", 'rootlay images --format "{{.Repository}}:{{.Tag}} {{.Size}}"'),
)
