"""`/images`: lists, inspection, names and removal; and `/commit`."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from typing import Any

from rootlay.cli.api.call import Call, Reply
from rootlay.cli.api.errors import ApiError, bad_parameter
from rootlay.cli.api.filters import fits_labels, parse_filters, truth
from rootlay.cli.api.shapes import CREATE
from rootlay.store.containers.containers import Containers
from rootlay.store.containers.record import ContainerRecord
from rootlay.store.model.digest import Digest
from rootlay.store.model.errors import UnknownImage
from rootlay.store.model.image import Image
from rootlay.store.model.imageconfig import RunConfig
from rootlay.store.model.platform import parse_platform
from rootlay.store.model.reference import Reference
from rootlay.store.store import ImageStore
from rootlay.vfs.docker.containers import image_id_of, status_of
from rootlay.vfs.docker.images import history_of, inspect_image, repo_tags, summarize_images
from rootlay.vfs.docker.times import epoch_of, parse_moment

_FILTERS = frozenset("before dangling label label! reference since until".split())


def list_images(call: Call) -> list[dict[str, Any]]:
    """GET /images/json"""
    filters = parse_filters(call.query["filters"], _FILTERS)
    if call.text("filter"):
        filters.setdefault("reference", []).append(call.text("filter"))
    store = ImageStore.open(call.root)
    before = [epoch_of(store.image(name).created) for name in filters.get("before", [])]
    since = [epoch_of(store.image(name).created) for name in filters.get("since", [])]
    until = [parse_moment(text) // 10**9 for text in filters.get("until", [])]
    dangling = truth(filters, "dangling", default=False)
    found = []
    for image in summarize_images(store):
        made = image["Created"]
        if any(made >= limit for limit in (*before, *until)) or any(made <= limit for limit in since):
            continue
        if "dangling" in filters and bool(image["RepoTags"]) == dangling:
            continue
        if not fits_labels(image["Labels"] or {}, filters):
            continue
        if patterns := filters.get("reference"):
            image["RepoTags"] = [tag for tag in image["RepoTags"] if any(_fits(tag, text) for text in patterns)]
            if not image["RepoTags"]:
                continue
            names = {tag.rpartition(":")[0] for tag in image["RepoTags"]}
            image["RepoDigests"] = [text for text in image["RepoDigests"] or () if text.partition("@")[0] in names]
        found.append(image)
    return found


def _fits(tag: str, pattern: str) -> bool:
    """Return whether a name fits `debian`, `debian:*`, or `host/*/name`."""
    name = tag.rpartition(":")[0]
    return fnmatch.fnmatchcase(tag, pattern) or fnmatch.fnmatchcase(name, pattern)


def image_of(call: Call) -> Image:
    """Return the image of the path. Raises UnknownImage, AmbiguousImage, BadReference, WrongPlatform."""
    text = call.query.get("platform") or ""
    platform = parse_platform(platform_text(text)) if text else None
    return ImageStore.open(call.root).image(call.names["name"], platform)


def platform_text(text: str) -> str:
    """Return `linux/arm64` of a platform that is given in this form, or as JSON."""
    if not text.startswith("{"):
        return text
    import json

    found = json.loads(text)
    return "/".join(part for part in (found.get("os"), found.get("architecture"), found.get("variant")) if part)


def inspect(call: Call) -> dict[str, Any]:
    """GET /images/{name}/json"""
    return inspect_image(image_of(call))


def history(call: Call) -> list[dict[str, Any]]:
    """GET /images/{name}/history"""
    return history_of(image_of(call))


def tag(call: Call) -> Reply:
    """POST /images/{name}/tag"""
    repository, name = call.text("repo"), call.text("tag")
    if not repository:
        raise bad_parameter("repository name must not be empty")
    target = f"{repository}:{name}" if name else repository
    if "@" in target:
        raise bad_parameter("refusing to create a tag with a digest reference")
    ImageStore.open(call.root).tag(image_of(call), target)
    return Reply(201)


def _needed(store: ImageStore) -> Callable[[], set[Digest]]:
    """Return the question for the blobs that something else needs; what answers it is not for lists."""

    def ask() -> set[Digest]:
        from rootlay.vfs.build.cache.gcroots import needed

        return needed(store)

    return ask


def remove(call: Call) -> list[dict[str, str]]:
    """DELETE /images/{name}"""
    name, force = call.names["name"], call.truth("force")
    store = ImageStore.open(call.root)
    image = store.image(name)
    by_id = not _is_name(image, name)
    if not force and (by_id or len(repo_tags(image.references)) <= 1):
        for record in Containers(call.root).iter_all():
            if image_id_of(record) == str(image.id):
                raise ApiError(409, _conflict(record, image, name, by_id=by_id))
    removed = store.remove(name, force=force, in_use=_needed(store))
    return [{"Untagged": text} for text in removed.untagged] + [{"Deleted": str(each)} for each in removed.deleted]


def _conflict(record: ContainerRecord, image: Image, name: str, *, by_id: bool) -> str:
    """Return Docker's text for an image that a container uses."""
    identity = image.id.hex[:12]
    if not by_id:
        return (
            f'conflict: unable to remove repository reference "{name}" (must force) - container {record.id[:12]} is '
            f"using its referenced image {identity}"
        )
    how, kind = ("cannot be forced", "running") if status_of(record).running else ("must be forced", "stopped")
    return f"conflict: unable to delete {identity} ({how}) - image is being used by {kind} container {record.id[:12]}"


def _is_name(image: Image, text: str) -> bool:
    try:
        return Reference.parse(text).familiar in image.references
    except Exception:
        return False


def prune(call: Call) -> dict[str, Any]:
    """POST /images/prune"""
    filters = parse_filters(call.query["filters"], frozenset({"dangling", "until", "label", "label!"}))
    dangling = truth(filters, "dangling", default=True)
    limit = min((parse_moment(text) // 10**9 for text in filters.get("until", [])), default=0)
    store = ImageStore.open(call.root)
    used = {image_id_of(record) for record in Containers(call.root).iter_all()}
    lines: list[dict[str, str]] = []
    freed = 0
    for image in list(summarize_images(store)):
        if (dangling and image["RepoTags"]) or image["Id"] in used or (limit and image["Created"] > limit):
            continue
        if not fits_labels(image["Labels"] or {}, filters):
            continue
        try:
            removed = store.remove(image["Id"], force=True, in_use=_needed(store))
        except UnknownImage:
            continue
        freed += removed.freed_bytes
        lines += [{"Untagged": text} for text in removed.untagged]
        lines += [{"Deleted": str(each)} for each in removed.deleted]
    return {"ImagesDeleted": lines or None, "SpaceReclaimed": freed}


def commit(call: Call) -> Reply:
    """POST /commit"""
    body = call.exchange.json(CREATE)
    from rootlay.store.model.configmerge import merge_config  # not for lists
    from rootlay.vfs.build.result.changes import apply_changes
    from rootlay.vfs.changes.commit import commit_container
    from rootlay.vfs.docker.createrequest import image_config_of
    from rootlay.vfs.overlay.containerstack import open_overlay

    record = Containers(call.root).find(call.text("container"))
    repository, name = call.text("repo"), call.text("tag")
    target = f"{repository}:{name}" if repository and name else repository

    def change(config: RunConfig) -> RunConfig:
        return apply_changes(merge_config(image_config_of(body), config), filter(str.strip, call.query["changes"]))

    with open_overlay(record) as overlay:
        made = commit_container(
            record, overlay, target, message=call.text("comment"), author=call.text("author"), change=change
        )  # fmt: skip
    return Reply(201, {"Id": str(made.id)})
