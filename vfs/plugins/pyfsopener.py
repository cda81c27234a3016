"""PyFilesystem2's URLs: `rootlay://IMAGE[!/path]` and `rootlay+container://NAME[!/path]`.

    fs.open_fs("rootlay://debian!/etc")                       # read-only
    fs.open_fs("rootlay+container://c1", writeable=True)
    fs.open_fs("rootlay://debian?store=/project/images")      # another store than the user's own

Registered by entry point: PyFilesystem2 imports it when the protocol is used. Closing a file system closes everything
that was opened for it.
"""

from __future__ import annotations

from typing import Any

from rootlay.store.model.errors import RootlayError
from rootlay.vfs.api.store import Store
from rootlay.vfs.pyfs.importfs import import_pyfs

import_pyfs()

from fs import errors  # noqa: E402
from fs.base import FS  # noqa: E402
from fs.opener.base import Opener  # noqa: E402
from fs.opener.errors import OpenerError  # noqa: E402
from fs.subfs import ClosingSubFS  # noqa: E402

from rootlay.vfs.pyfs.layerfs import LayerFS  # noqa: E402


class RootlayOpener(Opener):
    """An opener of images and containers."""

    protocols = ["rootlay", "rootlay+container"]  # noqa: RUF012 -- the base class's form

    def open_fs(self, fs_url: str, parse_result: Any, writeable: bool, create: bool, cwd: str) -> FS:
        """Open the file system that a URL names, at its path.

        Raises:
            CreateFailed: there is no such image or container, or no such directory in it; see its `exc`.
            OpenerError: the caller requires a writeable image.
        """
        name = _reference(parse_result)
        try:
            store = Store.open(parse_result.params.get("store"))
            if parse_result.protocol == "rootlay":
                if writeable:
                    raise OpenerError(f"{fs_url}: an image is read-only; open a container: rootlay+container://NAME")
                opened = store.image(name).open_fs()
            else:
                opened = LayerFS.of_container(store.container(name))
        except RootlayError as error:
            raise errors.CreateFailed(f"{fs_url}: {error}", exc=error) from error
        if not parse_result.path:
            return opened
        try:
            return opened.opendir(parse_result.path, factory=ClosingSubFS)
        except errors.ResourceError as error:
            opened.close()
            raise errors.CreateFailed(f"{fs_url}: {error}", exc=error) from error


def _reference(parsed: Any) -> str:
    """Read a reference from a URL: to a parser of URLs, `NAME@sha256:…` looks like a user and a host."""
    if parsed.username is None:
        return str(parsed.resource)
    user = parsed.username + (f":{parsed.password}" if parsed.password else "")
    return f"{user}@{parsed.resource}"
