"""Devices by the Container Device Interface (CDI 0.8) and NVIDIA's graphics cards, as binds and variables.

A vendor's tool writes specifications to /etc/cdi or /var/run/cdi. Device nodes and mounts of a device become binds, its
variables are set. Hooks are not run: they change the root file system, such as its cache of libraries. So the
directories of the mounted libraries are put into LD_LIBRARY_PATH instead.
"""

from __future__ import annotations

import glob
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rootlay.store.containers.record import Bind
from rootlay.store.model.errors import RootlayError
from rootlay.store.model.value import value

PLACES = (Path("/etc/cdi"), Path("/var/run/cdi"))
NVIDIA = "nvidia.com/gpu"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*/[A-Za-z][A-Za-z0-9_.-]*=[A-Za-z0-9][A-Za-z0-9_.:-]*")
_LIBRARIES = ("libcuda.so*", "libnvidia-*.so*", "libnvcuvid.so*", "libnvoptix.so*", "libcudadebugger.so*")
_LIBRARY_PLACES = ("/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib/wsl/lib")
_PROGRAMS = ("nvidia-smi", "nvidia-debugdump", "nvidia-persistenced", "nvidia-cuda-mps-control")


class UnknownDevice(RootlayError):
    """A device that no specification and no driver of this machine offers."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name


@value
class Device:
    """What a container needs to use a device."""

    binds: tuple[Bind, ...] = ()
    env: tuple[str, ...] = ()


def is_cdi_name(text: str) -> bool:
    """Return whether a text is `VENDOR/CLASS=DEVICE`."""
    return _NAME.fullmatch(text) is not None


def find_device(name: str, places: Iterable[Path] = PLACES) -> Device:
    """Return the device `VENDOR/CLASS=DEVICE`. A specification in a later place wins.

    Raises:
        UnknownDevice: no specification has it, or a specification cannot be read.
    """
    kind, _, wanted = name.partition("=")
    found = None
    for spec in _specifications(places):
        if spec.get("kind") == kind:
            for device in spec.get("devices", ()):
                if device.get("name") == wanted:
                    found = _device([spec.get("containerEdits") or {}, device.get("containerEdits") or {}])
    if found is None:
        looked = " and ".join(map(str, places))
        raise UnknownDevice(name, f"no specification in {looked} has this device; `nvidia-ctk cdi generate` writes one")
    return found


def find_graphics_cards(indices: Iterable[str] | None, places: Iterable[Path] = PLACES) -> Device:
    """Return NVIDIA's cards: from their specification, or the driver's own files.

    Args:
        indices: numbers or UUIDs of the cards; None for all.

    Raises:
        UnknownDevice: this machine has none.
    """
    places = tuple(places)
    if any(spec.get("kind") == NVIDIA for spec in _specifications(places)):
        cards = [find_device(f"{NVIDIA}={index}", places) for index in ("all",) if indices is None] or [
            find_device(f"{NVIDIA}={index}", places) for index in indices or ()
        ]
        binds = {bind.target: bind for card in cards for bind in card.binds}
        return Device(tuple(binds.values()), tuple(dict.fromkeys(text for card in cards for text in card.env)))
    if not os.path.exists("/dev/nvidiactl"):
        looked = " and ".join(map(str, places))
        reason = (
            f"this machine has no NVIDIA driver (no /dev/nvidiactl), and {looked} have no specification of {NVIDIA}"
        )
        raise UnknownDevice("--gpus", f"{reason}; other cards: --device /dev/dri")
    return _driver_files(None if indices is None else tuple(indices))


def _driver_files(indices: tuple[str, ...] | None) -> Device:
    nodes = [path for path in glob.glob("/dev/nvidia*") if not re.fullmatch(r"/dev/nvidia\d+", path)]
    nodes += glob.glob("/dev/nvidia[0-9]*") if indices is None else [f"/dev/nvidia{index}" for index in indices]
    files = [path for place in _LIBRARY_PLACES for name in _LIBRARIES for path in glob.glob(f"{place}/{name}")]
    files += [path for name in _PROGRAMS if os.path.exists(path := f"/usr/bin/{name}")]
    binds = [Bind(path, path) for path in nodes] + [Bind(path, path, True) for path in files]
    return Device(tuple(binds), _library_path(binds))


def _specifications(places: Iterable[Path]) -> Iterator[Mapping[str, Any]]:
    for place in places:
        for path in sorted((*place.glob("*.json"), *place.glob("*.yaml"), *place.glob("*.yml"))):
            try:
                spec = json.loads(path.read_bytes()) if path.suffix == ".json" else _yaml(path)
            except (OSError, ValueError) as error:
                raise UnknownDevice(str(path), f"cannot be read: {error}") from error
            if isinstance(spec, Mapping):
                yield spec


def _yaml(path: Path) -> Any:
    try:
        import yaml  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        raise UnknownDevice(str(path), "needs PyYAML; or convert it: `nvidia-ctk cdi generate --format=json`") from None
    return yaml.safe_load(path.read_bytes())


def _device(edits: Iterable[Mapping[str, Any]]) -> Device:
    binds: dict[str, Bind] = {}
    env: list[str] = []
    for edit in edits:
        env += edit.get("env") or ()
        for node in edit.get("deviceNodes") or ():
            binds[node["path"]] = Bind(node.get("hostPath") or node["path"], node["path"])
        for mount in edit.get("mounts") or ():
            read_only = "ro" in (mount.get("options") or ("ro",))
            binds[mount["containerPath"]] = Bind(mount["hostPath"], mount["containerPath"], read_only)
    return Device(tuple(binds.values()), (*env, *_library_path(binds.values())))


def _library_path(binds: Iterable[Bind]) -> tuple[str, ...]:
    places = dict.fromkeys(os.path.dirname(bind.target) for bind in binds if ".so" in os.path.basename(bind.target))
    return (f"LD_LIBRARY_PATH={':'.join(places)}",) if places else ()
