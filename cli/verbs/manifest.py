"""`rootlay manifest inspect`: show the manifest that a registry has under a name, without fetching the image."""

from __future__ import annotations

import json

from rootlay.cli.registryoptions import PLATFORM_OPTION, REGISTRY_OPTIONS, platform_of, settings_of
from rootlay.cli.spec import Argument, Context, Option, UsageError, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.store.model.reference import Reference
    from rootlay.store.registry.pull import resolve
    from rootlay.store.registry.repository import Repository
    from rootlay.store.registry.session import Session

    if values.required("command") != "inspect":
        raise UsageError(f"manifest {values.required('command')}: expected `manifest inspect`")
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
        context.out.json(json.loads(document.data), indent=4)
    return 0


VERB = Verb(
    name="manifest",
    help="Show a manifest or index of a registry: `rootlay manifest inspect IMAGE`.",
    action=action,
    options=(
        Option(
            ("--raw",),
            "flag",
            "The exact bytes, which the digest is of (on a terminal what is not printable is escaped).",
        ),
        Option(("--digest",), "flag", "Print only the digest."),
        Option(
            PLATFORM_OPTION.flags, "text", "Show the manifest of this platform from an index.", PLATFORM_OPTION.metavar
        ),
        *REGISTRY_OPTIONS,
    ),
    arguments=(Argument("command", "`inspect`."), Argument("image", "[HOST/]NAME[:TAG][@DIGEST].")),
)
