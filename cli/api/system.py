"""`/_ping`, `/version`, `/info` and `/system/df`."""

from __future__ import annotations

import os
import platform
import re
import time
from importlib.metadata import version as installed_version
from typing import Any

from rootlay.cli.api.call import Call
from rootlay.store.containers.containers import Containers
from rootlay.store.disk.walktree import content_bytes, disk_bytes
from rootlay.store.model.progress import unheard
from rootlay.store.store import ImageStore
from rootlay.store.volumes.volumes import Volumes
from rootlay.vfs.build.cache.usage import list_cache
from rootlay.vfs.docker.containers import status_of, summarize_container
from rootlay.vfs.docker.images import summarize_images
from rootlay.vfs.docker.times import rfc3339_nano
from rootlay.vfs.docker.versions import API_VERSION, ENGINE_VERSION, MIN_API_VERSION

_PLUGINS = {"Volume": ["local"], "Network": ["bridge", "host", "null"], "Authorization": None, "Log": ["json-file"]}
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


OWN_VERSION = installed_version("rootlay")
"""Read once, before the forks: it takes milliseconds."""


def ping(call: Call) -> None:
    """GET and HEAD /_ping"""
    headers = {
        "Content-Type": "text/plain; charset=utf-8", "Builder-Version": "1", "Swarm": "inactive",
        "Cache-Control": "no-cache, no-store, must-revalidate", "Pragma": "no-cache",
    }  # fmt: skip
    call.exchange.reply_bytes(200, b"OK", headers)


def version(call: Call) -> dict[str, Any]:
    """GET /version"""
    del call
    own, machine = OWN_VERSION, os.uname().machine
    details = {
        "ApiVersion": API_VERSION, "MinAPIVersion": MIN_API_VERSION, "Os": "linux", "Experimental": "false",
        "Arch": _ARCHITECTURES.get(machine, machine), "KernelVersion": os.uname().release, "GitCommit": own,
        "GoVersion": f"python{platform.python_version()}", "BuildTime": "1970-01-01T00:00:00.000000000+00:00",
    }  # fmt: skip
    return {
        "Platform": {"Name": f"rootlay {own}"},
        "Components": [
            {"Name": "Engine", "Version": ENGINE_VERSION, "Details": details},
            {"Name": "rootlay", "Version": own, "Details": {"GitCommit": own}},
        ],
        "Version": ENGINE_VERSION,
        "ApiVersion": API_VERSION,
        "MinAPIVersion": MIN_API_VERSION,
        "GitCommit": own,
        "GoVersion": details["GoVersion"],
        "Os": "linux",
        "Arch": details["Arch"],
        "KernelVersion": details["KernelVersion"],
        "BuildTime": details["BuildTime"],
    }


