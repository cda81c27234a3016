"""Paths inside images for universal_pathlib, which requires a path class for each file system.

    UPath("rootlay://debian!/etc", store=…) / "motd"

Registered by entry point: universal_pathlib imports it when the protocol is used. It parses a URL with the file
system's own class if fsspec has loaded that already, and else with rules that do not know images. So we let fsspec load
the class here, before the first URL is parsed.
"""

from __future__ import annotations

from fsspec import get_filesystem_class
from upath import UPath

from rootlay.vfs.plugins.fsspecurl import CONTAINER_PROTOCOL, PROTOCOL

for _protocol in (PROTOCOL, CONTAINER_PROTOCOL):
    get_filesystem_class(_protocol)


class RootlayPath(UPath):  # type: ignore[misc] # not installed where types are checked
    """A path in an image or container, which is named in its `storage_options`, not in its text."""

    __slots__ = ()
