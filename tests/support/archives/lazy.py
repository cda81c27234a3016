"""Images with tables of contents in a registry: eStargz by our own writer, zstd:chunked by skopeo."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.support.archives.estargz import make_estargz
from tests.support.archives.make import MANIFEST, LayoutBuilder, docker_archive, make_config
from tests.support.registry.real import need

KINDS = ["estargz", "zstd:chunked"]
_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"


def publish(kind: str, tars: list[bytes], place: str, scratch: Path, chunk_bytes: int = 64 << 10) -> None:
    """Push an image of these layers to `place` (HOST/NAME:TAG), compressed as `kind` has it."""
    scratch.mkdir(exist_ok=True)
    if kind == "estargz":
        layout = estargz_layout(tars, chunk_bytes)
        copy(scratch, f"oci:{layout.write(scratch / 'layout')}:app:1", f"docker://{place}")
    else:
        (scratch / "plain.tar").write_bytes(docker_archive([(tars, ["app:1"])]))
        copy(scratch, f"docker-archive:{scratch}/plain.tar", f"docker://{place}", "--dest-compress-format", kind)


def estargz_layout(tars: list[bytes], chunk_bytes: int = 64 << 10) -> LayoutBuilder:
    """An OCI layout of an image `app:1` of eStargz layers."""
    layout = LayoutBuilder()
    made = [make_estargz(tar, chunk_bytes) for tar in tars]
    config = layout.blob(make_config([one.tar for one in made]), "application/vnd.oci.image.config.v1+json")
    layers = [{**layout.blob(one.blob, _GZIP), "annotations": one.annotations} for one in made]
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}
    layout.name(layout.blob(json.dumps(document).encode(), MANIFEST), "app:1")
    return layout


def copy(scratch: Path, source: str, target: str, *words: str) -> None:
    """skopeo copy."""
    command = [need("skopeo"), "--insecure-policy", "--tmpdir", str(scratch), "copy", "-q", "--dest-tls-verify=false"]
    done = subprocess.run([*command, *words, source, target], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
