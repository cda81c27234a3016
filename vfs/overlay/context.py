"""The base of every operation: one stack, one identity, and the objects that work on them."""

from __future__ import annotations

import errno
from functools import partial

from rootlay.vfs.merge.attributes import Attributes, attributes, device_of
from rootlay.vfs.merge.errors import os_error
from rootlay.vfs.merge.identity import WRITE, Identity
from rootlay.vfs.merge.lookup import Found, Lookup
from rootlay.vfs.merge.resolve import Place, Resolver
from rootlay.vfs.merge.stack import Stack
from rootlay.vfs.overlay.copyup import CopyUp
from rootlay.vfs.overlay.upper import Upper
from rootlay.vfs.overlay.writethrough import write_through


class Context:
    """One stack as one identity sees it, by paths of up to `longest` bytes. Safe for threads."""

    def __init__(self, stack: Stack, identity: Identity, upper: Upper | None, longest: int) -> None:
        self.stack = stack
        self.identity = identity
        self.lookup = Lookup(stack, upper.settle if upper is not None else None)
        self.resolver = Resolver(self.lookup, identity, longest)
        self.device = device_of(stack)
        self._upper = upper
        self._copy_up = CopyUp(self.lookup, upper) if upper is not None else None
        if upper is not None:
            upper.write_through = partial(write_through, stack, upper)

    @property
    def upper(self) -> Upper:
        """The writable layer. Raises EROFS if the stack has none."""
        if self._upper is None:
            raise os_error(errno.EROFS)
        return self._upper

    @property
    def copy_up(self) -> CopyUp:
        """Copy-up to the writable layer. Raises EROFS if the stack has none."""
        if self._copy_up is None:
            raise os_error(errno.EROFS)
        return self._copy_up

    def place(self, request: bytes, *, follow: bool, slash_follows: bool = True) -> Place:
        """Resolve a path: see `Resolver.place`."""
        return self.resolver.place(request, follow=follow, slash_follows=slash_follows)

    def existing(self, request: bytes, *, follow: bool) -> Found:
        """Return the object at a path. Raises as `Resolver.place`, and ENOENT."""
        return self.place(request, follow=follow).existing()

    def attributes(self, found: Found) -> Attributes:
        """Return the attributes that stat shows."""
        return attributes(self.stack, self.device, found)

    def require(self, found: Found, mask: int, request: bytes) -> None:
        """Raise EACCES unless the identity may READ, WRITE or EXECUTE the object."""
        if not self.identity.is_root or mask & ~WRITE:
            self.identity.require(self.attributes(found), mask, request)

    def require_owner(self, found: Found, request: bytes) -> None:
        """Raise EPERM unless the identity owns the object."""
        if not self.identity.is_root:
            self.identity.require_owner(self.attributes(found), request)

    def require_removal(self, directory: Found, victim: Found, request: bytes) -> None:
        """Raise EACCES or EPERM unless the identity may remove the victim from the directory."""
        if not self.identity.is_root:
            self.identity.require_removal(self.attributes(directory), self.attributes(victim), request)
