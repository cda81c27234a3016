"""One container as one user, in this process: a separate core, which all its activations share."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rootlay.store.containers.record import ContainerRecord
from rootlay.store.disk.realpath import real_directory
from rootlay.store.disk.smallfile import write_all
from rootlay.store.store import open_lower
from rootlay.vfs.hook.forkgate import busy
from rootlay.vfs.hook.instance import load_instance
from rootlay.vfs.hook.interpreter import interpreter_paths
from rootlay.vfs.hook.library import Hydrate, Prepare, hook_library, os_error
from rootlay.vfs.hook.ways import add_ways, open_ways
from rootlay.vfs.run.containerlaunch import make_launch
from rootlay.vfs.run.launch import BIND_OWNER, BIND_READ_ONLY, BIND_SHOWN, BIND_UNLISTED, LaunchBind, LaunchDir
from rootlay.vfs.run.livesession import LiveSession
from rootlay.vfs.run.session import session_token, socket_of
from rootlay.vfs.run.user import Identity, process_umask

if TYPE_CHECKING:
    from rootlay.store.bundle.reader import BundleView
    from rootlay.store.hydrate.hydrator import Hydrator
    from rootlay.store.view.view import View


_no_ways: set[tuple[str, tuple[str, ...], tuple[bytes, ...]]] = set()
"""Images, with the host paths shown in them, that have all parent directories of these paths."""


class Box:
    """The C side of a container (`struct rl_container`). Close it when the container is released.

    Args:
        record: which container.
        identity: the user of its activations inside.
        through: host paths, in addition to the interpreter's own, that are visible inside, read-only.
        writable: host paths that are visible inside, and can be written to.

    Raises:
        HookEngineMissing: activation does not work on this machine.
        OSError: the container cannot be read.
    """

    def __init__(
        self, record: ContainerRecord, identity: Identity, through: Sequence[str] = (), writable: Sequence[str] = ()
    ) -> None:
        self._library = hook_library()
        self._chain = record.config.chain
        self._lower: tuple[View | BundleView, Hydrator] | None = None
        self._opening = threading.Lock()
        self._process = os.getpid()
        self._ask = Hydrate(self._hydrate)
        self.identity = identity
        self.closed = False
        self._prepare = Prepare(self._start_session)
        self._served: LiveSession | None = None
        self._token = session_token()  # of the session, if there is one
        self._launch = Path(f"{record.real_path}/launch-{session_token()}")
        self._record = record
        shown = () if "" in record.config.lowers else interpreter_paths(through)
        self._shown = [
            LaunchBind(os.fsencode(path), os.fsencode(os.path.realpath(path)), BIND_READ_ONLY | BIND_OWNER | BIND_SHOWN)
            for path in shown
        ]
        self._shown += [
            LaunchBind(os.fsencode(name), os.fsencode(os.path.realpath(path)), BIND_OWNER | BIND_SHOWN)
            for path in writable
            for name in dict.fromkeys((path, os.path.realpath(path)))
        ]
        self._ways = self._find_ways()
        with self._library.outside():
            self._instance = load_instance(record.path)
            try:
                self.address = self._start()
            except BaseException:
                self._instance.release()
                raise
        if self._ways:
            with self._library.outside():
                self._add_ways(self._ways[0])
        self._library.on_program(self.address, self._prepare)

    def _find_ways(self) -> list[LaunchDir]:
        """Return the layer that leads to the shown paths, unless the image is known to have all such directories."""
        key = (self._chain, self._record.config.lowers, tuple(bind.vpath for bind in self._shown))
        return [] if not self._shown or key in _no_ways else [open_ways(self._record)]

    def _add_ways(self, layer: LaunchDir) -> None:
        shown = tuple(bind.vpath for bind in self._shown)
        if not add_ways(layer, shown, lambda path: bool(self._library.exists(self.address, path))):
            _no_ways.add((self._chain, self._record.config.lowers, shown))

    def _start(self) -> int:
        self._write_launch()
        failed = ctypes.c_int()
        ask = ctypes.cast(self._ask, ctypes.c_void_p) if self._chain else None
        address = self._library.open(
            self._instance.address, os.fsencode(self._launch), self._numbers(), ask, ctypes.byref(failed)
        )
        if address is None:
            self._launch.unlink(missing_ok=True)
            raise os_error(failed.value, self._record.path)
        return address

    def _write_launch(self) -> None:
        """Write the launch file. It stays while the box is open: it shows other processes that the upper may change."""
        store = os.fsencode(real_directory(self._record.root))
        launch = make_launch(
            self._record,
            flags=0,
            hydrator=os.fsencode(socket_of(self._record, self._token)) if self._chain else b"",
            alias_later=True,
            # rootlay's own work on the container, called from inside, must find the real files
            binds=(*self._shown, LaunchBind(store, store, BIND_SHOWN | BIND_UNLISTED)),
            dirs=self._ways,
        ).pack()
        fd = os.open(self._launch, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            write_all(fd, launch)
        finally:
            os.close(fd)

    def _numbers(self) -> ctypes.Array[ctypes.c_uint32]:
        who = self.identity
        groups = who.groups[:64]
        return (ctypes.c_uint32 * (4 + len(groups)))(who.uid, who.gid, process_umask(), len(groups), *groups)

    def launches(self) -> list[Path]:
        """Return the launch files of this box for the container."""
        return [self._launch, *([self._served.session.launch] if self._served else [])]

    def renew(self) -> None:
        """Switch the activations to the container's new uppers."""
        old, failed = self._instance, ctypes.c_int()
        instance = load_instance(self._record.path)
        self._launch.unlink(missing_ok=True)  # the old core maps it
        self._write_launch()
        ask = ctypes.cast(self._ask, ctypes.c_void_p) if self._chain else None
        self._library.renew(
            self.address, instance.address, os.fsencode(self._launch), self._numbers(), ask, ctypes.byref(failed)
        )
        if failed.value > 0:
            instance.release()
            raise os_error(failed.value, self._record.path)
        self._instance = instance
        old.release()
        if self._served is not None:
            self._served.renew()

    def prepare_programs(self) -> None:
        """Prepare everything for programs that are started inside; an error shows when a program starts."""
        if not self.closed and self._served is None:
            with self._library.outside():
                self._start_session()

    def _start_session(self) -> int:
        """Called by C before the first program is started inside: 0 or a negative errno."""
        try:
            with busy(), self._opening:
                if self._served is None:
                    self._served = LiveSession(self._record, self._shown, self._token, dirs=self._ways)
                    self._served.keep(lambda fd: self._library.private(self.address, fd))
            session = self._served.session
            self._library.programs(self.address, os.fsencode(session.engine), os.fsencode(session.launch))
        except OSError as error:
            return -(error.errno or errno.EIO)
        except Exception:  # EngineMissing, for one; nothing may be raised through C
            return -errno.ENOSYS
        return 0

    def _hydrate(self, entry: int) -> int:
        """Hydrate for the core (docs/format.md §8) in this process: no other process has to be started."""
        try:
            if self._process != os.getpid():  # a forked child: the parent's locks and temporary files are not ours
                self._process, self._lower, self._opening = os.getpid(), None, threading.Lock()
            with busy():
                with self._opening:
                    if self._lower is None:
                        self._lower = open_lower(self._record.root, self._chain)
                self._lower[1].hydrate(entry)
        except OSError as error:
            return -(error.errno or errno.EIO)
        except Exception:  # nothing may be raised through C; the hydrator process answers in the same way
            return -errno.EIO
        return 0

    def close(self) -> None:
        """Close the box. Later operations on the container fail with ESTALE. Idempotent."""
        if self.closed:
            return
        self.closed = True
        self._library.close(self.address)
        self._library.sweep()  # threads that have ended may still remember a context
        with self._library.outside():
            self._instance.release()
            self._launch.unlink(missing_ok=True)
            if self._served is not None:
                self._served.close()
            if self._lower is not None:
                view, hydrator = self._lower
                hydrator.close()
                view.close()

    def __del__(self) -> None:
        """Close the box: no activation refers to it any more."""
        if getattr(self, "address", None) is None:
            return
        with contextlib.suppress(Exception):
            self.close()
            self._library.free(self.address)
