"""The JSON of `POST /containers/create`, translated to the options of a new container."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from rootlay.store.containers.containers import Containers
from rootlay.store.containers.health import MILLISECOND_NS, parse_health
from rootlay.store.containers.record import Bind
from rootlay.store.containers.request import Request
from rootlay.store.containers.settings import Limits, Settings
from rootlay.store.model.errors import BadManifest, RootlayError
from rootlay.store.model.image import Image
from rootlay.store.model.imageconfig import RunConfig
from rootlay.store.model.manifest import Platform
from rootlay.store.model.value import value
from rootlay.store.networks.members import check_endpoint, wanted_address
from rootlay.store.networks.networks import PREDEFINED, NetworkRefused, UnknownNetwork, find_network
from rootlay.vfs.containers.create import ContainerOptions
from rootlay.vfs.settings.signals import BadSignal, parse_signal
from rootlay.vfs.settings.tmpfs import parse_tmpfs_options, tmpfs
from rootlay.vfs.settings.ulimits import parse_ulimit

Json = Mapping[str, Any]
_LEAST_MEMORY_BYTES = 6 << 20
_OF_IMAGES = frozenset(
    "Env ExposedPorts Healthcheck Labels OnBuild StopSignal StopTimeout User Volumes WorkingDir".split()
)


class BadRequest(RootlayError, ValueError):
    """A member of the request that cannot be used."""


@value
class Wanted:
    """A container that a client wants: the options of the library, and the request to keep with it."""

    options: ContainerOptions
    request: Request


def translate(root: Path, body: Json, image: Image, name: str, platform: Platform | None) -> Wanted:
    """Return the options of a new container.

    Args:
        body: Docker's Config, with HostConfig and NetworkingConfig.
        image: the image that it names; its settings are the defaults.

    Raises:
        BadRequest: a member has a wrong value, or names a network that does not exist.
        NotOneWord: an alias or a link of a network has a space or a line end.
    """
    given = {key: item for key, item in body.items() if key not in ("HostConfig", "NetworkingConfig")}
    _check(given, body.get("HostConfig") or {})
    host: dict[str, Any] = dict(body.get("HostConfig") or {})
    defaults = image.config.config.to_json()
    config = _with_defaults(given, defaults)
    identity = os.urandom(32).hex()
    mode = host.get("NetworkMode") or "default"
    networks = _networks(root, mode, (body.get("NetworkingConfig") or {}).get("EndpointsConfig") or {})
    entrypoint, argv = _command(given)
    options = ContainerOptions(
        id=identity,
        image=str(config.get("Image") or ""),
        argv=argv,
        entrypoint=entrypoint,
        name=name,
        env=tuple(given.get("Env") or ()),
        working_dir=given.get("WorkingDir") or None,
        user=given.get("User") or None,
        hostname=given.get("Hostname") or ("" if mode == "host" else identity[:12]),
        labels=dict(config.get("Labels") or {}),
        binds=tuple(_binds(host, given)),
        image_volumes=True,
        volumes_from=tuple(host.get("VolumesFrom") or ()),
        tty=bool(given.get("Tty")),
        stdin=bool(given.get("OpenStdin")),
        stdin_once=bool(given.get("StdinOnce")),
        auto_remove=bool(host.get("AutoRemove")),
        network=_mode(root, mode),
        ports=() if mode in ("host", "none") else tuple(_ports(host, config)),
        settings=_settings(host, config),
        platform=platform,
        to_run=True,
    )
    return Wanted(options, Request(config, host, networks))


def _check(config: Json, host: Json) -> None:
    """Refuse what Docker refuses before it makes a container, with its words. Raises BadRequest."""
    place = config.get("WorkingDir") or "/"
    if not str(place).startswith("/"):
        raise BadRequest(f"the working directory '{place}' is invalid, it needs to be an absolute path")
    if text := config.get("StopSignal"):
        try:
            parse_signal(str(text))
        except BadSignal:
            raise BadRequest(f"invalid signal: {text}") from None
    check = config.get("Healthcheck") or {}
    for name in ("Interval", "Timeout", "StartPeriod", "StartInterval"):
        if check.get(name) and check[name] < MILLISECOND_NS:
            raise BadRequest(f"{name} in Healthcheck cannot be less than 1ms")
    if (check.get("Retries") or 0) < 0:
        raise BadRequest("Retries in Healthcheck cannot be negative")


def _with_defaults(given: Json, defaults: Json) -> dict[str, Any]:
    """Return the client's Config, completed by the image's, as Docker merges them."""
    found = {**defaults, **{key: item for key, item in given.items() if item not in (None, "", [], {})}}
    for name in ("Labels", "ExposedPorts", "Volumes"):
        found[name] = {**(defaults.get(name) or {}), **(given.get(name) or {})} or None
    found["Labels"] = found["Labels"] or {}
    if given.get("Entrypoint") is not None:
        words = _words(given["Entrypoint"])
        found["Entrypoint"] = None if words in ([], [""]) else words  # `--entrypoint=`
        found["Cmd"] = _words(given.get("Cmd")) or None
    else:
        for name in ("Entrypoint", "Cmd"):
            found[name] = _words(found.get(name)) or None
    return found


def _words(given: Any) -> list[str]:
    if given is None:
        return []
    if isinstance(given, str):
        return [given]  # as Docker
    if not isinstance(given, list) or not all(isinstance(word, str) for word in given):
        raise BadRequest("invalid JSON: Cmd and Entrypoint are lists of strings")
    return given


def image_config_of(body: Json) -> RunConfig:
    """Return what Docker's Config in a request gives the config of an image. Raises BadRequest."""
    words = {name: _words(body[name]) for name in ("Cmd", "Entrypoint", "Shell") if body.get(name) is not None}
    found = {name: item for name, item in body.items() if name in _OF_IMAGES and item is not None}
    try:
        return RunConfig.parse({**found, **words}, "the request's config")
    except BadManifest as error:
        raise BadRequest(str(error)) from None


