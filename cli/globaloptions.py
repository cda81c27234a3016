"""The options before the verb: `--root`, and those of docker."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rootlay.cli.spec import Option, UsageError
from rootlay.store.model.value import value

_NO_CONNECTION = "there is no connection to a daemon"
_NO_DAEMON = "rootlay connects to no daemon: it works on a store; choose one with --root DIR"
GLOBAL_OPTIONS = (
    Option(("--root",), "text", "Where images and containers are kept.", "DIR"),
    Option(("--config",), "text", "Directory of docker's configuration, as DOCKER_CONFIG.", "DIR"),
    Option(
        ("-c", "--context"),
        "text",
        "Context.",
        "NAME",
        accepted="there is one context, the store",
        refused=_NO_DAEMON,
        takes=("default",),
    ),
    Option(("-D", "--debug"), "flag", "Debug mode.", accepted="there is no daemon to debug"),
    Option(("-H", "--host"), "text", "Socket of a daemon.", "ADDRESS", refused=_NO_DAEMON),
    Option(("-l", "--log-level"), "text", "Level of messages.", "LEVEL", accepted="messages have no levels"),
    Option(("--tls",), "flag", "TLS.", accepted=_NO_CONNECTION),
    Option(("--tlscacert",), "text", "CA certificates.", "FILE", accepted=_NO_CONNECTION),
    Option(("--tlscert",), "text", "Certificate.", "FILE", accepted=_NO_CONNECTION),
    Option(("--tlskey",), "text", "Key.", "FILE", accepted=_NO_CONNECTION),
    Option(("--tlsverify",), "flag", "TLS with verification.", accepted=_NO_CONNECTION),
)


@value
class Globals:
    """What precedes the verb. `docker_config`: of --config; `rest`: the verb and what follows."""

    root: Path | None
    docker_config: str | None
    rest: list[str]


def split_globals(words: list[str]) -> Globals:
    """Read the options before the verb, up to the first word that is none of them. Raises UsageError."""
    by_flag = {flag: option for option in GLOBAL_OPTIONS for flag in option.flags}
    given: dict[str, str] = {}
    rest = list(words)
    while rest and rest[0].startswith("-"):
        flag, sign, text = rest[0].partition("=")
        option = by_flag.get(flag)
        if option is None:
            break
        if option.kind == "flag" or sign:
            rest = rest[1:]
        elif len(rest) > 1:
            text, rest = rest[1], rest[2:]
        else:
            raise UsageError(f"{flag}: a value is missing")
        option.check(text if option.kind != "flag" else text != "false")
        given[option.name] = text
    root = Path(given["root"]).absolute() if "root" in given else None
    return Globals(root, given.get("config"), rest)


def docker_version(environ: Mapping[str, str], words: list[str]) -> str | None:
    """Return the answer of `docker --version`, if rootlay was started as docker (`rootlay docker-link`)."""
    if not environ.get("ROOTLAY_AS_DOCKER") or words[:1] not in (["--version"], ["-v"]):
        return None
    from importlib.metadata import version

    from rootlay.vfs.docker.versions import ENGINE_VERSION

    return f"Docker version {ENGINE_VERSION}, build rootlay-{version('rootlay')}"
