"""A bill of materials of an image as an SPDX 2.3 document, by SPDX's own library (extra `rootlay[sbom]`, ADR 31)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from rootlay.store.model.errors import RootlayError
from rootlay.store.model.image import Image
from rootlay.vfs.build.attest.packages import Package, distribution_of, list_packages
from rootlay.vfs.overlay.overlay import Overlay

PREDICATE_TYPE = "https://spdx.dev/Document"
_SPACE = "https://rootlay.invalid/sbom"


class SbomNeedsLibrary(RootlayError):
    """The library that writes SPDX documents is not installed."""

    def __init__(self) -> None:
        super().__init__("--sbom needs the library spdx-tools: install it with `pip install 'rootlay[sbom]'`")


def check_library() -> None:
    """Raise SbomNeedsLibrary if the library is missing: before a build, not after it."""
    try:
        import spdx_tools.spdx.model
    except ImportError as error:
        raise SbomNeedsLibrary from error
    del spdx_tools


def document(tree: Overlay, image: Image, name: str, epoch_s: int | None = None) -> dict[str, Any]:
    """Return the SPDX document of an image, in its JSON form.

    Args:
        tree: the image's files.
        name: of the image.
        epoch_s: SOURCE_DATE_EPOCH, its time in seconds; None: now.
    """
    from spdx_tools.spdx import model
    from spdx_tools.spdx.jsonschema.document_converter import DocumentConverter

    distribution, release = distribution_of(tree)
    made = datetime.now(UTC) if epoch_s is None else datetime.fromtimestamp(epoch_s, UTC)
    info = model.CreationInfo(
        spdx_version="SPDX-2.3",
        spdx_id="SPDXRef-DOCUMENT",
        name=name,
        document_namespace=f"{_SPACE}/{image.manifest_digest.hex}",
        creators=[model.Actor(model.ActorType.TOOL, "rootlay")],
        created=made.replace(tzinfo=None, microsecond=0),
        data_license="CC0-1.0",
    )
    top = model.Package(
        spdx_id="SPDXRef-Image",
        name=name,
        download_location=model.SpdxNoAssertion(),
        files_analyzed=False,
        version=str(image.manifest_digest),
        primary_package_purpose=model.PackagePurpose.CONTAINER,
        comment=f"{distribution} {release}".strip() or None,
    )
    packages = [_package(number, each, distribution) for number, each in enumerate(list_packages(tree))]
    kinds = model.RelationshipType
    relations = [
        model.Relationship("SPDXRef-DOCUMENT", kinds.DESCRIBES, top.spdx_id),
        *(model.Relationship(top.spdx_id, kinds.CONTAINS, each.spdx_id) for each in packages),
    ]
    found: dict[str, Any] = DocumentConverter().convert(
        model.Document(info, packages=[top, *packages], relationships=relations)
    )
    return found


def _package(number: int, found: Package, distribution: str) -> Any:
    from spdx_tools.spdx import model

    url = model.ExternalPackageRef(model.ExternalPackageRefCategory.PACKAGE_MANAGER, "purl", found.url(distribution))
    return model.Package(
        spdx_id=f"SPDXRef-Package-{number}",
        name=found.name,
        version=found.version,
        download_location=model.SpdxNoAssertion(),
        files_analyzed=False,
        source_info=f"acquired package info from {found.source}",
        license_comment=f"declared: {found.license}" if found.license else None,
        external_references=[url],
    )
