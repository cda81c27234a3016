"""Creation of containers: from an image, from the machine's own root (`host`), or from plain directories.

Rules:
1. The image's config is read once, here; all later settings are in the container's own record.
2. Every failure that the caller can cause (unknown image, name in use, missing directory) happens before anything is
   made.
3. This code runs at every `rootlay run`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rootlay.store.containers.containers import Containers
from rootlay.store.containers.record import (
    CONFIG_COPY,
    HOST_IMAGE,
    MANIFEST_COPY,
    Bind,
    ContainerConfig,
    ContainerRecord,
)
from rootlay.store.disk.durable import write_private
from rootlay.store.model.digest import Digest, chain_id
from rootlay.store.model.errors import (
    BadManifest,
    BadReference,
    CaseInsensitive,
    CorruptStore,
    ForeignPlatform,
    RootlayError,
    WrongPlatform,
)
from rootlay.store.model.image import Image
from rootlay.store.model.manifest import Platform
from rootlay.store.model.platform import fits, host_platform
from rootlay.store.model.value import field, replace, value
from rootlay.store.store import ImageStore
from rootlay.vfs.containers.ensureview import ensure_view
from rootlay.vfs.run.containerlaunch import CONFINE, NETWORK
from rootlay.vfs.run.etcfiles import ETC_FILES
from rootlay.vfs.run.launch import MAX_BINDS
from rootlay.vfs.run.program import merge_env, set_default_owner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rootlay.store.containers.settings import Settings
    from rootlay.store.model.imageconfig import RunConfig

MOUNTS_MAX = MAX_BINDS - 16
"""The others are the system's, and those that a session adds."""


class NoCommand(RootlayError):
    """Neither the caller nor the image names a program."""

    def __init__(self, image: str) -> None:
        super().__init__(f"no command given, and image {image} has none: name a program")
        self.image = image


class TooManyMounts(RootlayError, ValueError):
    """A container has more mounts than the engine supports."""

    def __init__(self, count: int) -> None:
        super().__init__(
            f"{count} mounts: a container has at most {MOUNTS_MAX}, with the volumes of its image; leave some out, or "
            "mount a directory above them"
        )
        self.count = count


class MissingDirectory(RootlayError):
    """A directory or file of the host that the caller names does not exist."""

    def __init__(self, path: str, role: str) -> None:
        super().__init__(f"{role}: {path} does not exist: make the directory first")
        self.path = path
        self.role = role


@value
class ContainerOptions:
    """The caller's options. `id`: 64 hexadecimal digits; chosen if empty.

    `argv` replaces the image's Cmd, `entrypoint` its Entrypoint (and then Cmd as well).

    `image` is a reference, the path of a bundle (with a slash in it), or `host`; empty when only `lowers` (host
    directories, topmost last) are used; both may be given, the lowers are then on top of the image. `platform`: the
    image of this platform in a multi-platform image (None: this machine's); `to_run`: its programs will run, so they
    must be for this machine. `owner`: the process whose end ends the container (rootlay.store.disk.owner).
    `confine`: auto, require, off; `network`: host, none, container:ID; `ports`: as docker's -p. `networks` are the
    endpoints by the names of networks, as Docker's EndpointsConfig.
    `binds` may be volumes (rootlay.vfs.containers.mounting), `volumes_from` repeats those of other containers, and with
    `image_volumes` each VOLUME of the image gets one: programs see them, the overlay of the container does not. With
    `make_sources` a missing source of a bind is made, a directory.
    """

    image: str = ""
    argv: tuple[str, ...] = ()
    entrypoint: str | None = None
    name: str = ""
    env: tuple[str, ...] = ()
    working_dir: str | None = None
    user: str | None = None
    hostname: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    binds: tuple[Bind, ...] = ()
    lowers: tuple[str, ...] = ()
    upper: str = ""
    tty: bool = False
    stdin: bool = False
    stdin_once: bool = False
    auto_remove: bool = False
    confine: str = "auto"
    network: str = "host"
    networks: dict[str, dict[str, Any]] = field(default_factory=dict)
    ports: tuple[str, ...] = ()
    need_command: bool = True
    platform: Platform | None = None
    to_run: bool = False
    owner: str = ""
    volumes_from: tuple[str, ...] = ()
    image_volumes: bool = False
    make_sources: bool = False
    settings: Settings | None = None
    id: str = ""


