"""The error of copies, apart from them: those who only answer it do not load them."""

from __future__ import annotations

from rootlay.store.model.errors import RootlayError, printable


class CopyRefused(RootlayError):
    """Source and destination do not fit together."""

    def __init__(self, path: bytes, reason: str) -> None:
        super().__init__(f"{printable(path)}: {reason}")
        self.path = path
        self.reason = reason
