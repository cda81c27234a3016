"""An open container: its files, its programs, and its end.

Rules:
1. Programs: see rootlay.vfs.api.programs.
2. A separate process hydrates files. It starts with the first program, and outlives the caller if programs do.
3. A handle is one of any number, in any number of processes, that may be open on one container.
4. A forked process may use the handle, but closing it there releases nothing: container, session and hydrator belong to
   the process that opened it.
5. Objects made from a handle (file systems, activations, processes) keep it. An ephemeral container without any
   reference is removed, with a warning (rootlay.vfs.api.ephemeral).
6. An operation on a removed container raises UnknownContainer. A file system object that was open before raises ENOENT,
   as in a removed directory.
"""

from __future__ import annotations

import os
import threading
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rootlay.store.containers.record import CONFIG_COPY, ContainerRecord
from rootlay.store.containers.removal import trash_container
from rootlay.store.disk.removetree import remove_some, remove_tree
from rootlay.store.model.value import replace
from rootlay.vfs.api.arguments import checks_arguments
from rootlay.vfs.api.ephemeral import closed, dropped, opened
from rootlay.vfs.api.programs import RunsPrograms
from rootlay.vfs.merge.bypass import bypasses_hooks
from rootlay.vfs.overlay.containerstack import directory_layers, open_overlay, read_small_file, require_container
from rootlay.vfs.run.zombies import reap_hydrators

if TYPE_CHECKING:
    from fsspec.spec import AbstractFileSystem

    from rootlay.vfs.hook.activation import Activation
    from rootlay.vfs.hook.box import Box
    from rootlay.vfs.overlay.overlay import Overlay
    from rootlay.vfs.pyfs.layerfs import LayerFS
    from rootlay.vfs.run.livesession import OpenSession
    from rootlay.vfs.run.session import Session