def create_container(
    root: Path, options: ContainerOptions, environ: Mapping[str, str], known: Image | None = None
) -> ContainerRecord:
    """Create a container and everything that its start needs.

    Args:
        root: the store's root; made if missing.
        environ: the caller's environment: for `-e NAME` without a value, and the whole of it for `host`.
        known: the image that `options` names, if it was read already.

    Raises:
        ValueError: an unknown `confine` or `network`, or an invalid port; nothing was made.
        UnknownImage, WrongPlatform, ForeignPlatform, NameInUse, MissingDirectory, CaseInsensitive, NoCommand,
            TooManyMounts, NotOneWord, StoreNotWritable: nothing was made.
    """
    if options.confine not in CONFINE or not (options.network in NETWORK or options.network.startswith("container:")):
        raise ValueError(f"confine={options.confine!r}, network={options.network!r}")
    if options.hostname or options.settings or options.networks:
        _check_words(options)
    for path in options.lowers:
        if not os.path.isdir(path):
            raise MissingDirectory(path, "lower")
        from rootlay.store.disk.filesystem import ignores_case

        if ignores_case(Path(path)):
            raise CaseInsensitive(Path(path))
    for bind in options.binds:
        if bind.kind == "bind" and not options.make_sources and not os.path.exists(bind.host):
            raise MissingDirectory(bind.host, "bind")
    store = ImageStore.open(root)
    with store.layout.holding():  # until the record names the needed objects
        image, config = _from(store, options, environ, known)
        if options.need_command and not config.argv:
            raise NoCommand(options.image or "(none)")
        if options.upper:
            os.makedirs(options.upper, exist_ok=True)
        defaults = image.config.config if image else None
        if options.volumes_from or (options.image_volumes and defaults and defaults.volumes):
            config = replace(config, binds=_mounts(store, options, defaults))
        if len(config.binds) > MOUNTS_MAX:
            raise TooManyMounts(len(config.binds))
        for bind in config.binds if options.make_sources else ():
            if bind.kind == "bind" and not os.path.lexists(bind.host):
                os.makedirs(bind.host)
        record = _record(store, config)
    try:
        if image:  # it may be removed while the container lives, and commit needs both
            _keep(store, image.manifest_digest, record.path / MANIFEST_COPY, image.manifest.to_bytes)
            _keep(store, image.id, record.path / CONFIG_COPY, image.config.to_bytes)
        set_default_owner(record)
        if config.binds and config.extra.get("read_only"):
            from rootlay.vfs.containers.mountpoints import make_mount_points

            make_mount_points(record)
        if options.networks:
            from rootlay.store.containers.request import Request, write_request

            write_request(record, Request(networks=options.networks))
        if any(bind.kind != "bind" for bind in config.binds):
            from rootlay.vfs.containers.mounting import fill_mounts

            fill_mounts(store, record)
    except BaseException:
        from rootlay.vfs.run.removal import remove_container

        remove_container(record, volumes=True)
        raise
    record.note("create")
    return record


def _check_words(options: ContainerOptions) -> None:
    """Check the names that become words in files of /etc. Raises NotOneWord."""
    from rootlay.store.model.oneword import check_word

    if options.hostname:
        check_word("host name", options.hostname)
    if options.settings:
        options.settings.check_words()
    if options.networks:
        from rootlay.store.networks.members import check_endpoint

        for endpoint in options.networks.values():
            check_endpoint(endpoint)


