"""Archives for ADD that have links where directories are expected, and names that lead out of the target."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

_D, _L, _H = tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
_F = tarfile.REGTYPE
ARCHIVES: dict[str, list[tuple[str, bytes, str]]] = {
    "base.tar": [
        ("opt/", _D, ""),
        ("opt/f", _L, "/etc/target"),
        ("opt/dlink", _L, "/srv"),
        ("opt/up", _L, ".."),
        ("opt/abs", _L, "/etc"),
        ("opt/sub", _L, "/srv"),
        ("etc/", _D, ""),
        ("etc/target", _F, "old"),
        ("srv/", _D, ""),
        ("srv/deep/", _D, ""),
        ("sl", _L, "srv/deep"),
        ("dangling", _L, "/no/where"),
    ],
    "through.tar": [("dir", _L, ".."), ("dir/file", _F, "through")],
    "abs.tar": [("abs/file", _F, "abs")],
    "up.tar": [("up/file", _F, "up")],
    "abslink.tar": [("l", _L, "/etc"), ("l/file", _F, "l")],
    "dangling.tar": [("l", _L, "nowhere"), ("l/file", _F, "l")],
    "hard.tar": [("h", _H, "etc/target")],
    "overdir.tar": [("srv", _F, "file")],
    "linkdir.tar": [("opt/dlink/", _D, "")],
    "dotdot.tar": [("../esc", _F, "esc"), ("a/../../b", _F, "b")],
}
"""By name: members of each archive, with type, and content or target."""


def write_archives(directory: Path) -> None:
    """Write all archives."""
    for name, members in ARCHIVES.items():
        with tarfile.open(directory / name, "w") as tar:
            for path, kind, text in members:
                member = tarfile.TarInfo(path)
                member.type, member.mode = kind, 0o755 if kind == _D else 0o644
                member.linkname = "" if kind == _F else text
                member.size = len(text) if kind == _F else 0
                tar.addfile(member, io.BytesIO(text.encode()))
