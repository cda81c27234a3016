"""`rootlay manifest`: the manifests that registries have, and lists of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rootlay.cli.registryoptions import PLATFORM_OPTION, REGISTRY_OPTIONS, platform_of, settings_of
from rootlay.cli.several import each
from rootlay.cli.spec import Argument, Context, Option, UsageError, Values, Verb
from rootlay.cli.subverbs import make_group

if TYPE_CHECKING:
    from rootlay.store.model.reference import Reference
    from rootlay.store.store import ImageStore


def _inspect(values: Values, context: Context) -> int:
    from rootlay.store.model.reference import Reference
    from rootlay.store.registry.pull import resolve
    from rootlay.store.registry.repository import Repository
    from rootlay.store.registry.session import Session

    local = _local(values, context)
    if local is not None and not values.flag("raw") and not values.flag("digest"):
        context.out.json(json.loads(local), indent=4)
        return 0
    name = Reference.parse(values.required("image"))
    settings = settings_of(values, context)
    with Session(settings, name.domain) as session:
        _, document = resolve(Repository(session, name), name, platform_of(values))
    if values.flag("raw"):
        if context.out.isatty():
            context.out.lines(document.data.decode("utf-8", "surrogateescape").split("\n"))
        else:
            context.out.binary.write(document.data)
    elif values.flag("digest"):
        context.out.line(document.descriptor.digest)
    else:
        found = json.loads(document.data)
        if values.flag("verbose"):
            digest = document.descriptor.digest
            descriptor = {
                "mediaType": document.descriptor.media_type,
                "digest": str(digest),
                "size": len(document.data),
            }
            found = {"Ref": f"{name}@{digest}", "Descriptor": descriptor, "Manifest": found}
        context.out.json(found, indent=4)
    return 0


def _list_of(values: Values, context: Context) -> tuple[ImageStore, Reference]:
    from rootlay.store.model.reference import Reference
    from rootlay.store.store import ImageStore

    return ImageStore.open(context.root), Reference.parse(values.required("list")).with_default_tag()


def _create(values: Values, context: Context) -> int:
    from rootlay.store.registry.manifestlist import ManifestList, find_list, resolve_entries, write_list

    store, name = _list_of(values, context)
    old = find_list(store.layout, name)
    if old is not None and not values.flag("amend"):
        raise UsageError(f"manifest create {name.familiar}: the list exists; change it with --amend")
    settings = settings_of(values, context)
    added = [entry for text in values.many("image") for entry in resolve_entries(text, settings)]
    write_list(store.layout, (old or ManifestList(name)).with_entries(added))
    context.out.line(f"Created manifest list {name}")
    return 0


def _annotate(values: Values, context: Context) -> int:
    from rootlay.store.model.manifest import Platform
    from rootlay.store.model.value import replace
    from rootlay.store.registry.manifestlist import get_list, write_list

    store, name = _list_of(values, context)
    found = get_list(store.layout, name)
    entry = found.find(values.required("image"))
    old = entry.descriptor.platform or Platform("", "")
    extra = dict(old.extra)
    if values.text("os_version"):
        extra["os.version"] = values.text("os_version")
    if values.many("os_features"):
        extra["os.features"] = list(values.many("os_features"))
    platform = Platform(
        values.text("os") or old.os, values.text("arch") or old.architecture, values.text("variant") or old.variant,
        extra,
    )  # fmt: skip
    changed = replace(entry, descriptor=replace(entry.descriptor, platform=platform))
    write_list(store.layout, found.with_entries((changed,)))
    return 0


def _push(values: Values, context: Context) -> int:
    from rootlay.store.registry.manifestlist import get_list, push_list, remove_list

    store, name = _list_of(values, context)
    with store.staging() as staging:
        digest = push_list(get_list(store.layout, name), (name,), staging, settings_of(values, context))
    if values.flag("purge"):
        remove_list(store.layout, name)
    context.out.line(digest)
    return 0


def _remove(values: Values, context: Context) -> int:
    from rootlay.store.model.reference import Reference
    from rootlay.store.registry.manifestlist import remove_list
    from rootlay.store.store import ImageStore

    store = ImageStore.open(context.root)

    def remove(text: str) -> None:
        remove_list(store.layout, Reference.parse(text).with_default_tag())

    return each(values.many("list"), remove, context, "manifest rm")


def _local(values: Values, context: Context) -> bytes | None:
    """Return the list of that name that was made here and not sent yet, as `docker manifest inspect` prefers it."""
    from rootlay.store.layout.layout import Layout
    from rootlay.store.model.reference import Reference
    from rootlay.store.registry.manifestlist import find_list

    name = Reference.parse(values.required("image"))
    found = None if name.digest is not None else find_list(Layout(context.root), name)
    return None if found is None else found.index()


_INSECURE = Option(
    ("--insecure",), "flag", "Allow a registry without TLS.", accepted="use --plain-http; localhost is always allowed"
)
_LIST = Argument("list", "Name of the manifest list.")
_OF_PLATFORM = {
    "arch": "Architecture, such as arm64.",
    "os": "Operating system, such as linux.",
    "os-version": "Version of the operating system.",
    "variant": "Variant of the architecture, such as v7.",
}
VERBS = (
    Verb(
        "inspect",
        "Show the manifest or index that a registry has under a name.",
        _inspect,
        (
            Option(
                ("--raw",),
                "flag",
                "The exact bytes, which the digest is of (on a terminal what is not printable is escaped).",
            ),
            Option(("--digest",), "flag", "Print only the digest."),
            Option(("-v", "--verbose"), "flag", "Also the name, the digest and the size."),
            Option(
                PLATFORM_OPTION.flags,
                "text",
                "Show the manifest of this platform from an index.",
                PLATFORM_OPTION.metavar,
            ),
            _INSECURE,
            *REGISTRY_OPTIONS,
        ),
        (Argument("image", "[HOST/]NAME[:TAG][@DIGEST]."),),
    ),
    Verb(
        "create",
        "Create a manifest list of images in registries.",
        _create,
        (Option(("-a", "--amend"), "flag", "Add to a list that exists."), _INSECURE, *REGISTRY_OPTIONS),
        (
            _LIST,
            Argument("image", "Images in registries, with all their platforms.", many=True),
        ),
        examples=(
            "rootlay manifest create registry.example/app:1 registry.example/app:1-amd64 registry.example/app:1-arm64",
        ),
    ),
    Verb(
        "annotate",
        "Set the platform of an image in a manifest list.",
        _annotate,
        (
            *(Option((f"--{name}",), "text", text, "TEXT") for name, text in _OF_PLATFORM.items()),
            Option(("--os-features",), "many", "Features that the image needs of the operating system.", "TEXT"),
        ),
        (_LIST, Argument("image", "Image.")),
    ),
    Verb(
        "push",
        "Send a list, and what its repository lacks of its images.",
        _push,
        (Option(("-p", "--purge"), "flag", "Remove the list here."), _INSECURE, *REGISTRY_OPTIONS),
        (_LIST,),
    ),
    Verb("rm", "Remove lists that were made here.", _remove, (), (Argument("list", "Lists.", many=True),)),
)

VERB = make_group("manifest", "Manifests in registries", VERBS)
