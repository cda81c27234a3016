"""A separate core for each container: a copy of `_hook_core.so`, loaded as a library that is not shared.

The dynamic linker knows libraries by name and inode, so each copy is a separate file: in memory, or, if programs must
not run from there, in the container's directory while it is loaded. A few unused copies stay loaded, reset to their
initial state, for the next containers.
"""

from __future__ import annotations

import _ctypes
import contextlib
import ctypes
import os
from pathlib import Path

from rootlay.vfs.hook.library import hook_library

SOURCE = Path(__file__).parent.parent / "_hook_core.so"
SPARE_MAX = 4
_spare: list[CoreInstance] = []


class CoreInstance:
    """A loaded copy. `address` is that of its `struct rl_core` (`vfs/csrc/hook/api.h`)."""

    def __init__(self, library: ctypes.CDLL, memory: int) -> None:
        self._library = library
        self._memory = memory  # its number is the library's name, so it stays open at a number that no program closes
        self.address = ctypes.addressof(ctypes.c_char.in_dll(library, "rl_hook_core"))

    def release(self) -> None:
        """Release the copy. Only when it has no container (any more)."""
        if len(_spare) < SPARE_MAX:
            _spare.append(self)
        else:
            self._unload()

    def _unload(self) -> None:
        _ctypes.dlclose(self._library._handle)
        if self._memory >= 0:
            hook_library().public(self._memory)


def load_instance(directory: Path) -> CoreInstance:
    """Return an unused copy. Call it outside every container.

    Raises:
        OSError: it cannot be loaded.
    """
    with contextlib.suppress(IndexError):
        return _spare.pop()
    content = SOURCE.read_bytes()
    try:
        memory = hook_library().private(None, os.memfd_create("rootlay-core", os.MFD_CLOEXEC))
        os.write(memory, content)
        return CoreInstance(ctypes.CDLL(f"/proc/self/fd/{memory}"), memory)
    except OSError:
        pass
    path = directory / f"core-{os.getpid()}-{os.urandom(3).hex()}.so"
    path.write_bytes(content)
    try:
        return CoreInstance(ctypes.CDLL(str(path)), -1)
    finally:
        path.unlink()