def _command(given: Json) -> tuple[str | None, tuple[str, ...]]:
    """Return the entrypoint's program (empty: none; None: the image's) and all arguments."""
    command = _words(given.get("Cmd"))
    if given.get("Entrypoint") is None:
        return None, tuple(command)
    first, *rest = _words(given["Entrypoint"]) or [""]
    return first, (*rest, *command)


def _networks(root: Path, mode: str, endpoints: Json) -> dict[str, Any]:
    """Return the endpoints by the names of their networks. Raises BadRequest."""
    if mode.startswith("container:"):
        return {}
    if mode == "default":
        mode = "bridge"
    found: dict[str, Any] = {}
    try:
        for name, endpoint in endpoints.items():
            found["bridge" if name == "default" else find_network(root, name).name] = dict(endpoint or {})
        chosen = PREDEFINED[mode].name if mode in PREDEFINED else find_network(root, mode).name
        wanted_address(found)
        for endpoint in found.values():
            check_endpoint(endpoint)
    except NetworkRefused as error:
        raise BadRequest(str(error)) from None
    except UnknownNetwork as error:  # not 404: clients take that for a missing image, and pull it
        raise BadRequest(str(error)) from None
    if chosen not in found and not (found and mode == "bridge"):
        found = {chosen: {}, **found}
    return found


def _mode(root: Path, mode: str) -> str:
    """Return the network of a container record."""
    if mode.startswith("container:"):
        return f"container:{Containers(root).find(mode.partition(':')[2]).id}"
    return "none" if mode == "none" else "host"


