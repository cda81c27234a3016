"""The rare options of `run` and `create` that are settings of the container: see rootlay.store.containers.settings."""

from __future__ import annotations

import contextlib
import re
from ipaddress import ip_address

from rootlay.cli.container.amounts import parse_bytes, parse_cpus, parse_duration
from rootlay.cli.spec import UsageError, Values
from rootlay.store.containers.health import MILLISECOND_NS, Health
from rootlay.store.containers.settings import Limits, Settings
from rootlay.store.model.oneword import is_one_word

_DURATIONS = ("health_interval", "health_timeout", "health_start_period", "health_start_interval")
_PORTS = re.compile(r"(\d+)(?:-(\d+))?(?:/(tcp|udp|sctp))?")
STREAMS = ("stdin", "stdout", "stderr")


def settings_of(values: Values) -> Settings:
    """Return the settings. Raises UsageError, BadSignal."""
    check_sysctls(values)
    return Settings(
        annotations=values.many("annotation"),
        attach=_streams(values),
        dns=tuple(_address("--dns", text) for text in values.many("dns")),
        dns_options=values.many("dns_option"),
        dns_search=values.many("dns_search"),
        domainname=values.text("domainname") or "",
        exposed=tuple(port for text in values.many("expose") for port in parse_exposed(text)),
        groups=values.many("group_add"),
        health=_health(values),
        hosts=tuple(parse_host(text) for text in values.many("add_host")),
        limits=limits_of(values),
        log="none" if values.text("log_driver") == "none" else "",
        oom_score_adj=_oom_score(values),
        publish_all=values.flag("publish_all"),
        read_only=values.flag("read_only"),
        restart=restart_of(values),
        stop_signal=stop_signal_of(values),
        stop_timeout_s=values.number("stop_timeout"),
        ulimits=_ulimits(values),
    )


def stop_signal_of(values: Values) -> str:
    """Return the text of --stop-signal as it was given. Raises BadSignal."""
    from rootlay.vfs.settings.signals import parse_signal

    text = values.text("stop_signal") or ""
    if text:
        parse_signal(text)
    return text


def restart_of(values: Values) -> str:
    """Return the policy of --restart. Raises UsageError."""
    text = values.text("restart") or "no"
    name, _, count = text.partition(":")
    if name not in ("no", "always", "on-failure", "unless-stopped"):
        raise UsageError(f"--restart={text[:40]}: expected no, always, unless-stopped or on-failure[:N]")
    if ":" in text and (name != "on-failure" or not count.isdigit()):
        raise UsageError(f"--restart={text[:40]}: only on-failure takes a number of retries: on-failure:3")
    if name != "no" and values.has("rm") and values.flag("rm"):
        raise UsageError("--restart and --rm conflict: a container that is removed is not started again")
    return text


def limits_of(values: Values) -> Limits | None:
    """Return the limits; None without any. Raises UsageError."""
    memory = parse_bytes("--memory", values.text("memory") or "0")
    swap = values.text("memory_swap") or "0"
    limits = Limits(
        memory_bytes=memory,
        memory_swap_bytes=-1 if swap == "-1" else parse_bytes("--memory-swap", swap),
        nano_cpus=parse_cpus("--cpus", values.text("cpus") or "0"),
        cpu_period_us=values.number("cpu_period") or 0,
        cpu_quota_us=values.number("cpu_quota") or 0,
        cpuset=values.text("cpuset_cpus") or "",
        pids=max(0, values.number("pids_limit") or 0),
    )
    if limits.nano_cpus and (limits.cpu_period_us or limits.cpu_quota_us):
        raise UsageError("--cpus conflicts with --cpu-period and --cpu-quota: give one of them")
    if swap not in ("0", "-1") and not memory:
        raise UsageError("--memory-swap needs --memory, and is the sum of both")
    if memory and 0 < limits.memory_swap_bytes < memory:
        raise UsageError("--memory-swap is the sum of memory and swap: give at least the value of --memory")
    if memory and memory < 6 << 20:
        raise UsageError(f"--memory={values.text('memory')}: the minimum is 6m")
    return limits if limits != Limits() else None