def _mounts(store: ImageStore, options: ContainerOptions, defaults: RunConfig | None) -> tuple[Bind, ...]:
    from rootlay.vfs.containers.mounting import mounts_of

    image_volumes = defaults.volumes if defaults and options.image_volumes else ()
    return mounts_of(store, options.binds, image_volumes, options.volumes_from)


def _record(store: ImageStore, config: ContainerConfig) -> ContainerRecord:
    if not any(bind.kind == "volume" for bind in config.binds):
        return Containers(store.root).create(config)
    from rootlay.vfs.containers.mounting import volumes_made

    with volumes_made(store, config) as named:
        return Containers(store.root).create(named)


def _from(
    store: ImageStore, options: ContainerOptions, environ: Mapping[str, str], known: Image | None
) -> tuple[Image | None, ContainerConfig]:
    """Return the base of the container: an image of the store, one in a bundle, or no image."""
    if options.image in ("", HOST_IMAGE):
        _check_wanted(host_platform(), options.platform)
        return None, _from_host(options, environ)
    if "/" in options.image:
        from rootlay.store.bundle.format import is_bundle

        if is_bundle(options.image):
            return _from_bundle(store, options, environ)
        if options.image.startswith((".", "/", "~")):
            raise BadReference(
                options.image, "it is not the path of a bundle (`rootlay load -i FILE` reads an archive of an image)"
            )
    if known is not None and options.platform is None and store.has_image(known):
        image = known
    else:
        image = store.image(options.image, options.platform)
    if image.index is not None:
        _check_wanted(image.config.platform, host_platform())
    _check_runs(image, options)
    try:
        layers = ensure_view(store, image)
    except CorruptStore:
        store.image(options.image)  # removed by another process meanwhile? then the error says that
        raise
    return image, _from_image(image, chain_id(layers), layers, options, environ)


def _check_wanted(found: Platform, wanted: Platform | None) -> None:
    """Raise WrongPlatform unless the image is for the requested platform."""
    if wanted is not None and found.architecture and not fits(wanted, found):
        raise WrongPlatform(str(wanted), (str(found),))


def _check_runs(image: Image, options: ContainerOptions) -> None:
    """Raise ForeignPlatform if programs for another machine are to run."""
    found, here = image.config.platform, host_platform()
    if options.to_run and found.architecture and not fits(here, found):
        raise ForeignPlatform(options.image, str(found), str(here))


def _from_bundle(
    store: ImageStore, options: ContainerOptions, environ: Mapping[str, str]
) -> tuple[Image, ContainerConfig]:
    from rootlay.store.bundle.attach import attach
    from rootlay.store.exchange.ociload import read_image

    bundle = attach(store.root, Path(options.image))
    try:
        image = read_image(bundle)
        _check_wanted(image.config.platform, options.platform)
        _check_runs(image, options)
        return image, _from_image(image, bundle.id, bundle.layer_ids, options, environ)
    finally:
        bundle.close()


def _base(options: ContainerOptions) -> ContainerConfig:
    return ContainerConfig(
        id=options.id,
        name=options.name,
        created_ns=0,
        hostname=options.hostname,
        labels=options.labels,
        binds=options.binds,
        lowers=tuple(os.path.realpath(path) for path in options.lowers),
        upper=os.path.realpath(options.upper) if options.upper else "",
        tty=options.tty,
        stdin=options.stdin,
        stdin_once=options.stdin_once,
        auto_remove=options.auto_remove,
        confine=options.confine,
        network=options.network,
        ports=_single_ports(options.ports),
        owner=options.owner,
        extra=_extra(options),
    )


def _extra(options: ContainerOptions) -> dict[str, Any]:
    if options.entrypoint is None:
        return options.settings.to_json() if options.settings else {}
    from rootlay.store.containers.settings import DEFAULTS

    return replace(options.settings or DEFAULTS, entrypoint=options.entrypoint).to_json()


