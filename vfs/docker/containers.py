"""Containers in Docker's JSON: ContainerInspectResponse and ContainerSummary of the Engine API 1.47."""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path
from typing import Any

from rootlay.store.containers.command import split_command
from rootlay.store.containers.record import CONFIG_COPY, MANIFEST_COPY, Bind, ContainerRecord, ContainerState
from rootlay.store.containers.request import Request, networks_of, read_request
from rootlay.store.disk.smallfile import read_small
from rootlay.store.disk.walktree import content_bytes
from rootlay.store.model.errors import RootlayError
from rootlay.store.model.manifest import Manifest
from rootlay.store.model.value import replace, value
from rootlay.store.networks.networks import PREDEFINED, Network, UnknownNetwork, find_network
from rootlay.vfs.docker.hostconfig import HOST_CONFIG, config_of_settings, is_given, of_settings
from rootlay.vfs.docker.networks import endpoint_json
from rootlay.vfs.docker.times import human_duration, rfc3339_nano
from rootlay.vfs.lifecycle.health import health_of
from rootlay.vfs.lifecycle.status import status_of as lifecycle_status
from rootlay.vfs.run.execs import list_execs
from rootlay.vfs.run.ports import parse_ports
from rootlay.vfs.run.status import UNKNOWN_END
from rootlay.vfs.settings.mounts import place_of


@value
class Status:
    """The status of a container. `kind`: created, running, paused, restarting, exited."""

    kind: str
    state: ContainerState
    exit_code: int

    health: str = "none"

    @property
    def running(self) -> bool:
        """Whether the main program runs, is paused, or is about to be started again, as Docker's `Running`."""
        return self.kind in ("running", "paused", "restarting")

    def text(self) -> str:
        """Return the text of Docker's lists: `Up 5 minutes`, `Exited (0) 2 hours ago`."""
        if self.kind == "created":
            return "Created"
        if self.kind in ("running", "paused"):
            since = human_duration((time.time_ns() - self.state.started_ns) / 1e9)
            if self.state.elsewhere:
                return f"Up {since} on {self.state.elsewhere}"
            health = {"none": "", "starting": " (health: starting)"}.get(self.health, f" ({self.health})")
            return f"Up {since}" + (" (Paused)" if self.kind == "paused" else health)
        if self.kind == "restarting":
            return (
                f"Restarting ({self.exit_code}) {human_duration((time.time_ns() - self.state.finished_ns) / 1e9)} ago"
            )
        ago = human_duration((time.time_ns() - self.state.finished_ns) / 1e9)
        return f"Exited ({self.exit_code}) {ago} ago"


def status_of(record: ContainerRecord) -> Status:
    """Return the status of a container now."""
    state = record.state()
    if state.elsewhere:
        return Status("running", state, 0)
    kind = lifecycle_status(record, state)
    if kind in ("running", "paused"):
        found = health_of(record)
        return Status(kind, state, 0, found["Status"] if found else "none")
    code = state.exit_code if state.exit_code is not None else UNKNOWN_END if state.started_ns else 0
    if kind == "exited" and not state.finished_ns:  # no process saw its end
        state = replace(state, finished_ns=state.started_ns)
    checked = state.started_ns and health_of(record) is not None
    return Status(kind, state, code, "unhealthy" if checked else "none")  # Docker's, when the checks have ended


def sizes_of(record: ContainerRecord) -> dict[str, int]:
    """Return `SizeRw`, the bytes of what a container has changed, and `SizeRootFs`, with the size of its image."""
    containers = record.path.parent
    frozen = [os.fspath(each.upper(containers)) for each in record.stack().frozen]
    changed = sum(map(content_bytes, [record.real_upper, *frozen]))
    image = 0
    with contextlib.suppress(FileNotFoundError):
        document = read_small(record.path / MANIFEST_COPY)
        manifest = Manifest.parse(document, "the container's manifest")
        image = len(document) + manifest.config.size + sum(layer.size for layer in manifest.layers)
    return {"SizeRw": changed, "SizeRootFs": changed + image}


