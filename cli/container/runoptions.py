"""The options that `run` and `create` share, and their translation to a container."""

from __future__ import annotations

from rootlay.cli.container.programoptions import (
    CONFINE,
    confine_mode,
    env_files,
    lines_of,
    variables,
    working_directory,
)
from rootlay.cli.registryoptions import PLATFORM_OPTION, platform_of
from rootlay.cli.spec import Argument, Context, Option, UsageError, Values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rootlay.store.containers.record import Bind
    from rootlay.store.containers.settings import Settings
    from rootlay.vfs.containers.create import ContainerOptions

HOSTNAME_MAX = 64  # the limit of Linux, __NEW_UTS_LEN
_IN_HOSTNAMES = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
CREATE_OPTIONS = (
    Option(("--rm",), "flag", "Remove the container when its program exits."),
    Option(("--cidfile",), "text", "Write the container ID to a file.", "FILE"),
    Option(("-i", "--interactive"), "flag", "Keep standard input open."),
    Option(("-t", "--tty"), "flag", "Allocate a pseudo-terminal."),
    Option(("--name",), "text", "Container name.", "NAME"),
    Option(
        ("-e", "--env"),
        "many",
        "Set an environment variable; NAME alone takes the value from the environment.",
        "NAME[=VALUE]",
    ),
    Option(("--env-file",), "many", "Read environment variables from a file, one NAME=VALUE per line.", "FILE"),
    Option(("-w", "--workdir"), "text", "Working directory inside the container; created if missing.", "DIR"),
    Option(("-u", "--user"), "text", "User inside.", "NAME|UID[:GROUP|GID]"),
    Option(
        ("-v", "--volume"),
        "many",
        "Bind mount a host path or a volume; a path alone gets an anonymous volume.",
        "[HOST|VOLUME:]CTR[:ro]",
    ),
    Option(("--entrypoint",), "text", "Override the image's entrypoint.", "PROGRAM"),
    Option(("-h", "--hostname"), "text", "Host name of the container.", "NAME"),
    Option(("-l", "--label"), "many", "Label the container.", "KEY=VALUE"),
    Option(
        ("--lower",),
        "many",
        "Use a host directory as a read-only layer, instead of IMAGE; repeatable, topmost last.",
        "DIR",
    ),
    Option(("--base",), "text", "With --lower: the image below the directories.", "IMAGE"),
    Option(
        ("--upper",),
        "text",
        "Keep the writable layer in this directory; where the store is read-only, all of the container.",
        "DIR",
    ),
    CONFINE,
    Option(
        ("-p", "--publish"),
        "many",
        "Publish a container port on HOST (ranges allowed; omit HOST to pick a free port).",
        "[ADDR:]HOST:CTR[/udp]",
    ),
    Option(
        ("--net", "--network"),
        "many",
        "A network made by `network create`; or `host` (default), `none` (only UNIX sockets), `container:NAME`.",
        "NETWORK",
    ),
    PLATFORM_OPTION,
)


def rare_options() -> tuple[Option, ...]:
    """Return the other options of `run` and `create`."""
    from rootlay.cli.container.rareflags import CREATE_RARE

    return CREATE_RARE


ARGUMENTS = (
    Argument(
        "image",
        "Image to run: a name, an ID, the path of a bundle, or `host` for this machine's root.",
        required=False,
    ),
    Argument("command", "Command and its arguments.", required=False, many=True),
)


def to_options(values: Values, context: Context, *, auto_remove: bool, to_run: bool = False) -> ContainerOptions:
    """Turn parsed values into the options of the library. `to_run`: the container's program starts immediately.

    Raises:
        UsageError: a malformed bind or environment file.
    """
    from rootlay.vfs.containers.create import ContainerOptions

    words = list(values.many("command"))
    image = values.text("image") or ""
    if values.many("lower"):
        # There is no IMAGE argument then: all words belong to the program.
        words = [image, *words] if image else words
        image = values.text("base") or ""
    elif not image:
        raise UsageError("an image is needed: rootlay run [OPTIONS] IMAGE [COMMAND…] (`rootlay images` lists them)")
    if words[:1] == ["--"]:
        words = words[1:]
    network, networks = _network(values, context)
    return ContainerOptions(
        image=image,
        argv=tuple(words),
        entrypoint=values.text("entrypoint"),
        name=values.text("name") or "",
        env=(*env_files(values), *variables(values), *_device_env(values)),
        working_dir=working_directory(values),
        user=values.text("user"),
        hostname=_hostname(values),
        labels=dict(label.partition("=")[::2] for label in (*_label_files(values), *values.many("label"))),
        binds=_binds(values),
        lowers=values.many("lower"),
        upper=values.text("upper") or "",
        tty=values.flag("tty"),
        stdin=values.flag("interactive"),
        stdin_once=to_run and values.flag("interactive") and not values.flag("detach"),
        auto_remove=auto_remove,
        confine=confine_mode(values) or "auto",
        network=network,
        networks=networks,
        ports=_ports(values),
        platform=platform_of(values),
        to_run=to_run,
        image_volumes=True,
        make_sources=True,
        volumes_from=values.many("volumes_from") if values.has("volumes_from") else (),
        settings=_settings(values),
    )


def _settings(values: Values) -> Settings | None:
    """Return the settings that rare options give; None without any of these."""
    if not values.has("restart"):
        return None
    from rootlay.cli.container.rareoptions import settings_of

    return settings_of(values)


def _binds(values: Values) -> tuple[Bind, ...]:
    if not (values.many("volume") or values.has("mount")):
        return ()
    from rootlay.cli.container.mountoptions import binds_of

    return binds_of(values)


def _hostname(values: Values) -> str:
    text = values.text("hostname") or ""
    if len(text) > HOSTNAME_MAX or not _IN_HOSTNAMES.issuperset(text):
        raise UsageError(f"-h {text[:80]}: a host name has up to {HOSTNAME_MAX} letters, digits, '.', '-' and '_'")
    return text


def _network(values: Values, context: Context) -> tuple[str, dict[str, dict[str, Any]]]:
    """Return the network of the record and the endpoints. Docker's default networks are the machine's."""
    if not values.many("network") and not values.has("link"):
        return "host", {}
    from rootlay.cli.container.networkoptions import networks_of

    return networks_of(values, context.root)


def _ports(values: Values) -> tuple[str, ...]:
    if not values.many("publish"):
        return ()
    from rootlay.vfs.run.ports import parse_ports

    if "none" in values.many("network"):
        raise UsageError("-p: ports cannot be published with --network=none")
    try:
        return tuple(str(port) for port in parse_ports(values.many("publish")))
    except ValueError as error:
        raise UsageError(f"-p {error}") from None


def _label_files(values: Values) -> list[str]:
    if not values.has("label_file"):
        return []
    return [line for path in values.many("label_file") for line in lines_of("--label-file", path, "KEY[=VALUE]")]


def _device_env(values: Values) -> list[str]:
    """Return the variables of devices by CDI."""
    if not values.has("gpus") or not (values.many("gpus") or values.many("device")):
        return []
    from rootlay.cli.container.deviceoptions import offered_devices

    return [text for device in offered_devices(values) for text in device.env]
