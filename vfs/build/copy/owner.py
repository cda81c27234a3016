"""The value of `--chown`: names are looked up in the image's own files.

A number alone is the group's as well; a name's group is that of the passwd file; a group alone belongs to root.
Source: moby/buildkit, client/llb/fileop.go (WithUser), solver/llbsolver/file/user_linux.go.
"""

from __future__ import annotations

from rootlay.store.model.value import value
from rootlay.vfs.overlay.containerstack import read_small_file
from rootlay.vfs.overlay.overlay import Overlay
from rootlay.vfs.run.user import find_identity


@value
class Owner:
    """Numeric owner and group, as they are stored."""

    uid: int = 0
    gid: int = 0


def find_owner(text: str, image: Overlay) -> Owner:
    """Resolve `user`, `user:group` or `:group`, names or numbers.

    Raises:
        UnknownUser: a name that the image does not have.
    """
    name, _, group = text.partition(":")
    if name.isdigit() and group.isdigit():
        return Owner(int(name), int(group))
    if name.isdigit() and not group:
        return Owner(int(name), int(name))
    identity = find_identity(f"{name}:{group}" if group else name, lambda path: read_small_file(image, path))
    return Owner(identity.uid, identity.gid)
