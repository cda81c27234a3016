"""Paths inside images for universal_pathlib, which asks file systems for a class of their own.

    UPath("rootlay://debian!/etc", store=…) / "motd"

Registered by entry point: imported by universal_pathlib, when somebody uses the protocol. It takes a URL apart by the
file system's own class if fsspec has that already, and else by rules that know nothing of images: so we have fsspec get
it here, before the first URL is taken apart.
"""

from __future__ import annotations

from fsspec import get_filesystem_class
from upath import UPath

from rootlay.vfs.plugins.fsspecurl import CONTAINER_PROTOCOL, PROTOCOL

for _protocol in (PROTOCOL, CONTAINER_PROTOCOL):
    get_filesystem_class(_protocol)


class RootlayPath(UPath):  # type: ignore[misc] # not installed where types are checked
    """A path in an image or container. Which one is among its `storage_options`, and not in its text."""

    __slots__ = ()
