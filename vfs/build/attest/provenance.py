"""SLSA provenance: what an image was built from, and how.

BuildKit's build type and field names, so that tools that read its provenance read this one. BuildKit's build graph
(`buildConfig.llbDefinition`) is left out: there is none here. `mode=max` has the Dockerfile and the layers.

Source: slsa.dev/provenance/v0.2, slsa.dev/provenance/v1, and BuildKit's documentation, "SLSA provenance".
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from rootlay.store.model.digest import Digest
from rootlay.store.model.image import Image
from rootlay.store.model.manifest import Platform
from rootlay.store.model.reference import Reference
from rootlay.store.model.value import value
from rootlay.vfs.build.attest.request import Provenance

PREDICATE_TYPES = {"v0.2": "https://slsa.dev/provenance/v0.2", "v1": "https://slsa.dev/provenance/v1"}
_BUILD_TYPE = "https://mobyproject.org/buildkit@v1"
_BUILD_TYPE_V1 = "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md"
_METADATA = f"{_BUILD_TYPE}#metadata"
_FRONTEND = "dockerfile.v0"
_PRIVATE = ("build-arg:", "label:")


@value
class BuildFacts:
    """What a build was made from.

    Args:
        file, text: name and content of the Dockerfile.
        remote: the URL of the context; empty for one of this machine.
        arguments: options of the build in BuildKit's names (`build-arg:NAME`, `label:KEY`, `target`).
        secrets, agents: IDs of --secret and --ssh.
        bases: base images: reference, platform, digest.
        started, finished: RFC 3339.
        invocation: a name of this build that no other has.
    """

    file: str
    text: bytes
    remote: str
    arguments: Mapping[str, str]
    secrets: tuple[str, ...]
    agents: tuple[str, ...]
    bases: tuple[tuple[str, str, Digest], ...]
    started: str
    finished: str
    invocation: str


def image_url(reference: str, platform: Platform | str) -> str:
    """Return the package URL of an image (purl, type docker), as BuildKit writes it."""
    name = Reference.parse(reference)
    version = f"@{quote(name.tag, safe='')}" if name.tag is not None else ""
    digest = f"digest={name.digest}&" if name.digest is not None else ""
    return (
        f"pkg:docker/{quote(name.familiar_name, safe='/:')}{version}?{digest}platform={quote(str(platform), safe='')}"
    )


def predicate(facts: BuildFacts, image: Image, wanted: Provenance) -> dict[str, Any]:
    """Return the predicate of one image of a build."""
    return (_slsa1 if wanted.version == "v1" else _slsa02)(facts, image, wanted)


def _parameters(facts: BuildFacts, wanted: Provenance) -> tuple[dict[str, Any], bool]:
    """Return the parameters, and whether they are complete."""
    kept = dict(facts.arguments)
    if wanted.mode == "min":
        kept = {key: text for key, text in kept.items() if not key.startswith(_PRIVATE)}
    found: dict[str, Any] = {"frontend": _FRONTEND}
    if kept:
        found["args"] = kept
    if wanted.mode == "max":
        for key, names in (("secrets", facts.secrets), ("ssh", facts.agents)):
            if names:
                found[key] = [{"id": name} for name in names]
    if not facts.remote:
        found["locals"] = [{"name": "context"}, {"name": "dockerfile"}]
    whole = len(kept) == len(facts.arguments) and (wanted.mode == "max" or not (facts.secrets or facts.agents))
    return found, whole


def _source(facts: BuildFacts, name: str) -> dict[str, str]:
    return {**({"uri": facts.remote} if facts.remote else {}), name: facts.file}


def _materials(facts: BuildFacts) -> list[dict[str, Any]]:
    return [
        {"uri": image_url(reference, platform), "digest": {digest.algorithm: digest.hex}}
        for reference, platform, digest in facts.bases
    ]


def _details(facts: BuildFacts, image: Image, wanted: Provenance) -> dict[str, Any]:
    """Return BuildKit's own metadata: the Dockerfile and the layers."""
    if wanted.mode == "min":
        return {}
    text = base64.b64encode(facts.text).decode("ascii")
    layers = [
        {"mediaType": layer.media_type, "digest": str(layer.digest), "size": layer.size}
        for layer in image.manifest.layers
    ]
    source = {"infos": [{"filename": facts.file, "language": "Dockerfile", "data": text}]}
    return {"source": source, **({"layers": {"step0:0": [layers]}} if layers else {})}


def _slsa02(facts: BuildFacts, image: Image, wanted: Provenance) -> dict[str, Any]:
    parameters, whole = _parameters(facts, wanted)
    materials = _materials(facts)
    return {
        "builder": {"id": wanted.builder_id},
        "buildType": _BUILD_TYPE,
        **({"materials": materials} if materials else {}),
        "invocation": {
            "configSource": _source(facts, "entryPoint"),
            "parameters": parameters,
            "environment": {"platform": str(image.config.platform)},
        },
        "metadata": {
            "buildInvocationID": facts.invocation,
            "buildStartedOn": facts.started,
            "buildFinishedOn": facts.finished,
            "completeness": {"parameters": whole, "environment": True, "materials": False},
            "reproducible": wanted.reproducible,
            _METADATA: _details(facts, image, wanted),
        },
    }


def _slsa1(facts: BuildFacts, image: Image, wanted: Provenance) -> dict[str, Any]:
    request, whole = _parameters(facts, wanted)
    materials = _materials(facts)
    return {
        "buildDefinition": {
            "buildType": _BUILD_TYPE_V1,
            "externalParameters": {"configSource": _source(facts, "path"), "request": request},
            "internalParameters": {"builderPlatform": str(image.config.platform)},
            **({"resolvedDependencies": materials} if materials else {}),
        },
        "runDetails": {
            "builder": {"id": wanted.builder_id},
            "metadata": {
                "invocationID": facts.invocation,
                "startedOn": facts.started,
                "finishedOn": facts.finished,
                "buildkit_metadata": _details(facts, image, wanted),
                "buildkit_completeness": {"request": whole, "resolvedDependencies": False},
                "buildkit_reproducible": wanted.reproducible,
            },
        },
    }
