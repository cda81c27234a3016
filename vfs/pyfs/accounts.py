"""Names of users and groups in the image, not those of the machine."""

from __future__ import annotations

from rootlay.vfs.overlay.overlay import Overlay
from rootlay.vfs.run.user import parse_table

_SMALL_FILE_BYTES = 4 << 20
_Version = tuple[int, int, int]


class Accounts:
    """The names in /etc/passwd and /etc/group of one merged tree. Read again when those files change."""

    def __init__(self, overlay: Overlay) -> None:
        self._overlay = overlay
        self._known: dict[str, tuple[_Version, dict[int, str]]] = {}

    def user(self, uid: int) -> str | None:
        """Return the name of a user; None if the image has none for the number."""
        return self._names("/etc/passwd", 7).get(uid)

    def group(self, gid: int) -> str | None:
        """Return the name of a group; None if the image has none for the number."""
        return self._names("/etc/group", 4).get(gid)

    def _names(self, path: str, columns: int) -> dict[int, str]:
        try:
            now = self._overlay.stat(path)
            version = (now.ino, now.mtime_ns, now.size)
            known = self._known.get(path)
            if known is not None and known[0] == version:
                return known[1]
            with self._overlay.open_content(path) as file:
                rows = parse_table(file.read(_SMALL_FILE_BYTES), columns)
        except OSError:
            return {}
        names: dict[int, str] = {}
        for row in rows:
            names.setdefault(int(row[2]), row[0])
        self._known[path] = (version, names)
        return names
