"""The options of `build` for attestations and for several platforms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rootlay.cli.spec import Option, UsageError, Values

if TYPE_CHECKING:
    from rootlay.store.model.manifest import Platform
    from rootlay.vfs.build.attest.request import Attestations

ATTEST_OPTIONS = (
    Option(
        ("--platform",),
        "text",
        "Platform of the image, e.g. linux/arm64; several make a multi-platform image (default: this machine's).",
        "OS/ARCH[,…]",
    ),
    Option(("--attest",), "many", "Attestation: type=provenance or type=sbom, with attributes.", "type=…"),
    Option(("--provenance",), "text", "Provenance attestation: true, false, mode=min or mode=max.", "VALUE"),
    Option(("--sbom",), "text", "SBOM attestation (SPDX): true or false.", "VALUE"),
)


def attestations_of(values: Values) -> Attestations | None:
    """Return the attestations to make; None without any of the options. Raises UsageError."""
    kinds = ("provenance", "sbom")
    if not values.many("attest") and all(values.text(kind) is None for kind in kinds):
        return None
    from rootlay.vfs.build.attest.request import attest_text, parse_attestations
    from rootlay.vfs.build.language.errors import BadValue

    texts = [*values.many("attest")]
    texts += [attest_text(kind, values.required(kind)) for kind in kinds if values.text(kind) is not None]
    try:
        return parse_attestations(texts)
    except BadValue as error:
        raise UsageError(f"--attest {error}") from None


def platforms_of(values: Values) -> list[Platform]:
    """Return the platforms of --platform, each once; this machine's without it. Raises UsageError."""
    from rootlay.store.model.platform import host_platform, parse_platform

    given = values.text("platform")
    texts = [] if given is None else [text.strip() for text in given.split(",")]
    for text in texts:
        if text.count("/") not in (1, 2) or not all(text.split("/")):
            raise UsageError(f"--platform {text}: expected OS/ARCH or OS/ARCH/VARIANT, such as linux/arm64")
    return [parse_platform(text) for text in dict.fromkeys(texts)] or [host_platform()]
