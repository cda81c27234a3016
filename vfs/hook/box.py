"""One container as one user, in this process: a core of its own, which all its activations share."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rootlay.store.attach import open_lower
from rootlay.store.container import ContainerRecord
from rootlay.vfs.hook.instance import load_instance
from rootlay.vfs.hook.interpreter import interpreter_paths
from rootlay.vfs.hook.library import Hydrate, hook_library, os_error
from rootlay.vfs.run.session import make_launch
from rootlay.vfs.run.user import Identity

if TYPE_CHECKING:
    from rootlay.store.bundleview import BundleView
    from rootlay.store.hydrate import Hydrator
    from rootlay.store.view import View


class Box:
    """The C side of a container (`struct rl_box`). Close it when the container is let go of.

    Args:
        root: the store's root.
        record: which container.
        identity: who its activations are inside.
        through: host paths, beside the interpreter's own, that are visible inside, read-only.

    Raises:
        HookEngineMissing: activation does not work on this machine.
        OSError: the container cannot be read.
    """

    def __init__(self, root: Path, record: ContainerRecord, identity: Identity, through: Sequence[str] = ()) -> None:
        self._library = hook_library()
        self._chain = record.config.chain
        self._root = root
        self._lower: tuple[View | BundleView, Hydrator] | None = None
        self._opening = threading.Lock()
        self._ask = Hydrate(self._hydrate)
        self.identity = identity
        self.closed = False
        with self._library.outside():
            self._instance = load_instance(record.path)
            self.address = self._start(record)
            for path in () if "" in record.config.lowers else interpreter_paths(through):
                self._library.through(self.address, os.fsencode(path), 0)
            # rootlay's own work on the container, called from inside, must find the real files
            self._library.through(self.address, os.fsencode(os.path.realpath(root)), 1)

    def _start(self, record: ContainerRecord) -> int:
        launch = make_launch(self._root, record, flags=0).pack()
        who = self.identity
        groups = who.groups[:64]
        numbers = (ctypes.c_uint32 * (4 + len(groups)))(who.uid, who.gid, process_umask(), len(groups), *groups)
        failed = ctypes.c_int()
        memory = os.memfd_create("rootlay-launch", os.MFD_CLOEXEC)
        try:
            os.write(memory, launch)
            name = f"/proc/self/fd/{memory}".encode()
            ask = ctypes.cast(self._ask, ctypes.c_void_p) if self._chain else None
            address = self._library.open(self._instance.address, name, numbers, ask, ctypes.byref(failed))
        finally:
            os.close(memory)
        if address is None:
            self._instance.unload()
            raise os_error(failed.value, record.path)
        return address

    def _hydrate(self, entry: int) -> int:
        """The hydrator of the core (docs/format.md §8), in this process: no other one has to be started."""
        try:
            with self._opening:
                if self._lower is None:
                    self._lower = open_lower(self._root, self._chain)
            self._lower[1].hydrate(entry)
        except OSError as error:
            return -(error.errno or errno.EIO)
        except Exception:  # nothing may be raised through C; the hydrator process answers likewise
            return -errno.EIO
        return 0

    def close(self) -> None:
        """Everything that is still asked of the container fails with ESTALE from now on. Idempotent."""
        if self.closed:
            return
        self.closed = True
        self._library.close(self.address)
        with self._library.outside():
            self._instance.unload()
            if self._lower is not None:
                view, hydrator = self._lower
                hydrator.close()
                view.close()

    def __del__(self) -> None:
        """No activation refers to it any more."""
        if getattr(self, "address", None) is None:
            return
        with contextlib.suppress(Exception):
            self.close()
            self._library.free(self.address)


def process_umask() -> int:
    """The umask, without the moment without one that umask(2) costs other threads."""
    with open("/proc/self/status", "rb") as status:
        for line in status:
            if line.startswith(b"Umask:"):
                return int(line.split()[1], 8)
    raise os_error(errno.EIO, "/proc/self/status")
