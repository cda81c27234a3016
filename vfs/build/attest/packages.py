"""The packages of an image, from the records that package managers keep in its files.

| Manager | Record |
|---|---|
| dpkg | `/var/lib/dpkg/status`, `/var/lib/dpkg/status.d/*` (distroless) |
| apk | `/lib/apk/db/installed`, `/usr/lib/apk/db/installed` |
| rpm | `/var/lib/rpm/rpmdb.sqlite`, `/usr/lib/sysimage/rpm/rpmdb.sqlite` |
| Python | `*.dist-info/METADATA`, `*.egg-info/PKG-INFO` |
| npm | `node_modules/**/package.json` |

A record that cannot be read gives no packages: a bill of materials must not stop a build.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import quote

from rootlay.store.model.value import value
from rootlay.vfs.build.attest.rpmdb import read_rpm
from rootlay.vfs.overlay.overlay import Overlay

_RECORD_MAX = 256 << 20
_SMALL_MAX = 1 << 20
_SKIPPED = frozenset((b"proc", b"sys", b"dev"))


@value
class Package:
    """A package in an image. `kind` is its type in package URLs; `license` as the package states it; `source` the file
    that records it."""

    kind: str
    name: str
    version: str
    architecture: str = ""
    license: str = ""
    source: str = ""

    def url(self, distribution: str) -> str:
        """Return the package URL (github.com/package-url/purl-spec); `distribution` is the ID of /etc/os-release."""
        name = self.name.lower().replace("_", "-") if self.kind == "pypi" else self.name
        of_system = self.kind in ("deb", "apk", "rpm")
        space = f"{quote(distribution or 'linux', safe='')}/" if of_system else ""
        tail = f"?arch={quote(self.architecture, safe='')}" if self.architecture else ""
        return f"pkg:{self.kind}/{space}{quote(name, safe='/')}@{quote(self.version, safe='')}{tail}"


def distribution_of(tree: Overlay) -> tuple[str, str]:
    """Return ID and VERSION_ID of /etc/os-release; empty if there is none."""
    found = {"ID": "", "VERSION_ID": ""}
    for path in (b"/etc/os-release", b"/usr/lib/os-release"):
        for line in _read(tree, path, _SMALL_MAX).decode("utf-8", "replace").splitlines():
            key, sign, text = line.partition("=")
            if sign and key in found and not found[key]:
                found[key] = text.strip().strip("\"'")
    return found["ID"], found["VERSION_ID"]


def list_packages(tree: Overlay) -> list[Package]:
    """Return all packages, sorted, each once."""
    found = [*_dpkg(tree), *_apk(tree), *_rpm(tree), *_languages(tree)]
    unique = {(each.kind, each.name, each.version, each.architecture): each for each in found}
    return [unique[key] for key in sorted(unique)]


def _read(tree: Overlay, path: bytes, limit: int) -> bytes:
    """Return the content of a regular file, with links followed in the image; empty if it is missing or larger."""
    with suppress(OSError):
        status = tree.stat(path)
        if stat.S_ISREG(status.mode) and status.size <= limit:
            with tree.open_content(path) as stream:
                return stream.read()
    return b""


def _paragraphs(text: str) -> Iterator[dict[str, str]]:
    """Yield the paragraphs of a Debian control file; continuation lines are left out."""
    for paragraph in text.split("\n\n"):
        lines = (line.partition(":") for line in paragraph.splitlines() if line[:1] not in (" ", "\t"))
        fields = {key: rest.strip() for key, sign, rest in lines if sign}
        if fields:
            yield fields


def _dpkg(tree: Overlay) -> Iterator[Package]:
    directory = b"/var/lib/dpkg/status.d"
    names = []
    with suppress(OSError):
        names = [directory + b"/" + name for name in tree.listdir(directory) if not name.endswith(b".md5sums")]
    for path in (b"/var/lib/dpkg/status", *names):
        for fields in _paragraphs(_read(tree, path, _RECORD_MAX).decode("utf-8", "replace")):
            if fields.get("Status", "install ok installed").endswith(" installed") and "Version" in fields:
                name, version = fields.get("Package", ""), fields["Version"]
                yield Package("deb", name, version, fields.get("Architecture", ""), "", os.fsdecode(path))


def _apk(tree: Overlay) -> Iterator[Package]:
    for path in (b"/lib/apk/db/installed", b"/usr/lib/apk/db/installed"):
        for paragraph in _read(tree, path, _RECORD_MAX).decode("utf-8", "replace").split("\n\n"):
            fields = {line[:1]: line[2:] for line in paragraph.splitlines() if line[1:2] == ":"}
            if "P" in fields and "V" in fields:
                yield Package(
                    "apk", fields["P"], fields["V"], fields.get("A", ""), fields.get("L", ""), os.fsdecode(path)
                )


def _rpm(tree: Overlay) -> Iterator[Package]:
    for path in (b"/var/lib/rpm/rpmdb.sqlite", b"/usr/lib/sysimage/rpm/rpmdb.sqlite"):
        data = _read(tree, path, _RECORD_MAX)
        for fields in read_rpm(data) if data else ():
            epoch = f"{fields['epoch']}:" if fields.get("epoch") else ""
            version = f"{epoch}{fields.get('version', '')}-{fields.get('release', '')}"
            license_ = fields.get("license", "")
            yield Package("rpm", fields.get("name", ""), version, fields.get("arch", ""), license_, os.fsdecode(path))


def _languages(tree: Overlay) -> Iterator[Package]:
    for path in _records(tree, b"/"):
        data = _read(tree, path, _SMALL_MAX)
        if path.endswith(b"/package.json"):
            yield from _npm(data, os.fsdecode(path))
        else:
            head = data.decode("utf-8", "replace").split("\n\n", 1)[0]
            for fields in _paragraphs(head):
                if "Name" in fields and "Version" in fields:
                    license_ = fields.get("License-Expression") or fields.get("License", "")
                    yield Package("pypi", fields["Name"], fields["Version"], "", license_, os.fsdecode(path))


def _npm(data: bytes, source: str) -> Iterator[Package]:
    with suppress(ValueError, RecursionError):
        found = json.loads(data)
        if isinstance(found, dict) and isinstance(found.get("name"), str) and isinstance(found.get("version"), str):
            license_ = found.get("license")
            yield Package(
                "npm", found["name"], found["version"], "", license_ if isinstance(license_, str) else "", source
            )


def _records(tree: Overlay, top: bytes) -> Iterator[bytes]:
    """Yield the paths of records of Python and npm packages, in a tree of any depth."""
    pending = [top]
    while pending:
        directory = pending.pop()
        with suppress(OSError):
            for entry in tree.scandir(directory):
                path = directory.rstrip(b"/") + b"/" + entry.name
                if entry.is_dir:
                    if directory == b"/" and entry.name in _SKIPPED:
                        continue
                    pending.append(path)
                elif _is_record(directory, entry.name):
                    yield path


def _is_record(directory: bytes, name: bytes) -> bool:
    if name == b"METADATA":
        return directory.endswith(b".dist-info")
    if name == b"PKG-INFO":
        return directory.endswith(b".egg-info")
    if name != b"package.json":
        return False
    above = directory.rsplit(b"/", 2)  # node_modules/NAME or node_modules/@SCOPE/NAME
    return len(above) == 3 and (above[1] == b"node_modules" or (above[1][:1] == b"@" and b"/node_modules" in directory))
