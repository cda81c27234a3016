"""The options of `build`, and their translation to the options of the library."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rootlay.cli.build.attest import ATTEST_OPTIONS, platforms_of
from rootlay.cli.registryoptions import settings_of
from rootlay.cli.spec import Context, Option, UsageError, Values

if TYPE_CHECKING:
    from rootlay.store.model.image import Image
    from rootlay.store.model.manifest import Platform
    from rootlay.store.model.progress import Progress
    from rootlay.vfs.build.context.source import SourceTree
    from rootlay.vfs.build.options.cacheplaces import CachePlace
    from rootlay.vfs.build.options.options import BuildOptions, Fetch

IMAGE_SCHEME = "docker-image://"
LAYOUT_SCHEME = "oci-layout://"
BUILD_OPTIONS = (
    Option(("--target",), "text", "Stage to build, by name or number (default: the last).", "STAGE"),
    Option(("--build-arg",), "many", "Set an ARG; NAME alone takes the value from the environment.", "NAME[=VALUE]"),
    Option(
        ("--build-context",),
        "many",
        (
            "Additional source for FROM, --from and from=: a directory, an archive, a git repository, "
            "a URL, docker-image://IMAGE or oci-layout://DIR[:TAG]."
        ),
        "NAME=SOURCE",
    ),
    Option(("--label",), "many", "Label the image.", "KEY=VALUE"),
    *ATTEST_OPTIONS,
    Option(("--pull",), "flag", "Check the registry for newer base images."),
    Option(("--no-cache",), "flag", "Do not use cached layers."),
    Option(("--no-cache-filter",), "many", "Do not use cached layers of these stages.", "STAGE"),
    Option(("--annotation",), "many", "Annotate the image's manifest.", "[manifest:]KEY=VALUE"),
    Option(
        ("--cache-from",),
        "many",
        "Import build cache from REF or type=local,src=DIR.",
        "REF|type=…",
    ),
    Option(
        ("--cache-to",),
        "many",
        ("Export build cache to type=registry,ref=REF or type=local,dest=DIR; mode=max exports all steps."),
        "type=…",
    ),
    Option(("--keep-failed",), "flag", "Keep the container of a failed RUN for inspection."),
    Option(
        ("--secret",),
        "many",
        "Secret for RUN --mount=type=secret: id=ID,src=FILE or id=ID,env=NAME.",
        "id=ID[,src=FILE|,env=NAME]",
    ),
    Option(("--ssh",), "many", "SSH agent socket for RUN --mount=type=ssh.", "default|ID[=SOCKET]"),
    Option(("--network",), "text", "Default network of RUN: `host` (default) or `none`.", "MODE"),
    Option(("--add-host",), "many", "Add a line to /etc/hosts for RUN.", "NAME:ADDRESS"),
    Option(
        ("--source-date-epoch",),
        "text",
        "Creation time of the image and upper limit for file times (default: SOURCE_DATE_EPOCH).",
        "SECONDS",
    ),
)


def to_options(
    values: Values, context: Context, trees: Mapping[str, SourceTree], images: Mapping[str, str]
) -> BuildOptions:
    """Return the library's options; `trees` and `images` are the contexts of --build-context. Raises UsageError."""
    from rootlay.vfs.build.options.options import BuildOptions

    build_args = pairs(values.many("build_arg"), context)
    network = values.text("network") or "host"
    if network not in ("host", "none", "default"):
        raise UsageError(f"--network={network}: expected host or none")
    return BuildOptions(
        tags=values.many("tag"),
        target=values.text("target") or "",
        build_args=build_args,
        labels={text.partition("=")[0]: text.partition("=")[2] for text in values.many("label")},
        platform=platforms_of(values)[0],
        no_cache=values.flag("no_cache"),
        no_cache_stages=frozenset(
            name.strip().lower() for text in values.many("no_cache_filter") for name in text.split(",")
        ),
        annotations=dict(_annotation(text) for text in values.many("annotation")),
        pull=values.flag("pull"),
        keep_failed=values.flag("keep_failed"),
        network="none" if network == "none" else "host",
        epoch_s=_epoch(values, context, build_args),
        secrets=dict(_secret(text, context) for text in values.many("secret")),
        sockets=dict(_socket(text, context) for text in values.many("ssh")),
        environment=context.environ,
        settings=settings_of(values, context),
        contexts=trees,
        images=images,
        hosts=tuple(_host(text) for text in values.many("add_host")),
        cache_from=_cache_places(values, "cache_from"),
        cache_to=_cache_places(values, "cache_to"),
        fetch=_fetch(values, context),
    )


def pairs(texts: Iterable[str], context: Context) -> dict[str, str]:
    """Parse `NAME=value`; NAME alone takes the caller's value, and is left out if the caller has none."""
    found = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if sign:
            found[name] = value
        elif name in context.environ:
            found[name] = context.environ[name]
    return found