def _binds(host: Json, config: Json) -> Iterator[Bind]:
    """Yield the mounts of Binds, Mounts and Tmpfs, and the anonymous volumes of Volumes."""
    targets: set[str] = set()
    for text in host.get("Binds") or ():
        bind = _parse_bind(str(text), make=True)
        targets.add(os.path.normpath(bind.target))
        yield bind
    for mount in host.get("Mounts") or ():
        bind = _mount(mount)
        targets.add(os.path.normpath(bind.target))
        yield bind
    for target, text in (host.get("Tmpfs") or {}).items():
        targets.add(os.path.normpath(target))
        yield _tmpfs(target, text or "")
    for target in config.get("Volumes") or {}:
        if not target.startswith("/"):
            raise BadRequest(f"invalid volume specification: '{target}': mount path must be absolute")
        if os.path.normpath(target) not in targets:
            yield Bind("", target, kind="volume", anonymous=True)


def _tmpfs(target: str, text: str) -> Bind:
    if not target.startswith("/") or os.path.normpath(target) in ("/", "//"):
        raise BadRequest(f"invalid tmpfs '{target}': mount path must be absolute, and not '/'")
    try:
        return parse_tmpfs_options(target, text)
    except ValueError as error:
        raise BadRequest(f"{error}: tmpfs {target}") from None


def _parse_bind(text: str, *, make: bool) -> Bind:
    parts = text.split(":")
    if len(parts) == 1:
        return Bind("", parts[0], kind="volume", anonymous=True)
    if len(parts) > 3 or not parts[0]:
        raise BadRequest(f"invalid volume specification: '{text}'")
    if not parts[1].startswith("/"):
        kind = "bind" if parts[0].startswith("/") else "volume"
        raise BadRequest(
            f"invalid volume specification: '{text}': invalid mount config for type \"{kind}\": invalid mount path: "
            f"'{parts[1]}' mount path must be absolute"
        )
    source, target = parts[:2]
    modes = parts[2].split(",") if len(parts) == 3 else []
    read_only = "ro" in modes
    if os.path.normpath(target) == "/":
        raise BadRequest(f"invalid volume specification: '{text}': destination can't be '/'")
    if not source.startswith("/"):
        return Bind("", target, read_only, kind="volume", source=source, no_copy="nocopy" in modes)
    if make and not os.path.lexists(source):
        os.makedirs(source, exist_ok=True)  # as Docker does for -v
    return Bind(source, target, read_only)


def _mount(mount: Json) -> Bind:
    kind, target = mount.get("Type") or "", str(mount.get("Target") or "")
    source, read_only = str(mount.get("Source") or ""), bool(mount.get("ReadOnly"))
    if not target.startswith("/") or os.path.normpath(target) == "/":
        raise BadRequest(f"invalid mount config for type {kind!r}: invalid mount path: '{target}' must be absolute")
    if kind == "bind":
        if not source.startswith("/"):
            raise BadRequest(f"invalid mount config for type \"bind\": invalid mount path: '{source}' must be absolute")
        if not os.path.exists(source):
            if not (mount.get("BindOptions") or {}).get("CreateMountpoint"):
                raise BadRequest(f'invalid mount config for type "bind": bind source path does not exist: {source}')
            os.makedirs(source, exist_ok=True)
        return Bind(source, target, read_only)
    if kind == "tmpfs":
        mode = (mount.get("TmpfsOptions") or {}).get("Mode") or 0o1777
        return tmpfs(target, read_only, mode)
    if kind == "volume":
        options = mount.get("VolumeOptions") or {}
        driver = (options.get("DriverConfig") or {}).get("Options") or {}
        return Bind(
            "", target, read_only, kind="volume", source=source, subpath=str(options.get("Subpath") or ""),
            anonymous=not source, no_copy=bool(options.get("NoCopy")),
            labels=tuple(f"{key}={item}" for key, item in (options.get("Labels") or {}).items()),
            options=tuple(f"{key}={item}" for key, item in driver.items()),
        )  # fmt: skip
    raise BadRequest(f"mount type unknown: {kind!r}; bind, volume and tmpfs are known")


