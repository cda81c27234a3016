"""`rootlay images`: list images."""

from __future__ import annotations

from rootlay.cli.listing import Column, age_of, print_table, size
from rootlay.cli.spec import Argument, Context, Option, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.store.store import Store

    wanted = values.text("name")
    rows = []
    for record in Store.open(context.root).images():
        reference = record.reference or ""
        name, digest, _ = reference.partition("@")  # what was pulled by digest has no tag
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
            }
        )
    if values.flag("quiet"):
        for identity in dict.fromkeys(row["id"] for row in rows):
            print(str(identity).partition(":")[2][:12], file=context.out)
        return 0
    columns = (
        Column("REPOSITORY", lambda row: row["repository"] or "<none>"),
        Column("TAG", lambda row: row["tag"] or "<none>"),
        Column("IMAGE ID", lambda row: row["id"].partition(":")[2][:12]),
        Column("CREATED", lambda row: age_of(row["created"])),
        Column("SIZE", lambda row: size(row["size"])),
    )
    print_table(context, rows, columns, as_json=values.flag("json"))
    return 0


VERB = Verb(
    name="images",
    help="List images. SIZE is what their layers take in the store, compressed.",
    action=action,
    options=(Option(("-q", "--quiet"), "flag", "IDs only."), Option(("--json",), "flag", "As JSON.")),
    arguments=(Argument("name", "Only this repository, or NAME:TAG.", required=False),),
)
