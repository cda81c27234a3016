"""A multi-platform image as BuildKit makes one: images for several platforms, and attestations about them."""

from __future__ import annotations

import gzip
import json
import os

from tests.support.archives.make import INDEX, MANIFEST, LayoutBuilder, make_config, make_tar
from tests.support.registry.fake import FakeRegistry

HERE = str(json.loads(make_config([]))["architecture"])
OTHER = "s390x"
IN_TOTO = "application/vnd.in-toto+json"


def several(layout: LayoutBuilder, *, pad_bytes: int = 1000, here: str = HERE) -> dict[str, object]:
    """An index of `here`, s390x and Windows, each with an attestation; its descriptor."""
    listed = []
    for architecture, system in ((here, "linux"), (OTHER, "linux"), ("amd64", "windows")):
        tar = make_tar([("arch", "f", f"{system}/{architecture}"), ("pad", "f", os.urandom(pad_bytes))])
        image = layout.manifest([tar], [gzip.compress(tar)], architecture)
        image["platform"] = {"os": system, "architecture": architecture}
        listed += [image, _attestation(layout, image)]
    return layout.index(listed)


def _attestation(layout: LayoutBuilder, about: dict[str, object]) -> dict[str, object]:
    """What `buildx build --provenance` adds (BuildKit, docs/attestations/attestation-storage.md)."""
    statement = layout.blob(json.dumps({"_type": "statement", "about": about["digest"]}).encode(), IN_TOTO)
    config = {"architecture": "unknown", "os": "unknown", "config": {},
              "rootfs": {"type": "layers", "diff_ids": [statement["digest"]]}}  # fmt: skip
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": layout.blob(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"),
        "layers": [{**statement, "annotations": {"in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2"}}],
    }
    return {
        **layout.blob(json.dumps(document).encode(), MANIFEST),
        "annotations": {"vnd.docker.reference.type": "attestation-manifest",
                        "vnd.docker.reference.digest": about["digest"]},
        "platform": {"architecture": "unknown", "os": "unknown"},
    }  # fmt: skip


def serve(fake: FakeRegistry, layout: LayoutBuilder, name: str, top: dict[str, object]) -> None:
    """Put everything of a layout, and the tag `name`, into a registry."""
    for path, data in layout.files.items():
        if path.startswith("blobs/"):
            digest = "sha256:" + path.rpartition("/")[2]
            fake.blobs[digest] = data
    index = fake.blobs[str(top["digest"])]
    for entry in json.loads(index)["manifests"]:
        fake.put(f"{name.rpartition(':')[0]}:{entry['digest']}", fake.blobs[entry["digest"]], MANIFEST)
    fake.put(name, index, INDEX)