def inspect_container(record: ContainerRecord, *, sized: bool = False) -> dict[str, Any]:
    """Return the JSON of `docker container inspect`. `sized`: with `sizes_of`."""
    request, status = read_request(record), status_of(record)
    config, state = record.config, status.state
    found = {
        "Id": record.id,
        "Created": rfc3339_nano(config.created_ns),
        "Path": config.argv[0] if config.argv else "",
        "Args": list(config.argv[1:]),
        "State": {
            "Status": status.kind,
            "Running": status.running,
            "Paused": status.kind == "paused",
            "Restarting": status.kind == "restarting",
            "OOMKilled": False,
            "Dead": False,
            "Pid": state.pid if status.kind in ("running", "paused") else 0,
            "ExitCode": status.exit_code,
            "Error": state.error,
            "StartedAt": rfc3339_nano(state.started_ns),
            "FinishedAt": rfc3339_nano(state.finished_ns),
            **({"Health": {**(health_of(record) or {}), "Status": status.health}} if status.health != "none" else {}),
        },
        "Image": image_id_of(record),
        "ResolvConfPath": str(record.path / "resolv.conf"),
        "HostnamePath": str(record.path / "hostname"),
        "HostsPath": str(record.path / "hosts"),
        "LogPath": str(record.log),
        "Name": f"/{record.name}",
        "RestartCount": state.restarts,
        "Driver": "rootlay",
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": list_execs(record) or None,
        "HostConfig": host_config(record, request),
        "GraphDriver": {"Data": {"UpperDir": record.real_upper}, "Name": "rootlay"},
        "Mounts": mounts_of(record),
        "Config": run_config(record, request),
        "NetworkSettings": _network_settings(record, request, status.running),
    }
    return found | (sizes_of(record) if sized else {})


def summarize_container(
    record: ContainerRecord, *, sized: bool = False, status: Status | None = None
) -> dict[str, Any]:
    """Return one entry of `docker container ls`. `sized`: with `sizes_of`; `status`: if the caller knows it."""
    request, status = read_request(record), status or status_of(record)
    config = record.config
    mode = host_config(record, request)["NetworkMode"]
    networks = _network_settings(record, request, status.running)["Networks"]
    found = {
        "Id": record.id,
        "Names": [f"/{record.name}"],
        "Image": config.image or "(directories)",
        "ImageID": image_id_of(record),
        "Command": " ".join(f"'{word}'" if " " in word else word for word in config.argv),
        "Created": config.created_ns // 10**9,
        "Ports": port_list(record) if status.running else [],
        "Labels": dict(config.labels),
        "State": status.kind,
        "Status": status.text(),
        "HostConfig": {"NetworkMode": mode},
        "NetworkSettings": {"Networks": networks},
        "Mounts": mounts_of(record),
    }
    return found | (sizes_of(record) if sized else {})


def image_id_of(record: ContainerRecord) -> str:
    """Return the ID of the container's image; empty without one."""
    with contextlib.suppress(FileNotFoundError, KeyError, ValueError):
        return str(json.loads(read_small(record.path / MANIFEST_COPY))["config"]["digest"])
    return ""


def run_config(record: ContainerRecord, request: Request) -> dict[str, Any]:
    """Return Docker's Config: the client's, completed by the record."""
    config, given = record.config, request.config
    if not given:  # another face made it
        given = _request_of(record)
    found = {
        "Hostname": config.hostname or record.id[:12],
        "Domainname": "",
        "AttachStdin": False,
        "AttachStdout": True,
        "AttachStderr": True,
        "OnBuild": None,
        "Volumes": None,
        **given,
        **config_of_settings(config.settings),
        "User": config.user,
        "Tty": config.tty,
        "OpenStdin": config.stdin,
        "StdinOnce": config.stdin_once,
        "Env": list(config.env) or None,
        "Cmd": given.get("Cmd"),
        "Image": config.image,
        "WorkingDir": config.working_dir if config.working_dir != "/" else given.get("WorkingDir") or "/",
        "Entrypoint": given.get("Entrypoint"),
        "Labels": dict(config.labels),
    }
    found["Hostname"] = config.hostname or given.get("Hostname") or record.id[:12]
    if not found.get("ExposedPorts"):
        found.pop("ExposedPorts", None)
    return found


def _request_of(record: ContainerRecord) -> dict[str, Any]:
    """Return what a client would have asked for, to get a container that another face made."""
    image: dict[str, Any] = {}
    with contextlib.suppress(FileNotFoundError, KeyError, ValueError):
        image = json.loads(read_small(record.path / CONFIG_COPY))["config"] or {}
    entrypoint, command = map(list, split_command(record, image.get("Entrypoint") or ()))
    ports = {*_bindings(record), *record.config.settings.exposed}
    volumes: dict[str, Any] = {
        bind.target: {} for bind in record.config.binds if bind.kind == "volume" and bind.anonymous
    }
    return {
        "Entrypoint": entrypoint or None,
        "Cmd": command or None,
        "Volumes": {**(image.get("Volumes") or {}), **volumes} or None,
        "OnBuild": image.get("OnBuild"),
        **({"ExposedPorts": {port: {} for port in sorted(ports, key=_port_key)}} if ports else {}),
    }


