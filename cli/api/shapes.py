"""The JSON of requests: which members have values of which kind (Docker's API 1.47).

A shape is `str`, `bool`, `int`, `WORDS` (a list of texts, or one text), `[shape]` (a list), `{"*": shape}` (any names)
or an object with the shapes of its members; other members are ignored. Null fits each shape: as in Docker, a member
that is null is not given, and null in a list or as one of any names is the empty value.
"""

from __future__ import annotations

from typing import Any

from rootlay.cli.api.errors import bad_parameter
from rootlay.store.model.cstring import is_c_string

Shape = Any
WORDS = "words"
_INT_END = 1 << 63
_NAMES = {str: "a text", bool: "true or false", int: "a whole number", WORDS: "a list of texts"}

_TABLE: Shape = {"*": str}
_OBJECT: Shape = {}
_HEALTH: Shape = {
    "Test": [str], "Interval": int, "Timeout": int, "StartPeriod": int, "StartInterval": int, "Retries": int,
}  # fmt: skip
_ENDPOINT: Shape = {
    "IPAMConfig": {"IPv4Address": str, "IPv6Address": str, "LinkLocalIPs": [str]}, "Links": [str], "Aliases": [str],
    "MacAddress": str, "DriverOpts": _TABLE,
}  # fmt: skip
_MOUNT: Shape = {
    "Type": str, "Source": str, "Target": str, "ReadOnly": bool, "Consistency": str,
    "BindOptions": {"Propagation": str, "NonRecursive": bool, "CreateMountpoint": bool},
    "VolumeOptions": {
        "NoCopy": bool, "Labels": _TABLE, "Subpath": str, "DriverConfig": {"Name": str, "Options": _TABLE},
    },
    "TmpfsOptions": {"SizeBytes": int, "Mode": int},
}  # fmt: skip
UPDATE: Shape = {
    "Memory": int, "MemorySwap": int, "MemoryReservation": int, "NanoCpus": int, "CpuShares": int, "CpuPeriod": int,
    "CpuQuota": int, "CpusetCpus": str, "PidsLimit": int, "BlkioWeight": int,
    "RestartPolicy": {"Name": str, "MaximumRetryCount": int},
}  # fmt: skip
_HOST: Shape = {
    **UPDATE, "Binds": [str], "Mounts": [_MOUNT], "Tmpfs": _TABLE, "VolumesFrom": [str], "NetworkMode": str,
    "PortBindings": {"*": [{"HostIp": str, "HostPort": str}]}, "PublishAllPorts": bool, "AutoRemove": bool,
    "Dns": [str], "DnsOptions": [str], "DnsSearch": [str], "ExtraHosts": [str], "GroupAdd": [str], "ShmSize": int,
    "OomScoreAdj": int, "ReadonlyRootfs": bool, "Privileged": bool, "Init": bool, "Links": [str], "CapAdd": [str],
    "CapDrop": [str], "SecurityOpt": [str], "IpcMode": str, "PidMode": str, "UTSMode": str, "UsernsMode": str,
    "Ulimits": [{"Name": str, "Soft": int, "Hard": int}], "LogConfig": {"Type": str, "Config": _TABLE},
    "Devices": [{"PathOnHost": str, "PathInContainer": str, "CgroupPermissions": str}], "Sysctls": _TABLE,
}  # fmt: skip
CREATE: Shape = {
    "Image": str, "Hostname": str, "Domainname": str, "User": str, "WorkingDir": str, "StopSignal": str,
    "StopTimeout": int, "Tty": bool, "OpenStdin": bool, "StdinOnce": bool, "AttachStdin": bool, "AttachStdout": bool,
    "AttachStderr": bool, "Env": [str], "Cmd": WORDS, "Entrypoint": WORDS, "Shell": WORDS, "OnBuild": [str],
    "Labels": _TABLE,
    "ExposedPorts": {"*": _OBJECT}, "Volumes": {"*": _OBJECT}, "Healthcheck": _HEALTH, "HostConfig": _HOST,
    "NetworkingConfig": {"EndpointsConfig": {"*": _ENDPOINT}},
}  # fmt: skip
EXEC: Shape = {
    "Cmd": [str], "Env": [str], "WorkingDir": str, "User": str, "Tty": bool, "AttachStdin": bool, "AttachStdout": bool,
    "AttachStderr": bool, "Privileged": bool, "DetachKeys": str,
}  # fmt: skip
EXEC_START: Shape = {"Detach": bool, "Tty": bool, "ConsoleSize": [int]}
NETWORK: Shape = {
    "Name": str, "Driver": str, "Labels": _TABLE, "Options": _TABLE, "Internal": bool, "Attachable": bool,
    "EnableIPv6": bool, "IPAM": {"Driver": str, "Options": _TABLE, "Config": [_OBJECT]},
}  # fmt: skip
CONNECT: Shape = {"Container": str, "EndpointConfig": _ENDPOINT, "Force": bool}
VOLUME: Shape = {"Name": str, "Driver": str, "Labels": _TABLE, "DriverOpts": _TABLE}
LOGIN: Shape = {"username": str, "password": str, "serveraddress": str, "identitytoken": str}


def read_json(shape: Shape, found: Any, name: str = "") -> Any:
    """Return a value of a request without nulls. `name` is that of its member, with those around it.

    Raises ApiError: a value of another kind, with the member's name.
    """
    if found is None:
        return _empty(shape)
    if isinstance(shape, dict):
        if not isinstance(found, dict):
            raise _wrong(name, "an object")
        return {
            read_json(str, key, name): read_json(shape.get("*", shape.get(key, ...)), item, f"{name}.{key}".lstrip("."))
            for key, item in found.items()
            if item is not None or "*" in shape
        }
    if isinstance(shape, list) or (shape is WORDS and not isinstance(found, str)):
        if not isinstance(found, list):
            raise _wrong(name, "a list")
        return [read_json(str if shape is WORDS else shape[0], item, name) for item in found]
    if shape is int:
        if type(found) is not int or not -_INT_END <= found < _INT_END:
            raise _wrong(name, _NAMES[int])
    elif shape is not ...:
        kind = str if shape is WORDS else shape
        if not isinstance(found, kind) or (kind is str and not is_c_string(found)):
            raise _wrong(name, _NAMES[shape])
    return found


def _empty(shape: Shape) -> Any:
    if isinstance(shape, type):
        return shape()
    return None if shape is ... else {} if isinstance(shape, dict) else []


def _wrong(name: str, kind: str) -> Exception:
    return bad_parameter(f"invalid JSON: {name[:200].encode(errors='replace').decode()}: {kind} is expected")
