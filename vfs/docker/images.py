"""Images in Docker's JSON: ImageInspect, ImageSummary and the history of the Engine API 1.47."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from rootlay.store.model.errors import CorruptStore, RootlayError
from rootlay.store.model.image import Image, ImageRecord
from rootlay.store.model.progress import unheard
from rootlay.store.model.reference import Reference
from rootlay.store.store import ImageStore
from rootlay.vfs.docker.times import epoch_of
from rootlay.vfs.docker.versions import ENGINE_VERSION

_EMPTY_CONFIG: dict[str, Any] = {
    "Hostname": "", "Domainname": "", "User": "", "AttachStdin": False, "AttachStdout": False, "AttachStderr": False,
    "Tty": False, "OpenStdin": False, "StdinOnce": False, "Env": None, "Cmd": None, "Image": "", "Volumes": None,
    "WorkingDir": "", "Entrypoint": None, "OnBuild": None, "Labels": None,
}  # fmt: skip


def image_config(image: Image) -> dict[str, Any]:
    """Return Docker's Config of an image."""
    return {**_EMPTY_CONFIG, **image.config.config.to_json()}


def repo_tags(references: Iterable[str]) -> list[str]:
    """Return the names with a tag."""
    return [reference for reference in references if "@" not in reference]


def repo_digests(references: Iterable[str], digest: object) -> list[str]:
    """Return `NAME@DIGEST` for the repository of each name."""
    names = dict.fromkeys(Reference.parse(reference).familiar_name for reference in references)
    return [f"{name}@{digest}" for name in names]


def inspect_image(image: Image) -> dict[str, Any]:
    """Return the JSON of `docker image inspect`."""
    config = image.config
    last = config.history[-1] if config.history else None
    return {
        "Id": str(image.id),
        "RepoTags": repo_tags(image.references),
        "RepoDigests": repo_digests(image.references, image.entry.digest),
        "Parent": "",
        "Comment": last.comment if last else "",
        "Created": config.created or None,
        "DockerVersion": ENGINE_VERSION,
        "Author": config.author,
        "Config": image_config(image),
        "Architecture": config.architecture,
        **({"Variant": config.variant} if config.variant else {}),
        "Os": config.os,
        "Size": image.size,
        "GraphDriver": {"Data": None, "Name": "rootlay"},
        "RootFS": {"Type": "layers", **({"Layers": [str(each) for each in image.diff_ids]} if image.diff_ids else {})},
        "Metadata": {"LastTagTime": "0001-01-01T00:00:00Z"},
        "Descriptor": image.entry.to_json(),
    }


def summarize_images(store: ImageStore) -> Iterator[dict[str, Any]]:
    """Yield the entries of `docker image ls`, one for each image, newest first."""
    by_image: dict[tuple[str, str], list[ImageRecord]] = {}
    for record in store.images(unheard):
        by_image.setdefault((str(record.id), str(record.manifest_digest)), []).append(record)
    for (identity, digest), records in by_image.items():
        references = [record.reference for record in records if record.reference]
        yield {
            "Id": identity,
            "ParentId": "",
            "RepoTags": repo_tags(references),
            "RepoDigests": repo_digests(references, digest),
            "Created": epoch_of(records[0].created),
            "Size": records[0].size,
            "SharedSize": -1,
            "Labels": _labels(store, digest),
            "Containers": -1,
        }


def _labels(store: ImageStore, digest: str) -> dict[str, str] | None:
    try:
        return dict(store.image(digest).config.config.labels) or None
    except (RootlayError, CorruptStore):
        return None


def history_of(image: Image) -> list[dict[str, Any]]:
    """Return the JSON of `docker history`, newest step first."""
    layers = [layer.size for layer in image.manifest.layers]
    steps = list(image.config.history)
    found: list[dict[str, Any]] = [
        {
            "Id": "<missing>",
            "Created": epoch_of(step.created),
            "CreatedBy": step.created_by,
            "Tags": None,
            "Size": 0 if step.empty_layer or not layers else layers.pop(0),
            "Comment": step.comment,
        }
        for step in steps
    ]
    found += [
        {"Id": "<missing>", "Created": 0, "CreatedBy": "", "Tags": None, "Size": size, "Comment": ""} for size in layers
    ]
    found.reverse()
    if found:
        found[0] |= {"Id": str(image.id), "Tags": repo_tags(image.references) or None}
    return found
