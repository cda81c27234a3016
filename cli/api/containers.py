"""`/containers`: lists, creation, inspection, changes and removal."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from typing import Any

from rootlay.cli.api.call import NO_CONTENT, Call, Reply
from rootlay.cli.api.errors import ApiError, bad_parameter, conflict, explain
from rootlay.cli.api.filters import fits_labels, parse_filters
from rootlay.cli.api.shapes import CREATE, UPDATE
from rootlay.store.containers.containers import Containers
from rootlay.store.containers.names import NAME_PATTERN
from rootlay.store.containers.record import ContainerRecord
from rootlay.store.containers.request import write_request
from rootlay.store.model.errors import NameInUse
from rootlay.store.model.platform import parse_platform
from rootlay.store.networks.members import rename_container
from rootlay.store.store import ImageStore
from rootlay.vfs.api.container import Container
from rootlay.vfs.containers.create import create_container
from rootlay.vfs.containers.states import State, diff_states
from rootlay.vfs.docker.containers import (
    Status,
    image_id_of,
    inspect_container,
    port_list,
    status_of,
    summarize_container,
)
from rootlay.vfs.docker.createrequest import limits_of, restart_of, translate
from rootlay.vfs.docker.times import parse_moment
from rootlay.vfs.run.removal import remove_container

_FILTERS = frozenset(
    "ancestor before expose exited health id isolation is-task label name network publish since status volume".split()
)
_STATUS = ("created", "restarting", "running", "removing", "paused", "exited", "dead")
_KINDS = {"C": 0, "A": 1, "D": 2}


def list_containers(call: Call) -> list[dict[str, Any]]:
    """GET /containers/json"""
    filters = parse_filters(call.query["filters"], _FILTERS)
    if wrong := next((text for text in filters.get("status", []) if text not in _STATUS), ""):
        raise bad_parameter(f"invalid filter 'status={wrong}'")
    limit = call.query["limit"] or 0
    everything = call.truth("all") or limit > 0 or "status" in filters or "exited" in filters
    containers = Containers(call.root)
    launched, elsewhere = containers.maybe_running()
    records = containers.iter_all() if everything else containers.iter_of(launched | elsewhere)
    found = []
    for record, status in _filtered(call, records, filters, running_only=not everything):
        found.append(summarize_container(record, sized=call.truth("size"), status=status))
        if len(found) == limit:
            break
    return found


def _filtered(
    call: Call, records: Iterator[ContainerRecord], filters: dict[str, list[str]], *, running_only: bool
) -> Iterator[tuple[ContainerRecord, Status]]:
    containers = Containers(call.root)
    before = [containers.find(name).config.created_ns for name in filters.get("before", [])]
    since = [containers.find(name).config.created_ns for name in filters.get("since", [])]
    ancestors = {_image_id(call, name) for name in filters.get("ancestor", [])}
    for record in records:
        created = record.config.created_ns
        if any(created >= limit for limit in before) or any(created <= limit for limit in since):
            continue
        if ancestors and image_id_of(record) not in ancestors:
            continue
        if _fits(record, filters) and _fits_status(status := status_of(record), filters, running_only):
            yield record, status


def _image_id(call: Call, name: str) -> str:
    try:
        return str(ImageStore.open(call.root).image(name).id)
    except LookupError:
        return name
    except Exception:
        return name


def _fits_ports(record: ContainerRecord, filters: dict[str, list[str]]) -> bool:
    """Whether a container publishes and exposes one of the ports PORT[-PORT][/PROTOCOL] of each filter."""
    names = [name for name in ("publish", "expose") if name in filters]
    wanted = {name: [_port_range(name, text) for text in filters[name]] for name in names}
    ports = port_list(record) if wanted else []
    published = [f"{port['PrivatePort']}/{port['Type']}" for port in ports if "PublicPort" in port]
    exposed = [f"{port['PrivatePort']}/{port['Type']}" for port in ports]
    return all(
        any(
            protocol == wanted_protocol and first <= int(number) <= last
            for number, _, protocol in (port.partition("/") for port in (published if name == "publish" else exposed))
            for first, last, wanted_protocol in ranges
        )
        for name, ranges in wanted.items()
    )


def _port_range(name: str, text: str) -> tuple[int, int, str]:
    numbers, _, protocol = text.partition("/")
    first, _, last = numbers.partition("-")
    try:
        return int(first), int(last or first), protocol or "tcp"
    except ValueError:
        raise bad_parameter(f"invalid filter '{name}={text}'") from None


def _fits(record: ContainerRecord, filters: dict[str, list[str]]) -> bool:
    names, ids = filters.get("name"), filters.get("id")
    if ids and not any(record.id.startswith(text) for text in ids):
        return False
    if names and not any(_matches(text, record.name) for text in names):
        return False
    if not fits_labels(record.config.labels, filters):
        return False
    networks = filters.get("network")
    if networks:
        shown = summarize_container(record)["NetworkSettings"]["Networks"]
        if not any(
            text in shown or any(each["NetworkID"].startswith(text) for each in shown.values()) for text in networks
        ):
            return False
    if not _fits_ports(record, filters) or "true" in filters.get("is-task", []):
        return False
    if any(text != "default" for text in filters.get("isolation", [])):
        return False
    volumes = filters.get("volume")
    if volumes:
        mounts = summarize_container(record)["Mounts"]
        return any(text in (mount.get("Name"), mount["Destination"]) for text in volumes for mount in mounts)
    return True


def _matches(pattern: str, name: str) -> bool:
    try:
        return re.search(pattern, name) is not None or re.search(pattern, f"/{name}") is not None
    except re.error:
        raise bad_parameter(f"invalid filter 'name': {pattern}") from None


def _fits_status(status: Status, filters: dict[str, list[str]], running_only: bool) -> bool:
    wanted, exits, health = filters.get("status"), filters.get("exited"), filters.get("health")
    if running_only and not status.running:
        return False
    if wanted and status.kind not in wanted:
        return False
    if health and status.health not in health:
        return False
    return not exits or (status.kind == "exited" and str(status.exit_code) in exits)


def create(call: Call) -> Reply:
    """POST /containers/create"""
    body = call.exchange.json(CREATE)
    name = call.text("name").removeprefix("/")
    if name and not NAME_PATTERN.fullmatch(name):
        raise bad_parameter(f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
    reference = body.get("Image")
    if not reference or not isinstance(reference, str):
        raise bad_parameter("no command specified" if reference is None else "invalid reference format")
    platform = parse_platform(call.text("platform")) if call.text("platform") else None
    image = ImageStore.open(call.root).image(reference, platform)
    wanted = translate(call.root, body, image, name, platform)
    with _whole_ids(call):
        record = create_container(call.root, wanted.options, call.context.environ)
    try:
        write_request(record, wanted.request)
    except BaseException:
        remove_container(record, force=True)
        raise
    return Reply(201, {"Id": record.id, "Warnings": []})


@contextlib.contextmanager
def _whole_ids(call: Call) -> Iterator[None]:
    """Name the container that has a name by its whole ID, as clients expect it."""
    try:
        yield
    except NameInUse as error:
        raise NameInUse(error.name, Containers(call.root).find(error.name).id) from None


def inspect(call: Call) -> dict[str, Any]:
    """GET /containers/{id}/json"""
    record = call.container()
    return inspect_container(record, sized=call.truth("size"))


def list_changes(call: Call) -> list[dict[str, Any]]:
    """GET /containers/{id}/changes"""
    record = call.container()
    changes = diff_states(record.root, State(record, base=True), State(record))
    return [{"Path": os.fsdecode(change.path.raw), "Kind": _KINDS[change.kind]} for change in changes]


def export(call: Call) -> None:
    """GET /containers/{id}/export"""
    with Container(call.container()) as container, call.exchange.stream("application/x-tar") as body:
        container.export(body)  # type: ignore[arg-type]  # it only writes


def rename(call: Call) -> Reply:
    """POST /containers/{id}/rename"""
    record, name = call.container(), call.text("name").removeprefix("/")
    if not name:
        raise bad_parameter("Neither old nor new names may be empty")
    if name == record.name:
        raise bad_parameter(f"Renaming a container with the same name as its current name: /{name}")
    allocating = "Error when allocating new name: "
    if not NAME_PATTERN.fullmatch(name):
        reason = f"Invalid container name (/{name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        raise bad_parameter(allocating + reason)
    try:
        with _whole_ids(call):
            rename_container(record, name)
    except NameInUse as error:
        raise conflict(allocating + explain(error)[1]) from None
    return NO_CONTENT


def update(call: Call) -> dict[str, Any]:
    """POST /containers/{id}/update"""
    from rootlay.vfs.lifecycle.update import update_container

    body = call.exchange.json(UPDATE)
    limits, restart = limits_of(body), restart_of(body)
    _, later = update_container(call.container(), limits=limits, restart=restart)
    return {"Warnings": [f"{name} holds from the next start on" for name in later] or None}


def remove(call: Call) -> Reply:
    """DELETE /containers/{id}"""
    if call.truth("link"):
        raise bad_parameter("rootlay has no links between containers to remove")
    record = call.container()
    if not call.truth("force") and status_of(record).running:
        raise conflict(
            f'cannot remove container "/{record.name}": container is running: stop the container before removing or '
            "force remove"
        )
    remove_container(record, force=call.truth("force"), volumes=call.truth("v"))
    return NO_CONTENT


def prune(call: Call) -> dict[str, Any]:
    """POST /containers/prune"""
    filters = parse_filters(call.query["filters"], frozenset({"until", "label", "label!"}))
    until = min((parse_moment(text) for text in filters.get("until", [])), default=0)
    removed, freed = [], 0
    for record in list(Containers(call.root).iter_all()):
        if until and record.config.created_ns > until:
            continue
        if not fits_labels(record.config.labels, filters) or status_of(record).running:
            continue
        try:
            freed += remove_container(record)
        except (ApiError, OSError, RuntimeError):
            continue
        removed.append(record.id)
    return {"ContainersDeleted": removed or None, "SpaceReclaimed": freed}
