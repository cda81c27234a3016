"""The devices of --device and --gpus."""

from __future__ import annotations

import csv
import os
import re

from rootlay.cli.container.targets import mount_target
from rootlay.cli.spec import UsageError, Values
from rootlay.store.containers.record import Bind
from rootlay.vfs.containers.cdi import Device, find_device, find_graphics_cards, is_cdi_name


def parse_devices(values: Values) -> list[Bind]:
    """Return the binds of all devices. Raises UsageError, UnknownDevice."""
    own = [parse_device(text) for text in values.many("device") if not is_cdi_name(text)]
    return [*own, *(bind for device in offered_devices(values) for bind in device.binds)]


def offered_devices(values: Values) -> list[Device]:
    """Return the devices by CDI, and those of --gpus. Raises UsageError, UnknownDevice."""
    found = [find_device(text) for text in values.many("device") if is_cdi_name(text)]
    return found + [_cards(text) for text in values.many("gpus")]


def parse_device(text: str) -> Bind:
    """Parse `HOST[:CTR][:rwm]`. Raises UsageError."""
    parts = text.split(":")
    access = parts.pop() if len(parts) > 1 and re.fullmatch("[rwm]{1,3}", parts[-1]) else "rwm"
    if len(parts) > 2 or not all(part.startswith("/") for part in parts):
        raise UsageError(f"--device {text}: expected HOST[:CTR][:rwm] with absolute paths, or VENDOR/CLASS=DEVICE")
    if not os.path.exists(parts[0]):
        raise UsageError(f"--device {text}: {parts[0]}: no such device")
    return Bind(parts[0], mount_target("--device", text, parts[-1]), "w" not in access)


def _cards(text: str) -> Device:
    """Parse `all`, a number, or `device=ID,…` (with other members, which are about the driver's features)."""
    members = dict(word.partition("=")[::2] for word in next(csv.reader([text]), []))
    if "all" in members or members.get("count") == "all" or text == "-1":
        return find_graphics_cards(None)
    count = members.get("count", text)
    if "device" in members:
        return find_graphics_cards(
            [word for word in text.partition("device=")[2].strip('"').split(",") if "=" not in word]
        )
    if not count.isdigit():
        raise UsageError(f"--gpus {text}: expected all, a number of cards, or device=ID")
    return find_graphics_cards(list(map(str, range(int(count)))))
