"""The members of Docker's HostConfig, with the values that a daemon shows if the client gives none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rootlay.store.containers.health import health_json

if TYPE_CHECKING:
    from rootlay.store.containers.settings import Settings

HOST_CONFIG: dict[str, Any] = {
    "Binds": None,
    "ContainerIDFile": "",
    "LogConfig": {"Type": "json-file", "Config": {}},
    "NetworkMode": "",
    "PortBindings": {},
    "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
    "AutoRemove": False,
    "VolumeDriver": "",
    "VolumesFrom": None,
    "ConsoleSize": [0, 0],
    "CapAdd": None,
    "CapDrop": None,
    "CgroupnsMode": "host",
    "Dns": [],
    "DnsOptions": [],
    "DnsSearch": [],
    "ExtraHosts": None,
    "GroupAdd": None,
    "IpcMode": "private",
    "Cgroup": "",
    "Links": None,
    "OomScoreAdj": 0,
    "PidMode": "",
    "Privileged": False,
    "PublishAllPorts": False,
    "ReadonlyRootfs": False,
    "SecurityOpt": None,
    "UTSMode": "",
    "UsernsMode": "",
    "ShmSize": 67108864,
    "Runtime": "rootlay",
    "Isolation": "",
    "CpuShares": 0,
    "Memory": 0,
    "NanoCpus": 0,
    "CgroupParent": "",
    "BlkioWeight": 0,
    "BlkioWeightDevice": [],
    "BlkioDeviceReadBps": [],
    "BlkioDeviceWriteBps": [],
    "BlkioDeviceReadIOps": [],
    "BlkioDeviceWriteIOps": [],
    "CpuPeriod": 0,
    "CpuQuota": 0,
    "CpuRealtimePeriod": 0,
    "CpuRealtimeRuntime": 0,
    "CpusetCpus": "",
    "CpusetMems": "",
    "Devices": [],
    "DeviceCgroupRules": None,
    "DeviceRequests": None,
    "MemoryReservation": 0,
    "MemorySwap": 0,
    "MemorySwappiness": None,
    "OomKillDisable": False,
    "PidsLimit": None,
    "Ulimits": [],
    "CpuCount": 0,
    "CpuPercent": 0,
    "IOMaximumIOps": 0,
    "IOMaximumBandwidth": 0,
    "MaskedPaths": [],
    "ReadonlyPaths": [],
}


_NOT_GIVEN = {"LogConfig": {"Type": "", "Config": {}}, "MemorySwappiness": -1, "PidsLimit": 0, "Isolation": "default"}
"""What Docker's client sends for an option that its user has not given, where that is not empty."""


def is_given(name: str, found: Any) -> bool:
    """Return whether a client's value of a member counts, and not the daemon's own default."""
    return found is not None and found != _NOT_GIVEN.get(name) and bool(found or not HOST_CONFIG.get(name))


def of_settings(settings: Settings) -> dict[str, Any]:
    """Return the members of HostConfig that the settings of a container have."""
    found: dict[str, Any] = {"RestartPolicy": _restart_policy(settings.restart)}
    for name, given in (
        ("Dns", settings.dns), ("DnsOptions", settings.dns_options), ("DnsSearch", settings.dns_search),
        ("ExtraHosts", settings.hosts), ("GroupAdd", settings.groups),
    ):  # fmt: skip
        if given:
            found[name] = list(given)
    if settings.read_only:
        found["ReadonlyRootfs"] = True
    if settings.publish_all:
        found["PublishAllPorts"] = True
    if settings.oom_score_adj:
        found["OomScoreAdj"] = settings.oom_score_adj
    if settings.ulimits:
        found["Ulimits"] = [_ulimit(text) for text in settings.ulimits]
    if limits := settings.limits:
        members = (
            ("Memory", limits.memory_bytes), ("MemorySwap", limits.memory_swap_bytes), ("NanoCpus", limits.nano_cpus),
            ("CpuPeriod", limits.cpu_period_us), ("CpuQuota", limits.cpu_quota_us), ("CpusetCpus", limits.cpuset),
            ("PidsLimit", limits.pids),
        )  # fmt: skip
        found |= {name: amount for name, amount in members if amount}
    return found


def _restart_policy(text: str) -> dict[str, Any]:
    name, _, count = text.partition(":")
    return {"Name": name, "MaximumRetryCount": int(count or 0)}


def _ulimit(text: str) -> dict[str, Any]:
    name, _, values = text.partition("=")
    soft, _, hard = values.partition(":")
    return {"Name": name, "Soft": int(soft), "Hard": int(hard or soft)}


def config_of_settings(settings: Settings) -> dict[str, Any]:
    """Return the members of Config that the settings of a container have."""
    found: dict[str, Any] = {}
    if settings.domainname:
        found["Domainname"] = settings.domainname
    if settings.exposed:
        found["ExposedPorts"] = {port: {} for port in settings.exposed}
    if settings.stop_signal:
        found["StopSignal"] = settings.stop_signal
    if settings.stop_timeout_s is not None:
        found["StopTimeout"] = settings.stop_timeout_s
    if settings.health:
        found["Healthcheck"] = health_json(settings.health)
    return found
