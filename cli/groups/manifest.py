"""`rootlay manifest`: show the manifest that a registry has under a name, without fetching the image."""

from __future__ import annotations

import json
from collections.abc import Callable

from rootlay.cli.registryoptions import PLATFORM_OPTION, REGISTRY_OPTIONS, platform_of, settings_of
from rootlay.cli.spec import Argument, Context, Option, UsageError, Values, Verb
from rootlay.cli.subverbs import make_group


def _inspect(values: Values, context: Context) -> int:
    from rootlay.store.model.reference import Reference
    from rootlay.store.registry.pull import resolve
    from rootlay.store.registry.repository import Repository
    from rootlay.store.registry.session import Session

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


def _refuse(verb: str) -> Callable[[Values, Context], int]:
    def action(values: Values, context: Context) -> int:
        raise UsageError(f"manifest {verb}: {_NO_LISTS}")

    return action


_NO_LISTS = (
    "manifest lists are not edited here; push a multi-platform image that was pulled or loaded as a whole, "
    "or make the list with `skopeo` or `crane index`"
)
_INSECURE = Option(
    ("--insecure",), "flag", "Allow a registry without TLS.", accepted="use --plain-http; localhost is always allowed"
)
_LIST = Argument("list", "Name of the manifest list.", required=False)
_OF_PLATFORM = ("arch", "os", "os-version", "variant")
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
        "Refused: manifest lists are not edited.",
        _refuse("create"),
        (Option(("-a", "--amend"), "flag", "Change a manifest list.", accepted=_NO_LISTS), _INSECURE),
        (_LIST, Argument("image", "Images.", required=False, many=True)),
    ),
    Verb(
        "annotate",
        "Refused: manifest lists are not edited.",
        _refuse("annotate"),
        (
            *(
                Option((f"--{name}",), "text", "Platform of the image.", "TEXT", accepted=_NO_LISTS)
                for name in _OF_PLATFORM
            ),
            Option(("--os-features",), "many", "Platform of the image.", "TEXT", accepted=_NO_LISTS),
        ),
        (_LIST, Argument("image", "Image.", required=False)),
    ),
    Verb(
        "push",
        "Refused: manifest lists are not edited.",
        _refuse("push"),
        (Option(("-p", "--purge"), "flag", "Remove the local list.", accepted=_NO_LISTS), _INSECURE),
        (_LIST,),
    ),
    Verb(
        "rm",
        "Refused: manifest lists are not edited.",
        _refuse("rm"),
        (),
        (Argument("list", "Lists.", required=False, many=True),),
    ),
)

VERB = make_group("manifest", "Manifests in registries", VERBS)
