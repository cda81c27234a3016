"""The destination of a build's result: the meaning of `--output`.

| Value | Result |
|---|---|
| `DIR`, `type=local,dest=DIR` | the files of the image in a directory of the host |
| `-`, `type=tar,dest=FILE` | the same as a tar, owners and all |
| `type=oci,dest=FILE` | an OCI archive; with `tar=false` an OCI layout in a new directory |
| `type=docker,dest=FILE` | an archive for `docker load` |
| `type=image,name=N,push=true` | the store (as without `--output`), and a registry |
| `type=registry,name=N` | the same |

`dest=-` is standard output.
Source: docs.docker.com/reference/cli/docker/buildx/build, "Set the export action for the build result".
"""

from __future__ import annotations

from typing import Literal, cast

from rootlay.store.images.recompress import COMPRESSIONS
from rootlay.store.model.value import value
from rootlay.vfs.build.language.errors import BadValue
from rootlay.vfs.build.options.csvoptions import parse_attributes, truth

Kind = Literal["local", "tar", "oci", "docker", "image"]
STDOUT = "-"
_KNOWN = {
    "local": ("type", "dest"),
    "tar": ("type", "dest"),
    "oci": ("type", "dest", "name", "tar", "compression"),
    "docker": ("type", "dest", "name"),
    "image": ("type", "name", "push", "compression"),
    "registry": ("type", "name", "push", "compression"),
}
_TO_FILES = ("local", "tar", "oci", "docker")


@value
class Output:
    """One `--output`.

    Args:
        kind: see the table above; `registry` is a pushed image.
        dest: a path of the host, `-` for standard output; empty for an image.
        names: more names of the image.
        push: send it to the registry of its names.
        unpacked: for OCI: a directory instead of an archive.
        compression: of the layers, see `rootlay.store.images.recompress`; None: unchanged.
    """

    kind: Kind
    dest: str = ""
    names: tuple[str, ...] = ()
    push: bool = False
    unpacked: bool = False
    compression: str | None = None

    @property
    def keeps_image(self) -> bool:
        """Whether the image stays in the store."""
        return self.kind == "image"


def parse_output(text: str) -> Output:
    """Parse one value. Raises BadValue."""
    if text == STDOUT:
        return Output("tar", STDOUT)
    if "=" not in text:
        if not text:
            raise BadValue("an output needs a directory, or type=…")
        return Output("local", text)
    kind = parse_attributes(text, {name for names in _KNOWN.values() for name in names}).get("type", "")
    if kind not in _KNOWN:
        raise BadValue(f"{text}: expected type=local, tar, oci, docker, image or registry")
    found = parse_attributes(text, _KNOWN[kind])
    compression = found.get("compression") or None
    if compression not in (None, *COMPRESSIONS):
        raise BadValue(f"{text}: compression must be one of {', '.join(COMPRESSIONS)}")
    dest = found.get("dest", "")
    if kind == "local" and dest in ("", STDOUT):
        raise BadValue(f"{text}: dest=DIRECTORY is missing")
    unpacked = not truth(text, found.get("tar", "true"))
    if unpacked and dest in ("", STDOUT):
        raise BadValue(f"{text}: tar=false needs dest=DIRECTORY")
    names = tuple(name for name in found.get("name", "").split(",") if name)
    return Output(
        cast(Kind, "image" if kind == "registry" else kind),
        (dest or STDOUT) if kind in _TO_FILES else "",
        names,
        truth(text, found.get("push", "true" if kind == "registry" else "false")),
        unpacked,
        compression,
    )
