"""The meaning of `--attest`, `--provenance` and `--sbom`.

Source: docs.docker.com/build/metadata/attestations.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, cast

from rootlay.store.model.value import replace, value
from rootlay.vfs.build.language.errors import BadValue
from rootlay.vfs.build.options.csvoptions import parse_attributes, truth

Mode = Literal["min", "max"]
Version = Literal["v0.2", "v1"]
_OF_PROVENANCE = ("type", "mode", "version", "builder-id", "reproducible", "disabled", "inline-only")
_OF_SBOM = ("type", "generator", "disabled")


@value
class Provenance:
    """How much provenance states.

    Args:
        mode: `min` leaves out build arguments and labels, which may be secrets, and the Dockerfile.
        version: of the SLSA predicate.
        builder_id: a URI of the machine that builds; empty: not stated.
        reproducible: the claim of the user that another build gives the same image.
    """

    mode: Mode = "min"
    version: Version = "v0.2"
    builder_id: str = ""
    reproducible: bool = False


@value
class Attestations:
    """The attestations that a build makes."""

    provenance: Provenance | None = None
    sbom: bool = False

    def __bool__(self) -> bool:
        """Whether there are any."""
        return self.provenance is not None or self.sbom


def parse_attestations(texts: Iterable[str]) -> Attestations:
    """Parse the values of `--attest`, later ones win. Raises BadValue."""
    found = Attestations()
    for text in texts:
        kind = parse_attributes(text, {*_OF_PROVENANCE, *_OF_SBOM}).get("type", "")
        if kind == "sbom":
            found = replace(found, sbom=_parse_sbom(text))
        elif kind == "provenance":
            found = replace(found, provenance=_parse_provenance(text))
        else:
            raise BadValue(f"{text}: expected type=provenance or type=sbom")
    return found


def attest_text(kind: str, text: str) -> str:
    """Return the value of `--provenance` or `--sbom` as one of `--attest`: `true`, `false` or attributes."""
    if text.lower() in ("true", "1", ""):
        return f"type={kind}"
    if text.lower() in ("false", "0"):
        return f"type={kind},disabled=true"
    return f"type={kind},{text}"


def _parse_sbom(text: str) -> bool:
    found = parse_attributes(text, _OF_SBOM)
    if found.get("generator"):
        raise BadValue(f"{text}: there is one generator, which needs no image; leave generator out")
    return not truth(text, found.get("disabled", "false"))


def _parse_provenance(text: str) -> Provenance | None:
    found = parse_attributes(text, _OF_PROVENANCE)
    mode = "max" if found.get("mode") == "full" else found.get("mode", "min")
    version = found.get("version", "v0.2")
    if mode not in ("min", "max"):
        raise BadValue(f"{text}: expected mode=min or mode=max")
    if version not in ("v0.2", "v1"):
        raise BadValue(f"{text}: expected version=v0.2 or version=v1")
    if truth(text, found.get("disabled", "false")):
        return None
    reproducible = truth(text, found.get("reproducible", "false"))
    return Provenance(cast(Mode, mode), cast(Version, version), found.get("builder-id", ""), reproducible)
