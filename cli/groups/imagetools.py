"""`rootlay buildx imagetools`: multi-platform images in registries, and the attestations in them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rootlay.cli.registryoptions import REGISTRY_OPTIONS, settings_of
from rootlay.cli.spec import Argument, Context, Option, UsageError, Values, Verb
from rootlay.cli.subverbs import make_group

if TYPE_CHECKING:
    from rootlay.store.model.manifest import Descriptor
    from rootlay.store.registry.repository import Repository

_PREDICATES = {"https://spdx.dev/Document": "SBOM", "https://slsa.dev/provenance/": "Provenance"}


def _inspect(values: Values, context: Context) -> int:
    from rootlay.cli.template.errors import TemplateError
    from rootlay.cli.template.evaluate import Template
    from rootlay.store.model.manifest import INDEXES, Index
    from rootlay.store.model.reference import Reference
    from rootlay.store.registry.pull import resolve
    from rootlay.store.registry.repository import Repository
    from rootlay.store.registry.session import Session

    name = Reference.parse(values.required("image"))
    with Session(settings_of(values, context), name.domain) as session:
        repository = Repository(session, name)
        top, _ = resolve(repository, name, None)
        if values.flag("raw"):
            if context.out.isatty():
                context.out.lines(top.data.decode("utf-8", "surrogateescape").split("\n"))
            else:
                context.out.binary.write(top.data)
            return 0
        listed = Index.parse(top.data, name.familiar).manifests if top.descriptor.media_type in INDEXES else ()
        text = values.text("format")
        if text is None:
            context.out.lines(_lines(name, top.descriptor, listed))
            return 0
        data = {"Name": str(name), "Manifest": {**top.descriptor.to_json(), **json.loads(top.data)}}
        data |= _attestations(repository, listed)
    try:
        context.out.line(Template(text).execute(data))
    except TemplateError as error:
        raise UsageError(f"template parsing error: {error}") from None
    return 0


def _lines(name: object, top: Descriptor, listed: tuple[Descriptor, ...]) -> Iterator[str]:
    """Yield the lines of docker buildx."""
    base = str(name).partition("@")[0]
    yield from (f"Name:      {name}", f"MediaType: {top.media_type}", f"Digest:    {top.digest}")
    if listed:
        yield from ("           ", "Manifests: ")
    for number, found in enumerate(listed):
        if number:
            yield " " * 13
        yield f"  Name:        {base}@{found.digest}"
        yield f"  MediaType:   {found.media_type}"
        yield f"  Platform:    {found.platform or ''}"
        if found.annotations:
            width = max(map(len, found.annotations)) + 1
            yield "  Annotations: "
            yield from (f"    {f'{key}:':{width}} {text}" for key, text in sorted(found.annotations.items()))


def _attestations(repository: Repository, listed: tuple[Descriptor, ...]) -> dict[str, Any]:
    """Return SBOM and provenance: of the only image, or by platform."""
    from rootlay.store.model.manifest import Manifest
    from rootlay.store.model.platform import is_attestation

    images = {str(found.digest): str(found.platform) for found in listed if not is_attestation(found)}
    found: dict[str, dict[str, Any]] = {"SBOM": {}, "Provenance": {}}
    for descriptor in listed:
        subject = descriptor.annotations.get("vnd.docker.reference.digest", "")
        if not is_attestation(descriptor) or subject not in images:
            continue
        what = str(descriptor.digest)
        for layer in Manifest.parse(repository.get_manifest(what, what).data, what).layers:
            kind = layer.annotations.get("in-toto.io/predicate-type", "")
            for prefix, key in _PREDICATES.items():
                if kind.startswith(prefix):
                    predicate = json.loads(repository.read_blob(layer, what))["predicate"]
                    found[key][images[subject]] = {"SPDX" if key == "SBOM" else "SLSA": predicate}
    return {key: next(iter(by.values())) if len(images) == 1 and by else by for key, by in found.items()}


def _create(values: Values, context: Context) -> int:
    from rootlay.store.model.reference import Reference
    from rootlay.store.registry.manifestlist import ManifestList, push_list, resolve_entries
    from rootlay.store.store import ImageStore

    names = [Reference.parse(text).with_default_tag() for text in values.many("tag")]
    sources = list(values.many("source"))
    if not names and not values.flag("dry_run"):
        raise UsageError("buildx imagetools create: it needs a name: use -t")
    if not sources:
        raise UsageError("buildx imagetools create: it needs the names of images in registries")
    settings = settings_of(values, context)
    if values.flag("append") and names:
        sources.insert(0, str(names[0]))
    found = ManifestList(names[0] if names else Reference.parse(sources[0]))
    for source in sources:
        found = found.with_entries(resolve_entries(source, settings))
    if values.flag("dry_run"):
        context.out.json(json.loads(found.index()), indent=2)
        return 0
    with ImageStore.open(context.root).staging() as staging:
        digest = push_list(found, names, staging, settings)
    context.err.lines(f"pushed {name}@{digest}" for name in names)
    return 0


VERBS = (
    Verb(
        "inspect",
        "Show an image in a registry: its manifests, and with --format its attestations.",
        _inspect,
        (
            Option(("--raw",), "flag", "The exact bytes."),
            Option(("--format",), "text", "Template, e.g. {{json .SBOM.SPDX}}.", "TEMPLATE"),
            Option(("--builder",), "text", "Builder to use.", "NAME", accepted="there is one builder"),
            *REGISTRY_OPTIONS,
        ),
        (Argument("image", "[HOST/]NAME[:TAG][@DIGEST]."),),
    ),
    Verb(
        "create",
        "Make a multi-platform image of images in registries, and send it.",
        _create,
        (
            Option(("-t", "--tag"), "many", "Name of the new image; repeatable.", "NAME[:TAG]"),
            Option(("--append",), "flag", "Add to the image that the name has."),
            Option(("--dry-run",), "flag", "Print the index, and send nothing."),
            Option(("--builder",), "text", "Builder to use.", "NAME", accepted="there is one builder"),
            Option(("--progress",), "text", "Progress output.", "HOW", accepted="there is none"),
            *REGISTRY_OPTIONS,
        ),
        (Argument("source", "Images in registries.", required=False, many=True),),
    ),
)
VERB = make_group("imagetools", "Multi-platform images in registries", VERBS)