def _health(values: Values) -> Health | None:
    command, retries = values.text("health_cmd"), values.number("health_retries") or 0
    durations = [
        parse_duration(f"--{name.replace('_', '-')}", values.text(name) or "0", MILLISECOND_NS) for name in _DURATIONS
    ]
    given = bool(command) or retries or any(durations)
    if values.flag("no_healthcheck"):
        if given:
            raise UsageError("--no-healthcheck conflicts with --health-* options")
        return Health(("NONE",))
    if retries < 0:
        raise UsageError("--health-retries: expected 0 or more")
    interval, timeout, period, start_interval = durations
    test = ("CMD-SHELL", command) if command else ()
    return Health(test, interval, timeout, period, start_interval, retries) if given else None


def _streams(values: Values) -> tuple[str, ...] | None:
    given = tuple(text.lower() for text in values.many("attach"))
    for text in given:
        if text not in STREAMS:
            raise UsageError(f"-a {text[:40]}: expected stdin, stdout or stderr")
    if given and values.has("detach") and values.flag("detach"):
        raise UsageError("-a and -d conflict: attach later, with `rootlay attach`")
    return given or None


def _oom_score(values: Values) -> int:
    score = values.number("oom_score_adj") or 0
    if not -1000 <= score <= 1000:
        raise UsageError(f"--oom-score-adj={score}: expected -1000 to 1000")
    return score


def _ulimits(values: Values) -> tuple[str, ...]:
    from rootlay.vfs.settings.ulimits import parse_ulimit

    try:
        return tuple(str(parse_ulimit(text)) for text in values.many("ulimit"))
    except ValueError as error:
        raise UsageError(f"--ulimit {error}") from None


def _address(option: str, text: str) -> str:
    with contextlib.suppress(ValueError):
        address = str(ip_address(text))
        if is_one_word(address):  # the scope of an IPv6 address may be anything
            return address
    raise UsageError(f"{option} {text[:80]}: not an IP address")


def parse_host(text: str) -> str:
    """Parse `NAME:ADDRESS` or `NAME=ADDRESS`; `host-gateway` is this machine. Returns `NAME:ADDRESS`. Raises
    UsageError."""
    name, sign, address = text.partition("=" if "=" in text else ":")
    if not is_one_word(name) or not sign or not address:
        raise UsageError(f"--add-host {text[:80]}: expected NAME:ADDRESS")
    address = address.removeprefix("[").removesuffix("]")
    return f"{name}:{address if address == 'host-gateway' else _address('--add-host', address)}"


def parse_exposed(text: str) -> list[str]:
    """Parse `PORT[-PORT][/PROTOCOL]`. Raises UsageError."""
    found = _PORTS.fullmatch(text)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if found is None or not 1 <= first <= last <= 65535:
        raise UsageError(f"--expose {text[:40]}: expected PORT[-PORT][/tcp|/udp]")
    return [f"{port}/{found[3] or 'tcp'}" for port in range(first, last + 1)]


def check_sysctls(values: Values) -> None:
    """Raise UsageError for a kernel parameter that the host has with another value: there is only the host's."""
    for text in values.many("sysctl"):
        name, sign, wanted = text.partition("=")
        if not sign or not re.fullmatch(r"[a-z0-9_./-]+", name) or ".." in name:
            raise UsageError(f"--sysctl {text[:80]}: expected NAME=VALUE")
        try:
            with open(f"/proc/sys/{name.replace('.', '/')}", encoding="utf-8") as file:
                found = file.read()
        except OSError as error:
            raise UsageError(f"--sysctl {text[:80]}: {error.strerror}") from None
        if found.split() != wanted.split():
            raise UsageError(
                f"--sysctl {text[:80]}: the kernel's parameters are the host's, where it is {' '.join(found.split())}; "
                "have it set there, or leave it out"
            )
