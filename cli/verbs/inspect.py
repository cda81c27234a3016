"""`rootlay inspect`: print all data of containers and images as JSON."""

from __future__ import annotations

import json
import os
from typing import Any

from rootlay.cli.several import each
from rootlay.cli.spec import Argument, Context, Option, UsageError, Values, Verb
from rootlay.store.model.value import as_dict


def action(values: Values, context: Context) -> int:
    from rootlay.store.model.errors import UnknownContainer

    kind = values.text("type")
    found: list[dict[str, Any]] = []
    if kind not in (None, "container", "image"):
        raise UsageError(f"--type {kind}: expected container or image")

    def look(name: str) -> None:
        try:
            found.append(_image(context, name) if kind == "image" else _container(context, name))
        except UnknownContainer:
            if kind == "container":
                raise
            found.append(_image(context, name))

    code = each(values.many("name"), look, context, "inspect")
    context.out.json(found, indent=4)
    return code


def _container(context: Context, reference: str) -> dict[str, Any]:
    from rootlay.store.containers.containers import Containers
    from rootlay.vfs.run.processes import list_guests

    record = Containers(context.root).find(reference)
    guests = list_guests(os.path.realpath(record.path))
    return {
        "type": "container",
        **record.config.to_json(),
        "upper": str(record.upper),
        "state": {"running": bool(guests), **as_dict(record.state())},
        "processes": [as_dict(guest) for guest in guests],
    }


def _image(context: Context, reference: str) -> dict[str, Any]:
    from rootlay.store.store import ImageStore

    image = ImageStore.open(context.root).image(reference)
    index = {} if image.index is None else {"index": image.index.to_json()}
    return {
        "type": "image",
        "id": str(image.id),
        "digest": str(image.manifest_digest),
        "references": list(image.references),
        "created": image.created,
        "size": image.size,
        "chain_id": str(image.chain_id),
        "diff_ids": [str(diff_id) for diff_id in image.diff_ids],
        "config": json.loads(image.config.to_bytes()),
        "manifest": json.loads(image.manifest.to_bytes()),
        **index,
    }


VERB = Verb(
    name="inspect",
    help="Show details of containers or images as JSON.",
    action=action,
    options=(Option(("--type",), "text", "`container` or `image`, if a name matches both.", "TYPE"),),
    arguments=(Argument("name", "Containers or images.", many=True),),
)