def _epoch(values: Values, context: Context, build_args: dict[str, str]) -> int | None:
    """Return SOURCE_DATE_EPOCH: the option, the build argument, or the variable of the caller."""
    given = values.text("source_date_epoch") or build_args.get("SOURCE_DATE_EPOCH")
    epoch = given or context.environ.get("SOURCE_DATE_EPOCH")
    if not epoch:
        return None
    if not epoch.isdigit() or int(epoch) >= 1 << 33:
        raise UsageError(f"SOURCE_DATE_EPOCH={epoch}: expected seconds since 1970")
    return int(epoch)


def _cache_places(values: Values, name: str) -> tuple[CachePlace, ...]:
    """Parse --cache-from or --cache-to. Raises UsageError."""
    from rootlay.vfs.build.language.errors import BadValue
    from rootlay.vfs.build.options.cacheplaces import parse_cache_place

    try:
        return tuple(parse_cache_place(text, to=name == "cache_to") for text in values.many(name))
    except BadValue as error:
        raise UsageError(f"--{name.replace('_', '-')} {error}") from None


def _annotation(text: str) -> tuple[str, str]:
    """Parse `KEY=VALUE` or `manifest:KEY=VALUE`. Raises UsageError."""
    name, sign, given = text.partition("=")
    place, colon, key = name.rpartition(":")
    if not sign or not key:
        raise UsageError(f"--annotation {text}: expected KEY=VALUE")
    if colon and place.partition("[")[0] != "manifest":
        raise UsageError(f"--annotation {text}: only manifests can be annotated: a build makes no index; use manifest:")
    return key, given


def _host(text: str) -> tuple[str, str]:
    """Parse `NAME:ADDRESS` or `NAME=ADDRESS`, IPv6 with or without brackets, to (address, name)."""
    import ipaddress

    from rootlay.store.model.oneword import is_one_word

    name, sign, address = text.partition("=" if "=" in text else ":")
    address = address.removeprefix("[").removesuffix("]")
    try:
        ipaddress.ip_address(address)
    except ValueError:
        sign = ""
    if not sign or not is_one_word(name) or not is_one_word(address):  # the scope of an IPv6 address may be anything
        raise UsageError(f"--add-host {text}: expected NAME:ADDRESS")
    return address, name


def _secret(text: str, context: Context) -> tuple[str, bytes]:
    """Parse `id=ID,src=FILE`, `id=ID,env=NAME`, or `id=ID`: the variable of that name, else the file of that name."""
    fields = dict(field.partition("=")[::2] for field in text.split(","))
    identity = fields.get("id") or os.path.basename(fields.get("src", fields.get("source", "")))
    source = fields.get("src") or fields.get("source")
    variable = fields.get("env")
    unknown = set(fields) - {"id", "src", "source", "env", "type"}
    if unknown or not identity or fields.get("type", "file") not in ("file", "env"):
        raise UsageError(f"--secret {text}: expected id=ID,src=FILE or id=ID,env=NAME")
    if variable is None and (source is None or fields.get("type") == "env") and (source or identity) in context.environ:
        variable = source or identity
    if variable is not None:
        if variable not in context.environ:
            raise UsageError(f"--secret {text}: the variable {variable} is not set")
        return identity, os.fsencode(context.environ[variable])
    try:
        return identity, Path(source or identity).read_bytes()
    except OSError as error:
        raise UsageError(f"--secret {text}: {source or identity}: {error.strerror}") from None


def _socket(text: str, context: Context) -> tuple[str, Path]:
    """Parse `default`, `ID` (the caller's SSH_AUTH_SOCK), or `ID=SOCKET`."""
    identity, _, path = text.partition("=")
    path = path or context.environ.get("SSH_AUTH_SOCK", "")
    if not path:
        raise UsageError(f"--ssh {text}: there is no agent: SSH_AUTH_SOCK is not set")
    if not Path(path).is_socket():
        raise UsageError(f"--ssh {text}: {path} is not a socket; add private keys to an agent with ssh-add")
    return identity, Path(os.path.abspath(path))


def named_contexts(values: Values) -> dict[str, str]:
    """Return the names and sources of --build-context as given. Raises UsageError."""
    found = {}
    for text in values.many("build_context"):
        name, sign, source = text.partition("=")
        if not sign or not name or not source:
            raise UsageError(f"--build-context {text}: expected NAME=SOURCE")
        found[name.lower()] = source
    return found


def _fetch(values: Values, context: Context) -> Fetch:
    """Pull a base image that is not in the store."""

    def fetch(reference: str, platform: Platform, progress: Progress) -> Image:
        from rootlay.store.registry.pull import pull
        from rootlay.store.store import ImageStore

        store = ImageStore.open(context.root)
        return pull(store, reference, settings_of(values, context), platform=platform, progress=progress).image

    return fetch
