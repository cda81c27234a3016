"""Templates whose output is compared with that of the real `docker`, and the value that they are executed with.

The value is a volume whose `Status`, a map of anything in Docker's API, holds one value of each kind.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rootlay.cli.template.values import StringMap, Struct, TypedNil

TEMPLATES = Path(__file__).with_name("templates.txt").read_text(encoding="utf-8").splitlines()
NUMBERS = {"i": 5.0, "z": 0.0, "f": 1.5, "big": 1e6, "odd": 12345678.5, "tiny": 1e-7, "small": 0.00001, "huge": 1e21}
STATUS: dict[str, Any] = NUMBERS | {
    "t": True,
    "no": False,
    "n": None,
    "s": "héllo <b>&'\"",
    "empty": "",
    "lines": "a\nb\tc",
    "l": ["x", 1.0, None, ["y"], {"k": "v"}],
    "none": [],
    "words": ["one", "two", "three"],
    "m": {"k": "v", "j": {"q": 1.0}},
    "nothing": {},
}
VOLUME: dict[str, Any] = {
    "CreatedAt": "2026-01-02T03:04:05Z",
    "Driver": "local",
    "Labels": {"a": "x", "b": "y z"},
    "Mountpoint": "/srv/v",
    "Name": "v",
    "Options": None,
    "Scope": "local",
    "Status": STATUS,
}
DIFFERENT = {
    "{{with .Name}}{{.X}}{{end}}": "the message names the type interface {} where Go knows it as a string",
    '{{join 1 ","}}': "docker 28 has its own join, which takes any slice and has its own message",
}


def value() -> Struct:
    """Return VOLUME as the type volume.Volume of the Docker client."""
    fields: dict[str, Any] = {"ClusterVolume": TypedNil("pointer", "*volume.ClusterVolume"), **VOLUME}
    fields |= {"Labels": StringMap(VOLUME["Labels"]), "Options": TypedNil("map", "map[string]string")}
    fields["UsageData"] = TypedNil("pointer", "*volume.UsageData")
    return Struct("volume.Volume", fields, VOLUME)