def host_config(record: ContainerRecord, request: Request) -> dict[str, Any]:
    """Return Docker's HostConfig: the client's, completed by the defaults and the record."""
    given = {name: found for name, found in request.host.items() if is_given(name, found)}
    found = {**HOST_CONFIG, **given, **of_settings(record.config.settings)}
    if not request.host:
        found["Binds"] = [
            f"{bind.host or bind.source}:{bind.target}" + (":ro" if bind.read_only else "")
            for bind in record.config.binds
            if bind.kind in ("bind", "volume") and not bind.anonymous
        ] or None
        if tmpfs := {bind.target: "" for bind in record.config.binds if bind.kind == "tmpfs"}:
            found["Tmpfs"] = tmpfs
    if not found.get("NetworkMode") or found["NetworkMode"] == "default":
        mode = record.config.network
        found["NetworkMode"] = next(iter(request.networks), "bridge") if mode == "host" else mode
    found["AutoRemove"] = record.config.auto_remove
    found["PortBindings"] = given.get("PortBindings") or _bindings(record, everywhere="") or {}
    return found


def _bindings(record: ContainerRecord, *, everywhere: str = "0.0.0.0") -> dict[str, list[dict[str, str]]]:
    """Return the published ports by port inside. `everywhere`: the address of a port for every address."""
    found: dict[str, list[dict[str, str]]] = {}
    for port in parse_ports(record.config.ports):
        entry = {"HostIp": port.address or everywhere, "HostPort": str(port.outside)}
        found.setdefault(f"{port.inside}/{port.protocol}", []).append(entry)
    return found


def port_list(record: ContainerRecord) -> list[dict[str, Any]]:
    """Return Docker's list of ports: those published, and those only exposed."""
    found: list[dict[str, Any]] = []
    published = _bindings(record)
    for name in sorted({*published, *record.config.settings.exposed}, key=_port_key):
        inside, _, protocol = name.partition("/")
        inside_port = int(inside.partition("-")[0])
        entries = published.get(name)
        if not entries:
            found.append({"PrivatePort": inside_port, "Type": protocol or "tcp"})
        found += [
            {
                "IP": entry["HostIp"],
                "PrivatePort": inside_port,
                "PublicPort": int(entry["HostPort"]),
                "Type": protocol,
            }
            for entry in entries or ()
        ]
    return found


def _port_key(name: str) -> tuple[int, str]:
    number, _, protocol = name.partition("/")
    return int(number.partition("-")[0]), protocol


def _network_settings(record: ContainerRecord, request: Request, running: bool) -> dict[str, Any]:
    ports: dict[str, Any] = {}
    if running:
        published = _bindings(record)
        ports = {
            name: published.get(name) for name in sorted({*published, *record.config.settings.exposed}, key=_port_key)
        }
    endpoints: dict[str, Any] = {}
    for name, endpoint in networks_of(record, request).items():
        network = _network(record.root, name)
        endpoints[network.name] = endpoint_json(record, network, endpoint or {}, running)
    first = endpoints.get("bridge", {})
    return {
        "Bridge": "",
        "SandboxID": record.id if running else "",
        "SandboxKey": "",
        "Ports": ports,
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        "EndpointID": first.get("EndpointID", ""),
        "Gateway": first.get("Gateway", ""),
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "IPAddress": first.get("IPAddress", ""),
        "IPPrefixLen": first.get("IPPrefixLen", 0),
        "IPv6Gateway": "",
        "MacAddress": "",
        "Networks": endpoints,
    }


def _network(root: Path, name: str) -> Network:
    if name in PREDEFINED:
        return PREDEFINED[name]
    try:
        return find_network(root, name)
    except UnknownNetwork:  # removed by force
        return Network("", name, "bridge")


def mounts_of(record: ContainerRecord) -> list[dict[str, Any]]:
    """Return Docker's list of mounts."""
    return [_mount(record, index, bind) for index, bind in enumerate(record.config.binds)]


def _mount(record: ContainerRecord, index: int, bind: Bind) -> dict[str, Any]:
    found = {"Type": bind.kind, "Source": bind.host, "Destination": bind.target, "Mode": "", "RW": not bind.read_only}
    if bind.kind == "volume":
        with contextlib.suppress(RootlayError, OSError):
            found["Source"] = place_of(record, index, bind)
        return {**found, "Name": bind.source, "Driver": "local", "Mode": "z", "Propagation": ""}
    return {**found, "Mode": "ro" if bind.read_only else "", "Propagation": "rprivate" if bind.kind == "bind" else ""}
