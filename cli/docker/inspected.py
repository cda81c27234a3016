"""Templates of `inspect`: first with the types of Docker's client, then with the plain JSON, as docker does.

With its types a field that the JSON leaves out is empty (`{{.Config.Healthcheck}}` is `<nil>`); with the JSON alone it
is an error, whose message is the one that is shown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rootlay.cli.spec import UsageError
from rootlay.cli.template.errors import TemplateError
from rootlay.cli.template.evaluate import Template
from rootlay.cli.template.values import JsonNumber, StringMap, Struct, TypedNil

INFO = "system.dockerInfo"
_P, _S, _M = "pointer", "slice", "map"
# For each struct: the fields that JSON may leave out or give as null, with their kind. `NAME*` is an element of NAME.
_CONFIG = {
    "Healthcheck": _P, "StopTimeout": _P, "ExposedPorts": _M, "Volumes": _M, "Labels": _M, "Cmd": _S, "Entrypoint": _S,
    "Env": _S, "OnBuild": _S, "Shell": _S, "StopSignal": "", "MacAddress": "", "ArgsEscaped": False,
    "NetworkDisabled": False, "Domainname": "", "Hostname": "", "User": "", "WorkingDir": "", "Image": "",
}  # fmt: skip
_STRUCTS: dict[str, dict[str, Any]] = {
    "": {"Mounts": _S, "Args": _S, "ExecIDs": _S, "RepoTags": _S, "RepoDigests": _S, "SizeRw": _P, "SizeRootFs": _P,
         "Labels": _M, "Options": _M, "UsageData": _P, "Status": _M, "Variant": "", "Comment": "", "Author": ""},
    "Config": _CONFIG,
    "State": {"Health": _P},
    "HostConfig": {"Binds": _S, "PortBindings": _M, "Tmpfs": _M, "Sysctls": _M, "Mounts": _S, "ExtraHosts": _S,
                   "CapAdd": _S, "CapDrop": _S, "VolumesFrom": _S, "Links": _S, "Dns": _S, "GroupAdd": _S, "Init": _P,
                   "DnsOptions": _S, "DnsSearch": _S, "MemorySwappiness": _P, "OomKillDisable": _P, "PidsLimit": _P,
                   "Ulimits": _S, "DeviceCgroupRules": _S, "DeviceRequests": _S, "Devices": _S, "SecurityOpt": _S,
                   "Annotations": _M, "StorageOpt": _M, "MaskedPaths": _S, "ReadonlyPaths": _S},
    "NetworkSettings": {"Ports": _M, "Networks": _M, "SecondaryIPAddresses": _S, "SecondaryIPv6Addresses": _S},
    "Networks*": {"IPAMConfig": _P, "Links": _S, "Aliases": _S, "DriverOpts": _M, "DNSNames": _S},
    "IPAM": {"Options": _M, "Config": _S},
    "RootFS": {"Layers": _S},
    "GraphDriver": {"Data": _M},
    "ClientInfo": {"APIVersion": "", "DefaultAPIVersion": "", "Platform": _P, "Warnings": _S},
    INFO: {"ProductLicense": "", "KernelMemory": False, "KernelMemoryTCP": False, "UserName": "", "ServerErrors": _S,
           "ClientErrors": _S, "DefaultAddressPools": _S, "Warnings": _S, "GenericResources": _S, "Containerd": _P},
}  # fmt: skip
_GO_NAMES = {
    "Id": "ID", "CpuCfsPeriod": "CPUCfsPeriod", "CpuCfsQuota": "CPUCfsQuota", "HttpProxy": "HTTPProxy",
    "HttpsProxy": "HTTPSProxy", "BridgeNfIp6tables": "BridgeNfIP6tables",
}  # fmt: skip
"""Fields of structs that have other names in JSON."""
_TEXT_MAPS = frozenset(
    {"Labels", "Options", "Tmpfs", "Sysctls", "Annotations", "StorageOpt", "DriverOpts", "LogConfig.Config"}
)
_MAPS = frozenset({"Ports", "Networks", "ExposedPorts", "Volumes", "PortBindings", "Containers", "Data", "Status"})


def execute(template: Template, document: Mapping[str, Any], kind: str = "") -> str:
    """Return the output of a template for a document. `kind`: docker has this type of it, and not its JSON.

    Raises UsageError, with Go's message.
    """
    try:
        return template.execute(_typed(document, "", kind))
    except TemplateError as error:
        if kind:
            raise UsageError(f"template parsing error: {error}") from None
    raw = json.loads(json.dumps(document), parse_int=JsonNumber, parse_float=JsonNumber)
    try:
        return template.execute(raw, strict=True)
    except TemplateError as error:
        raise UsageError(f"template parsing error: {error}") from None


def _typed(document: Mapping[str, Any], name: str, kind: str) -> Struct:
    """Return an object as a struct of Docker's client."""
    known = _STRUCTS.get(kind) or _STRUCTS.get(name, {})
    fields: dict[str, Any] = {}
    for key, item in document.items():
        fields[key] = _typed_field(f"{name}.{key}" if f"{name}.{key}" in _TEXT_MAPS else key, item)
    for key, default in known.items():
        if fields.get(key) is None:
            fields[key] = TypedNil(default, "") if default in (_P, _S, _M) else default
    fields = {_GO_NAMES.get(key, key): item for key, item in fields.items()}
    return Struct(kind, fields, {key: fields[_GO_NAMES.get(key, key)] for key in document})


def _typed_field(key: str, item: Any) -> Any:
    if isinstance(item, list):
        return [_typed_field(f"{key}*", element) for element in item]
    if not isinstance(item, dict):
        return item
    if key in _TEXT_MAPS:
        return StringMap(item)
    if key in _MAPS:
        return {name: _typed_field(f"{key}*", element) for name, element in item.items()}
    return _typed(item, key, f"*types.{key}")
