"""`rootlay inspect`: print all data of containers, images, volumes and networks as JSON."""

from __future__ import annotations

import json
import os
from typing import Any

from rootlay.cli.docker.options import FORMAT
from rootlay.cli.registryoptions import PLATFORM_OPTION, platform_of
from rootlay.cli.several import each
from rootlay.cli.spec import Argument, Context, Option, UsageError, Values, Verb
from rootlay.store.model.errors import RootlayError, UnknownContainer, UnknownImage
from rootlay.store.model.value import as_dict

KINDS = ("container", "image", "volume", "network")


def action(values: Values, context: Context) -> int:
    kind = values.text("type")
    if kind not in (None, "", *KINDS):
        raise UsageError(f"--type {kind}: expected {', '.join(KINDS)}")
    if values.has("json") and values.flag("json"):
        return _inspect_own(values, context, kind)
    return inspect_all(values, context, (kind,) if kind else KINDS, sized=values.flag("size"))


def inspect_all(values: Values, context: Context, kinds: tuple[str, ...], *, sized: bool = False) -> int:
    """Print the objects of these kinds that the user names, in Docker's JSON or by --format."""
    from rootlay.cli.docker.table import parse, print_inspected

    given = values.text("format")
    if given not in (None, "", "json"):
        parse(str(given))
    found: list[dict[str, Any]] = []

    def look(name: str) -> None:
        found.append(_find(values, context, name, kinds, sized))

    names = values.many("name")
    try:
        code = each(names, look, context, "inspect")
    except RootlayError:
        print_inspected(context, [], None)
        raise
    print_inspected(context, found, given, "volume.Volume" if kinds == ("volume",) else "")
    return code


def _find(values: Values, context: Context, name: str, kinds: tuple[str, ...], sized: bool) -> dict[str, Any]:
    """Return the first object of that name, in the order of the kinds. Raises Docker's error if there is none."""
    from rootlay.cli.docker.ask import Refused, ask, path_of
    from rootlay.store.networks.networks import UnknownNetwork
    from rootlay.store.volumes.volumes import UnknownVolume

    missing: RootlayError | None = None
    for kind in kinds:
        try:
            if kind == "image":
                return _image(values, context, name)
            if "/" in name and len(kinds) > 1:
                continue  # only images have such names
            query = {"size": sized} if kind == "container" else {}
            path = path_of(f"{kind}s", name, "/json" if kind == "container" else "")
            answer: dict[str, Any] = ask(context, "GET", path, **query)
            return answer
        except (UnknownContainer, UnknownImage, UnknownNetwork, UnknownVolume, Refused) as error:
            missing = missing or error
    if len(kinds) > 1:
        raise UnknownContainer(name, what="object") if isinstance(missing, UnknownContainer | None) else missing
    raise missing or UnknownContainer(name)


def _image(values: Values, context: Context, name: str) -> dict[str, Any]:
    from rootlay.store.store import ImageStore
    from rootlay.vfs.docker.images import inspect_image

    platform = platform_of(values) if values.has("platform") else None
    return inspect_image(ImageStore.open(context.root).image(name, platform))


def _inspect_own(values: Values, context: Context, kind: str | None) -> int:
    """Print what is in the store, in the form of rootlay itself."""
    found: list[dict[str, Any]] = []

    def look(name: str) -> None:
        try:
            found.append(_own_image(context, name) if kind == "image" else _own_container(context, name))
        except UnknownContainer:
            if kind == "container":
                raise
            found.append(_own_image(context, name))

    code = each(values.many("name"), look, context, "inspect")
    context.out.json(found, indent=4)
    return code


def _own_container(context: Context, reference: str) -> dict[str, Any]:
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


def _own_image(context: Context, reference: str) -> dict[str, Any]:
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
    help="Show details of containers, images, volumes or networks as JSON, in Docker's form.",
    action=action,
    options=(
        FORMAT,
        Option(("-s", "--size"), "flag", "Show the size of a container's changes."),
        Option(("--type",), "text", "Show only objects of this kind: container, image, volume or network.", "TYPE"),
        PLATFORM_OPTION,
        Option(("--json",), "flag", "In the form of rootlay itself: the record, the manifest, the processes."),
    ),
    arguments=(Argument("name", "Containers, images, volumes or networks.", many=True),),
    examples=('rootlay inspect -f "{{.State.Status}}" web', "rootlay inspect --type image debian"),
)