@bypasses_hooks
@checks_arguments
class ContainerHandle(RunsPrograms):
    """A handle on one container. Close it (or use it as a context manager) to release its hydrator.

    Args:
        record: which container.
        ephemeral: remove the container when the handle is closed.
    """

    def __init__(self, record: ContainerRecord, *, ephemeral: bool = False) -> None:
        self._ephemeral = ephemeral
        self.owner = os.getpid()
        self._overlay: Overlay | None = None
        self._served: OpenSession | None = None
        self._boxes: dict[tuple[str, tuple[tuple[str, ...], ...]], Box] = {}
        self.record = record
        if ephemeral:
            opened(self)

    @property
    def id(self) -> str:
        """64 hexadecimal digits."""
        return self.record.id

    @property
    def name(self) -> str:
        """The name it was given, or the one that was chosen."""
        return self.record.name

    @property
    def overlay(self) -> Overlay:
        """The POSIX-like operations on the merged tree."""
        overlay = self._open_overlay()
        overlay.keeps = self
        return overlay

    @property
    def fs(self) -> LayerFS:
        """The container as a PyFilesystem2 file system."""
        from rootlay.vfs.pyfs.layerfs import LayerFS

        return LayerFS(self._open_overlay(), keeps=self)

    @property
    def fsspec(self) -> AbstractFileSystem:
        """The container as an fsspec file system, a `RootlayFileSystem`. Needs fsspec."""
        from fsspec import get_filesystem_class

        return get_filesystem_class("rootlay")(container=self, skip_instance_cache=True)

    def activate(
        self,
        *,
        user: str | int | None = None,
        cwd: str | os.PathLike[str] | None = None,
        through: Sequence[str | os.PathLike[str]] = (),
        writable: Sequence[str | os.PathLike[str]] = (),
        threads: str = "outside",
        environ: MutableMapping[str, str] | None = None,
    ) -> Activation:
        """Make this code, and the C libraries that it calls, see the container's files: `with container.activate(): …`.

        The first time takes about a millisecond, later times take microseconds. See rootlay.vfs.hook.activation.

        Args:
            user: `name|uid[:group|gid]` inside, as in `popen`.
            cwd: directory inside; the container's working directory by default, or the root if it is missing.
            through: host paths that are visible inside, read-only, in addition to those of the Python interpreter.
            writable: host paths that are visible inside, and can be written to.
            threads: `inherit`: threads that are started inside are inside. `outside`: they are not, and an
                ActivationWarning says so.
            environ: `os.environ`: the variables that the container was made with (`env=`) are set in it while some
                activation of the container is entered, for programs and libraries. It is one for the whole process.

        Raises:
            HookEngineMissing: activation does not work on this machine.
            UnknownUser: the image does not have that user.
            FileNotFoundError: a path of `through` or `writable` does not exist.
            ValueError: such a path is the root; `threads` is another word.
        """
        from rootlay.vfs.hook.activation import Activation
        from rootlay.vfs.hook.box import Box
        from rootlay.vfs.run.user import check_groups, find_identity

        if threads not in ("inherit", "outside"):
            raise ValueError(f"threads {threads[:40]!r}: expected inherit or outside")
        paths = tuple(tuple(os.fspath(path) for path in some) for some in (through, writable))
        key = (self.record.config.user if user is None else str(user), paths)
        box = self._boxes.get(key)
        if box is None:
            require_container(self.record)
            shown, changed = ([_visible(path) for path in some] for some in paths)
            box = Box(self.record, check_groups(find_identity(key[0], self._read)), shown, changed)
            self._boxes[key] = box
        directory = os.fspath(cwd) if cwd is not None else self.record.config.working_dir or "/"
        variables = None if environ is None else (environ, own_variables(self.record))
        return Activation(box, directory, self, inherit=threads == "inherit", variables=variables)

    def remove(self, *, force: bool = False) -> None:
        """Remove the container. Its image is untouched. The time does not depend on the number of changes: many files
        are moved to the trash first and deleted in the background.

        Raises:
            ContainerRunning: a program runs in it and `force` is not given.
        """
        from rootlay.vfs.run.removal import move_to_trash

        self._release()
        delete_soon(move_to_trash(self.record, force=force))

    def close(self) -> None:
        """Close the handle. If the container is ephemeral, kill its programs and remove it. Idempotent.

        In a process that was forked from the one that opened it, only the use in this process ends.
        """
        if os.getpid() != self.owner:
            if self._overlay is not None:
                self._overlay.close()
            return
        if self._ephemeral:
            self._ephemeral = False
            closed(self)
            self.remove(force=True)
        self._release()

    def discard(self) -> None:
        """Remove an ephemeral fork whose programs have been killed, and whose base exists. Quick: for sandboxes."""
        self._ephemeral = False
        closed(self)
        self._served = None  # its files are in the container's directory
        self._release()
        remove_tree(trash_container(self.record, bases_stay=True))

    def __reduce__(self) -> tuple[Any, ...]:
        """Make a copy or an unpickled object another handle (rule 3): its end is not the container's end."""
        return type(self), (self.record,)

    def __del__(self) -> None:
        """Rule 5."""
        if getattr(self, "_ephemeral", False) and os.getpid() == self.owner:
            dropped(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Container {self.name} {self.id[:12]} of {self.record.config.image or 'directories'}>"

    def _renew(self) -> None:
        """Switch the open file system and the session of this handle to the current stack."""
        if self._overlay is not None:
            stack = self._overlay.stack
            if stack.dirs != (dirs := directory_layers(self.record)):
                self._overlay.rebind(replace(stack, dirs=dirs))
        if self._served is not None:
            self._served.renew()
        for box in self._boxes.values():
            box.renew()

    def _open_overlay(self) -> Overlay:
        """Open this handle's overlay; it does not keep the handle, so that ordinary use makes no reference cycle."""
        if self._overlay is None:
            with _opening:
                if self._overlay is None:
                    self._overlay = open_overlay(self.record)
        return self._overlay

    def _read(self, path: bytes) -> bytes | None:
        return read_small_file(self._open_overlay(), path)

    def _open_session(self) -> Session:
        """Return the session of all programs of this handle. The first program opens it and starts its hydrator."""
        from rootlay.vfs.run.livesession import LiveSession

        if self._served is None:
            with _opening:
                if self._served is None:
                    require_container(self.record)
                    self._served = LiveSession(self.record, made=self.made)
        return self._served.session

    def _launches(self) -> list[Path]:
        """Return the launch files of this handle for the container."""
        served = [self._served.session.launch] if self._served else []
        return [*served, *(path for box in self._boxes.values() for path in box.launches())]

    def _release(self) -> None:
        for box in self._boxes.values():
            box.close()
        self._boxes.clear()
        if self._served is not None:
            self._served.close()
            self._served = None
        if self._overlay is not None:
            self._overlay.close()
            self._overlay = None
        reap_hydrators()


_opening = threading.Lock()
"""Of two threads the second uses what the first has opened: another session's end would remove its launch file."""


def _renew_lock() -> None:
    global _opening
    _opening = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)  # another thread of the parent may have held it


def _visible(path: str) -> str:
    """Return a host path that is to be visible inside. Raises FileNotFoundError, ValueError."""
    path = os.path.abspath(path)
    os.stat(path)
    if path == "/":
        raise ValueError("through: the machine's whole root cannot be shown; activate a container of the image `host`")
    return path


def own_variables(record: ContainerRecord) -> dict[str, str]:
    """Return the variables that a container was made with, without those of its image."""
    from rootlay.store.model.imageconfig import ImageConfig

    try:
        data = (record.path / CONFIG_COPY).read_bytes()
        known = set(ImageConfig.parse(data, str(record.path / CONFIG_COPY)).config.env)
    except FileNotFoundError:  # of `host`, of directories
        known = set()
    return dict(entry.split("=", 1) for entry in record.config.env if entry not in known and "=" in entry)


FILES_AT_ONCE = 100


def delete_soon(trash: Path) -> None:
    """Delete files in the trash: a few now, more in the background. The process ends only after that."""
    if not remove_some(trash, FILES_AT_ONCE):
        threading.Thread(target=remove_tree, args=(trash,), name="rootlay-empty-trash", daemon=False).start()
