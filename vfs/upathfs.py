"""Paths inside images for universal_pathlib, which asks file systems for a class of their own.

    UPath("rootlay://debian!/etc", store=…) / "motd"

Registered by entry point: imported by universal_pathlib, when somebody uses the protocol.
"""

from __future__ import annotations

from upath import UPath


class RootlayPath(UPath):  # type: ignore[misc] # not installed where types are checked
    """A path in an image or container. Which one is among its `storage_options`, and not in its text."""

    __slots__ = ()