def _ports(host: Json, config: Json) -> Iterator[str]:
    """Yield the published ports in the form of -p. Raises BadRequest."""
    bindings: Json = host.get("PortBindings") or {}
    for name, entries in bindings.items():
        inside = _port_name(name)
        seen: set[str] = set()
        for entry in entries or [{}]:
            address, port = str(entry.get("HostIp") or ""), str(entry.get("HostPort") or "")
            port = "" if port == "0" else port.partition("-")[0]
            if (port and port in seen) or (seen and not port):
                continue  # the same port for IPv4 and IPv6
            seen.add(port)
            where = f"[{address}]:" if ":" in address else f"{address}:" if address else ""
            yield f"{where}{port}:{inside}" if port or where else inside
    if host.get("PublishAllPorts"):
        for name in config.get("ExposedPorts") or {}:
            if name not in bindings:
                yield _port_name(name)


def _port_name(name: str) -> str:
    number, _, protocol = name.partition("/")
    if not number.replace("-", "").isdigit():
        raise BadRequest(f"invalid port specification: {name!r}")
    return f"{number}/{protocol or 'tcp'}"


def _settings(host: Json, config: Json) -> Settings:
    return Settings(
        dns=tuple(host.get("Dns") or ()),
        dns_options=tuple(host.get("DnsOptions") or ()),
        dns_search=tuple(host.get("DnsSearch") or ()),
        domainname=config.get("Domainname") or "",
        exposed=tuple(config.get("ExposedPorts") or ()),
        groups=tuple(host.get("GroupAdd") or ()),
        health=parse_health(config.get("Healthcheck")),
        hosts=tuple(_hosts(host.get("ExtraHosts") or ())),
        limits=limits_of(host),
        oom_score_adj=int(host.get("OomScoreAdj") or 0),
        publish_all=bool(host.get("PublishAllPorts")),
        read_only=bool(host.get("ReadonlyRootfs")),
        restart=restart_of(host) or "no",
        stop_signal=config.get("StopSignal") or "",
        stop_timeout_s=config.get("StopTimeout"),
        ulimits=tuple(_ulimit(each) for each in host.get("Ulimits") or ()),
    )


def _hosts(entries: Sequence[str]) -> Iterator[str]:
    for entry in entries:
        name, sign, address = entry.partition("=" if "=" in entry else ":")
        if not name or not sign:
            raise BadRequest(f"bad format for add-host: {entry!r}")
        address = address.removeprefix("[").removesuffix("]")
        try:
            yield f"{name}:{address if address == 'host-gateway' else ip_address(address)}"
        except ValueError:
            raise BadRequest(f"invalid IP address in add-host: {address!r}") from None


def _ulimit(given: Json) -> str:
    text = f"{given.get('Name') or ''}={given.get('Soft') or 0}:{given.get('Hard') or 0}"
    return str(parse_ulimit(text))


def restart_of(host: Json) -> str | None:
    """Return the restart policy of a HostConfig, or of the body of an update; None if it has none."""
    restart = host.get("RestartPolicy") or {}
    policy = restart.get("Name") or None
    if policy == "on-failure" and restart.get("MaximumRetryCount"):
        policy = f"on-failure:{restart['MaximumRetryCount']}"
    if not re.fullmatch(r"no|always|unless-stopped|on-failure(:\d{1,9})?", policy or "no"):
        raise BadRequest(
            f"invalid restart policy: unknown policy '{policy}'; use one of 'no', 'always', 'on-failure', "
            "or 'unless-stopped'"
        )
    return policy


def limits_of(host: Json) -> Limits | None:
    """Return the limits of a HostConfig, or of the body of an update; None if it has none. Raises BadRequest."""
    found = Limits(
        memory_bytes=int(host.get("Memory") or 0),
        memory_swap_bytes=int(host.get("MemorySwap") or 0),
        nano_cpus=int(host.get("NanoCpus") or 0),
        cpu_period_us=int(host.get("CpuPeriod") or 0),
        cpu_quota_us=int(host.get("CpuQuota") or 0),
        cpuset=str(host.get("CpusetCpus") or ""),
        pids=max(0, int(host.get("PidsLimit") or 0)),
    )
    if 0 < found.memory_bytes < _LEAST_MEMORY_BYTES:
        raise BadRequest("Minimum memory limit allowed is 6MB")
    return found if found != Limits() else None