def info(call: Call) -> dict[str, Any]:
    """GET /info"""
    images = len({record.id for record in ImageStore.open(call.root).images(unheard)})  # makes a missing store
    records = list(Containers(call.root).iter_all())
    kinds = [status_of(record).kind for record in records]
    own, environ = OWN_VERSION, call.context.environ
    commit = {"ID": own, "Expected": own}
    return {
        "ID": f"rootlay-{os.stat(call.root).st_ino}",
        "Containers": len(records),
        "ContainersRunning": sum(kind in ("running", "restarting") for kind in kinds),
        "ContainersPaused": kinds.count("paused"),
        "ContainersStopped": sum(kind in ("created", "exited", "dead") for kind in kinds),
        "Images": images,
        "Driver": "rootlay",
        "DriverStatus": [["Engine", "seccomp and Landlock, without root, mounts or namespaces"]],
        "Plugins": _PLUGINS,
        "MemoryLimit": False,
        "SwapLimit": False,
        "CpuCfsPeriod": False,
        "CpuCfsQuota": False,
        "CPUShares": False,
        "CPUSet": True,
        "PidsLimit": False,
        "IPv4Forwarding": True,
        "BridgeNfIptables": False,
        "BridgeNfIp6tables": False,
        "Debug": False,
        "NFd": len(os.listdir("/proc/self/fd")),
        "OomKillDisable": False,
        "NGoroutines": 1,
        "SystemTime": rfc3339_nano(time.time_ns()),
        "LoggingDriver": "json-file",
        "CgroupDriver": "none",
        "CgroupVersion": "2",
        "NEventsListener": 0,
        "KernelVersion": os.uname().release,
        "OperatingSystem": _system(),
        "OSVersion": "",
        "OSType": "linux",
        "Architecture": os.uname().machine,
        "IndexServerAddress": "https://index.docker.io/v1/",
        "RegistryConfig": {
            "AllowNondistributableArtifactsCIDRs": None,
            "AllowNondistributableArtifactsHostnames": None,
            "InsecureRegistryCIDRs": ["127.0.0.0/8", "::1/128"],
            "IndexConfigs": {"docker.io": {"Name": "docker.io", "Mirrors": [], "Secure": True, "Official": True}},
            "Mirrors": None,
        },
        "NCPU": len(os.sched_getaffinity(0)),
        "MemTotal": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "GenericResources": None,
        "DockerRootDir": str(call.root),
        "HttpProxy": _without_login(environ.get("HTTP_PROXY", environ.get("http_proxy", ""))),
        "HttpsProxy": _without_login(environ.get("HTTPS_PROXY", environ.get("https_proxy", ""))),
        "NoProxy": environ.get("NO_PROXY", environ.get("no_proxy", "")),
        "Name": os.uname().nodename,
        "Labels": [],
        "ExperimentalBuild": False,
        "ServerVersion": ENGINE_VERSION,
        "Runtimes": {"rootlay": {"path": "rootlay"}},
        "DefaultRuntime": "rootlay",
        "Swarm": {
            "NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive", "ControlAvailable": False, "Error": "",
            "RemoteManagers": None,
        },
        "LiveRestoreEnabled": True,
        "Isolation": "",
        "InitBinary": "",
        "ContainerdCommit": commit,
        "RuncCommit": commit,
        "InitCommit": commit,
        "SecurityOptions": ["name=seccomp,profile=rootlay", "name=rootless"],
        "CDISpecDirs": [],
        "Warnings": None,
    }  # fmt: skip


def _without_login(proxy: str) -> str:
    """Return a proxy's address without user and password, in Docker's form."""
    return re.sub("//[^/]*@", "//xxxxx:xxxxx@", proxy)


def _system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return "Linux"


def disk_usage(call: Call) -> dict[str, Any]:
    """GET /system/df"""
    kinds = call.query["type"] or ["container", "image", "volume", "build-cache"]
    found: dict[str, Any] = {"LayersSize": 0, "Images": None, "Containers": None, "Volumes": None, "BuildCache": None}
    if "image" in kinds:
        store = ImageStore.open(call.root)
        found["LayersSize"] = disk_bytes(call.root / "blobs")
        used = [summarize_container(record)["ImageID"] for record in Containers(call.root).iter_all()]
        found["Images"] = [
            {**image, "Containers": used.count(image["Id"]), "SharedSize": 0} for image in summarize_images(store)
        ]
    if "container" in kinds:
        found["Containers"] = [summarize_container(record, sized=True) for record in Containers(call.root).iter_all()]
    if "volume" in kinds:
        found["Volumes"] = list(_volumes(call))
    if "build-cache" in kinds:
        found["BuildCache"] = _build_cache(call)
    return found


def _volumes(call: Call) -> list[dict[str, Any]]:
    from rootlay.cli.api.volumes import to_json

    volumes = Volumes(call.root)
    users = volumes.users()
    return [
        {
            **to_json(volume),
            "UsageData": {"Size": content_bytes(volume.path), "RefCount": len(users.get(volume.name, []))},
        }
        for volume in volumes.iter_all()
    ]


def _build_cache(call: Call) -> list[dict[str, Any]]:
    return [
        {
            "ID": item.id,
            "Type": "exec.cachemount" if item.kind == "mount" else "regular",
            "Description": item.text,
            "InUse": False,
            "Shared": item.shared,
            "Size": item.size_bytes,
            "CreatedAt": item.created or rfc3339_nano(int(item.used_s * 1e9)),
            "LastUsedAt": rfc3339_nano(int(item.used_s * 1e9)),
            "UsageCount": 1,
            "Parents": None,
        }
        for item in list_cache(ImageStore.open(call.root))
    ]
