"""`/volumes`: named volumes (rootlay.store.volumes)."""

from __future__ import annotations

from typing import Any

from rootlay.cli.api.call import NO_CONTENT, Call, Reply
from rootlay.cli.api.errors import ApiError, not_implemented
from rootlay.cli.api.filters import fits_labels, parse_filters, truth
from rootlay.cli.api.shapes import VOLUME
from rootlay.store.disk.removetree import remove_tree
from rootlay.store.disk.walktree import content_bytes
from rootlay.store.volumes.volumes import DATA, BadVolumeName, UnknownVolume, Volume, VolumeInUse, Volumes
from rootlay.vfs.docker.times import rfc3339_nano


def to_json(volume: Volume) -> dict[str, Any]:
    """Return Docker's form."""
    return {
        "CreatedAt": rfc3339_nano(volume.created_ns // 10**9 * 10**9),
        "Driver": "local",
        "Labels": dict(volume.labels) or None,
        "Mountpoint": str(volume.path),
        "Name": volume.name,
        "Options": dict(volume.options) or None,
        "Scope": "local",
    }


def list_volumes(call: Call) -> dict[str, Any]:
    """GET /volumes"""
    filters = parse_filters(call.query["filters"], frozenset("dangling driver label label! name".split()))
    volumes = Volumes(call.root)
    dangling = truth(filters, "dangling", default=False)
    users = volumes.users() if "dangling" in filters else {}
    found = [
        volume
        for volume in volumes.iter_all()
        if fits_labels(volume.labels, filters)
        and ("name" not in filters or any(text in volume.name for text in filters["name"]))
        and ("driver" not in filters or "local" in filters["driver"])
        and ("dangling" not in filters or (volume.name not in users) == dangling)
    ]
    return {"Volumes": [to_json(volume) for volume in found], "Warnings": None}


def create(call: Call) -> Reply:
    """POST /volumes/create"""
    body = call.exchange.json(VOLUME)
    if body.get("Driver") not in (None, "", "local", "default"):
        name, driver = body.get("Name") or "", body["Driver"]
        raise ApiError(404, f'create {name}: error looking up volume plugin {driver}: plugin "{driver}" not found')
    try:
        volume = Volumes(call.root).create(body.get("Name") or "", body.get("Labels"), body.get("DriverOpts"))
    except BadVolumeName as error:
        if len(error.name) < 2:
            reason = "volume name is too short, names should be at least two alphanumeric characters"
            raise ApiError(400, f"create {error.name}: {reason}") from None
        raise ApiError(400, str(error)) from None
    return Reply(201, to_json(volume))


def _find(call: Call) -> Volume:
    try:
        return Volumes(call.root).find(call.names["name"])
    except UnknownVolume as error:
        raise ApiError(404, f"get {error.name}: no such volume") from None


def inspect(call: Call) -> dict[str, Any]:
    """GET /volumes/{name}"""
    return to_json(_find(call))


def update(call: Call) -> Reply:
    """PUT /volumes/{name}: only cluster volumes can be changed, and they are swarm's."""
    raise not_implemented("only cluster volumes can be updated, and rootlay has no swarm")


def remove(call: Call) -> Reply:
    """DELETE /volumes/{name}"""
    try:
        volume = _find(call)
        remove_tree(Volumes(call.root).remove(volume.name))
    except VolumeInUse as error:
        raise ApiError(409, f"remove {error.name}: volume is in use - [{', '.join(error.containers)}]") from None
    except ApiError:
        if not call.truth("force"):
            raise
    return NO_CONTENT


def prune(call: Call) -> dict[str, Any]:
    """POST /volumes/prune"""
    filters = parse_filters(call.query["filters"], frozenset({"all", "label", "label!"}))
    volumes = Volumes(call.root)
    everything = call.version < (1, 42) or truth(filters, "all", default=False)
    names = [
        volume.name
        for volume in volumes.iter_all()
        if (everything or volume.is_anonymous) and fits_labels(volume.labels, filters)
    ]
    removed, freed = [], 0
    for name in names:
        for trash in volumes.remove_unused((name,)):
            freed += content_bytes(trash / DATA)
            remove_tree(trash)
            removed.append(name)
    return {"VolumesDeleted": removed, "SpaceReclaimed": freed}
