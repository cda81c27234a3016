"""The options that `run` and `create` share, and their translation to a container."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from rootlay.cli.registryoptions import PLATFORM_OPTION, platform_of
from rootlay.cli.spec import Argument, Context, Option, UsageError, Values
from rootlay.vfs.containers.create import ContainerOptions

if TYPE_CHECKING:
    from rootlay.store.containers.record import Bind
    from rootlay.store.containers.settings import Settings

HOSTNAME_MAX = 64  # the limit of Linux, __NEW_UTS_LEN
_HOSTNAME = re.compile(rf"[A-Za-z0-9_.-]{{1,{HOSTNAME_MAX}}}")
CONFINE = Option(
    ("--confine",),
    "text",
    ("Confine programs to the container's files with Landlock: auto (if the kernel supports it), require, off."),
    "MODE",
)
SIG_PROXY = Option(("--sig-proxy",), "flag", "Pass signals on to the program (default: true).", default=True)
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
    if text and not _HOSTNAME.fullmatch(text):
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


def confine_mode(values: Values) -> str | None:
    """Return the value of --confine, None if it is not given.

    Raises:
        UsageError: the mode does not exist.
    """
    mode = values.text("confine")
    return mode and _choice("--confine", mode, ("auto", "require", "off"))


def _choice(option: str, given: str, known: tuple[str, ...]) -> str:
    if given not in known:
        raise UsageError(f"{option}={given}: expected {', '.join(known[:-1])} or {known[-1]}")
    return given


def variables(values: Values) -> tuple[str, ...]:
    """Return the values of -e. Raises UsageError for one without a name."""
    for text in values.many("env"):
        if not text.partition("=")[0]:
            raise UsageError(f"-e {text}: a variable needs a name: NAME[=VALUE]")
    return values.many("env")


def working_directory(values: Values) -> str | None:
    """Return the value of -w. Raises UsageError for a relative one: there is no base for it."""
    text = values.text("workdir")
    if text is not None and not text.startswith("/"):
        raise UsageError(f"-w {text}: the working directory must be an absolute path")
    return text


def env_files(values: Values) -> list[str]:
    """Return the lines of --env-file, by Docker's rules. Raises UsageError, OSError."""
    return [line for path in values.many("env_file") for line in _lines("--env-file", path, "NAME[=VALUE]")]


def _label_files(values: Values) -> list[str]:
    if not values.has("label_file"):
        return []
    return [line for path in values.many("label_file") for line in _lines("--label-file", path, "KEY[=VALUE]")]


def _lines(option: str, path: str, expected: str) -> list[str]:
    found = []
    with open(path, "rb") as file:
        data = file.read()
    for number, raw in enumerate(data.removeprefix(b"\xef\xbb\xbf").splitlines(), 1):
        try:
            line = raw.decode("utf-8").strip()
        except UnicodeDecodeError:
            raise UsageError(f"{option} {path}:{number}: not UTF-8 text") from None
        if not line or line.startswith("#"):
            continue
        name = line.partition("=")[0]
        if not name or name.split() != [name] or "\0" in line:
            raise UsageError(f"{option} {path}:{number}: expected {expected}: {line[:40]}")
        found.append(line)
    return found


def _device_env(values: Values) -> list[str]:
    """Return the variables of devices by CDI."""
    if not values.has("gpus") or not (values.many("gpus") or values.many("device")):
        return []
    from rootlay.cli.container.deviceoptions import offered_devices

    return [text for device in offered_devices(values) for text in device.env]
