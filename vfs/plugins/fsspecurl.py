"""URLs of images and containers, as fsspec chains them: `rootlay://IMAGE!/PATH`, `rootlay+container://NAME!/PATH`.

Without `!/` a URL is a path; options, or the URL after `::`, name the image or container.
"""

from __future__ import annotations

import os
from typing import Any

from rootlay.vfs.api.container import Image
from rootlay.vfs.api.store import Store

PROTOCOL = "rootlay"
CONTAINER_PROTOCOL = "rootlay+container"
_PREFIXES = (f"{CONTAINER_PROTOCOL}://", f"{PROTOCOL}://")


def path_of_url(text: str) -> str:
    """Return the absolute path inside that a URL or a path names. Raises TypeError for any other type."""
    if not isinstance(text, str):
        raise TypeError(f"rootlay: a path is a string, not {type(text).__name__}: {text!r}")
    for prefix in _PREFIXES:
        if text.startswith(prefix):
            text = text.removeprefix(prefix)
            text = text.partition("!/")[2] if "!/" in text else text.removesuffix("!")
            break
    return "/" + text.strip("/")


def options_of_url(url: str) -> dict[str, str]:
    """Return `image` or `container`, if the URL names one."""
    for prefix, option in zip(_PREFIXES, ("container", "image"), strict=True):
        if url.startswith(prefix) and "!" in url:
            name, mark, _ = url.removeprefix(prefix).partition("!/")
            return {option: name if mark else name.removesuffix("!")}
    return {}


def image_of_file(store: Store, path: str, protocol: str | None, options: dict[str, Any]) -> Image:
    """Return the image in a local file, which may be the target of a chain of URLs."""
    if protocol not in (None, "", "file", "local"):
        import fsspec

        cached = fsspec.filesystem("simplecache", target_protocol=protocol, target_options=options)
        with cached.open(path, "rb") as stream:
            return store.load(stream.name)
    from rootlay.vfs.containers.imageview import find_bundle

    bundle = find_bundle(os.path.abspath(path))
    return store.image(bundle) if bundle else store.load(path)
