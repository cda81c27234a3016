"""`rootlay images`: list images."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rootlay.cli.listing import Column, Row, age_of, print_table, size
from rootlay.cli.progress import print_notes
from rootlay.cli.spec import Argument, Context, Option, Values, Verb
from rootlay.store.model.errors import CorruptStore

if TYPE_CHECKING:
    from rootlay.store.model.image import ImageRecord

_SHORT_DIGITS = 12


def action(values: Values, context: Context) -> int:
    from rootlay.store.store import ImageStore

    damaged: list[str] = []
    rows = _rows(ImageStore.open(context.root).images(damaged.append), values.text("name"))
    digits = None if values.flag("no_trunc") else _SHORT_DIGITS
    if values.flag("quiet"):
        for identity in dict.fromkeys(row["id"] for row in rows):
            context.out.line(_shown(identity, digits))
    else:
        columns = [
            Column("REPOSITORY", lambda row: row["repository"] or "<none>"),
            Column("TAG", lambda row: row["tag"] or "<none>"),
            Column("IMAGE ID", lambda row: _shown(row["id"], digits)),
            Column("CREATED", lambda row: age_of(row["created"])),
            Column("SIZE", lambda row: size(row["size"])),
        ]
        if any(row["platforms"] for row in rows):
            columns.append(Column("PLATFORMS", lambda row: ", ".join(row["platforms"])))
        print_table(context, rows, columns, as_json=values.flag("json"))
    print_notes(context, damaged)
    return CorruptStore.exit_code if damaged else 0


def _shown(identity: str, digits: int | None) -> str:
    """Return an image ID: its first digits, or the whole digest with None."""
    return identity if digits is None else identity.partition(":")[2][:digits]


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
    help=(
        "List images. SIZE is the compressed size of the layers. For a multi-platform image, "
        "IMAGE ID is that of this machine's platform."
    ),
    action=action,
    options=(
        Option(("-q", "--quiet"), "flag", "IDs only."),
        Option(("--no-trunc",), "flag", "Do not truncate IDs."),
        Option(("--json",), "flag", "As JSON."),
    ),
    arguments=(Argument("name", "Show only this repository or NAME:TAG.", required=False),),
    exits="0 success; 27 an image is damaged (the others are listed).",
)