def _with_defaults(config: ContainerConfig, defaults: RunConfig) -> ContainerConfig:
    """Return a configuration with the settings that the image gives and the caller does not."""
    if defaults.labels:
        config = replace(config, labels={**defaults.labels, **config.labels})
    health = defaults.extra.get("Healthcheck")
    if not (config.extra or defaults.stop_signal or defaults.exposed_ports or health):
        return config
    from rootlay.vfs.containers.imagesettings import merge_settings

    settings, published = merge_settings(config.settings, defaults, config.ports)
    try:
        ports = _single_ports((*config.ports, *published))
    except ValueError as error:  # the caller's own were checked
        raise BadManifest(f"image {config.image}: ExposedPorts", str(error)) from None
    return replace(config, extra=settings.to_json(), ports=ports)


def _single_ports(texts: tuple[str, ...]) -> tuple[str, ...]:
    if not texts:
        return ()
    from rootlay.vfs.run.ports import parse_ports

    return tuple(str(port) for port in parse_ports(texts))


def _from_host(options: ContainerOptions, environ: Mapping[str, str]) -> ContainerConfig:
    """Use `host`, or directories alone. `host` gets the caller's environment and directory, as with a shell."""
    base = _base(options)
    is_host = options.image == HOST_IMAGE
    own = tuple(f"{name}={value}" for name, value in environ.items()) if is_host else ()
    argv = (*((options.entrypoint,) if options.entrypoint else ()), *options.argv)
    if is_host and not argv:
        argv = (environ.get("SHELL") or "/bin/sh",)
    return replace(
        base,
        image=HOST_IMAGE if is_host else "",
        lowers=("", *base.lowers) if is_host else base.lowers,
        argv=argv,
        env=merge_env(own, options.env, environ),
        working_dir=options.working_dir or (os.getcwd() if is_host else "/"),
        user=options.user or "",
    )


def _from_image(
    image: Image,
    chain: Digest,
    layers: Sequence[Digest],
    options: ContainerOptions,
    environ: Mapping[str, str],
) -> ContainerConfig:
    defaults = image.config.config
    command: Sequence[str]
    if options.entrypoint is not None:
        command = (*((options.entrypoint,) if options.entrypoint else ()), *options.argv)
    else:
        command = (*(defaults.entrypoint or ()), *(options.argv or defaults.cmd or ()))
    return replace(
        _with_defaults(replace(_base(options), image=options.image), defaults),
        manifest=str(image.manifest_digest),
        chain=str(chain),
        layers=tuple(str(layer) for layer in layers),
        argv=tuple(command),
        env=merge_env(defaults.env, options.env, environ),
        working_dir=options.working_dir or defaults.working_dir or "/",
        user=defaults.user if options.user is None else options.user,
    )


def copy_files(source: ContainerRecord, target: ContainerRecord) -> None:
    """Give a container the files of another one, those next to its record."""
    here, there = str(source.path), str(target.path)  # texts: a sandbox does this for each run
    for name in (MANIFEST_COPY, CONFIG_COPY):  # no process changes them
        with contextlib.suppress(FileNotFoundError):
            os.link(f"{here}/{name}", f"{there}/{name}")
    for name in ETC_FILES:
        with contextlib.suppress(FileNotFoundError), open(f"{here}/{name}", "rb", buffering=0) as file:
            write_private(f"{there}/{name}", file.read())
            os.chmod(f"{there}/{name}", os.fstat(file.fileno()).st_mode & 0o777)


def _keep(store: ImageStore, digest: Digest, target: Path, document: Callable[[], bytes]) -> None:
    """Keep a document of an image: by a hard link to its blob, which takes a tenth of the time of a file, or by a
    copy."""
    try:
        os.link(store.layout.blob_path(digest), target)
    except OSError:  # an image of a bundle, blobs of another user or on another file system
        write_private(target, document())
