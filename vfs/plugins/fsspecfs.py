"""Images and containers as fsspec file systems.

    fs = fsspec.filesystem("rootlay", image="debian")              # read-only
    fs = fsspec.filesystem("rootlay", container="c1")              # writable
    pandas.read_csv("rootlay://debian!/data/x.csv")
    fsspec.open("simplecache::rootlay://debian!/data/x.csv")
    fsspec.open("rootlay://etc/motd::file:///images/debian.rlay")  # a bundle, or an archive that `load` takes

Rules:
1. Registered by entry point: fsspec imports this module when the protocol is used.
2. `rootlay://IMAGE!/PATH` and `rootlay+container://NAME!/PATH` name the file system and the path. Without `!/` a URL is
   a path, and options, or the URL after `::`, name the image or container.
3. Reading streams a file's content and hydrates nothing. Writing changes the container, as any other write does.
4. Errors are those of `os` for the same operation.
Contract: https://filesystem-spec.readthedocs.io/; its own suite, `fsspec.tests.abstract`.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, BinaryIO, cast

from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.spec import AbstractFileSystem
from fsspec.utils import isfilelike, stringify_path

from rootlay.vfs.api.container import Container, Image
from rootlay.vfs.api.store import Store
from rootlay.vfs.merge.content import copy_content
from rootlay.vfs.overlay.overlay import Overlay
from rootlay.vfs.plugins.fsspeclisting import info_of, list_infos, list_names
from rootlay.vfs.plugins.fsspecpending import PendingFile
from rootlay.vfs.plugins.fsspecurl import CONTAINER_PROTOCOL, PROTOCOL, image_of_file, options_of_url, path_of_url
from rootlay.vfs.pyfs.tree import copy_file, make_directories, remove_tree

_CHUNK_BYTES = 1 << 20
_FLAGS = {
    "w": os.O_CREAT | os.O_TRUNC,
    "x": os.O_CREAT | os.O_EXCL,
    "a": os.O_CREAT | os.O_APPEND,
    "r": 0,
}


class RootlayFileSystem(AbstractFileSystem):  # type: ignore[misc] # fsspec has no type hints
    """An image (read-only) or a container as an fsspec file system. Thread safe; can be pickled.

    Instances are cached by their options, as fsspec does: use `skip_instance_cache=True` to see an image whose tag
    moved meanwhile.
    """

    protocol = (PROTOCOL, CONTAINER_PROTOCOL)
    root_marker = "/"
    cachable = True

    def __init__(
        self,
        image: str | Image | None = None,
        container: str | Container | None = None,
        store: str | None = None,
        fo: str | None = None,
        target_protocol: str | None = None,
        target_options: dict[str, Any] | None = None,
        auto_mkdir: bool = True,
        **options: Any,
    ) -> None:
        """Open an image or a container. Pass exactly one of `image`, `container` and `fo`.

        Args:
            image: a reference, ID, the path of a bundle, or `host`.
            container: a name or ID. The caller closes a Container object.
            store: the store's directory; the user's own by default.
            fo: the path of a bundle, or of an archive, which is loaded into the store first.
            target_protocol: the protocol of `fo`; only local files.
            auto_mkdir: make missing parents of written files, as users of object stores expect.

        Raises:
            ValueError: none or several of the three.
            UnknownImage, UnknownContainer, CorruptStore, NotAnArchive: see rootlay.store.model.errors.
        """
        super().__init__(**options)
        if sum(given is not None for given in (image, container, fo)) != 1:
            raise ValueError("rootlay: give image=, container= or a URL such as rootlay://IMAGE!/path")
        self.auto_mkdir = auto_mkdir
        self._held: list[Any] = []
        if container is not None:
            self._source = CONTAINER_PROTOCOL, getattr(container, "name", str(container))
            if isinstance(container, str):
                container = Store.open(store).container(container)
                self._held.append(container)
            self._container: Container | None = container
            return
        self._container = None
        if fo is not None:
            image = image_of_file(Store.open(store), fo, target_protocol, target_options or {})
        elif isinstance(image, str):
            image = Store.open(store).image(image)
        assert isinstance(image, Image)
        self._source = PROTOCOL, image.reference
        self._image_overlay = image.open_overlay()
        self._held.append(self._image_overlay)

    @property
    def overlay(self) -> Overlay:
        """The operations below this file system; a container's overlay changes with snapshots."""
        return self._image_overlay if self._container is None else self._container.overlay

    def close(self) -> None:
        """Close everything that was opened for this file system, which must not be used afterwards. Idempotent."""
        while self._held:
            self._held.pop().close()

    # ---- names

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        return path_of_url(stringify_path(path))

    @staticmethod
    def _get_kwargs_from_urls(url: str) -> dict[str, str]:
        return options_of_url(url)

    def unstrip_protocol(self, name: str) -> str:
        """Return the URL of a path."""
        scheme, source = self._source
        return f"{scheme}://{source}!{self._strip_protocol(name)}"

    @property
    def fsid(self) -> str:
        """An ID that distinguishes this file system from others."""
        return "-".join(self._source)

    # ---- looking

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Return name, size in bytes, type, times in s, mode, uid, gid, ino, nlink. Follows a link."""
        return info_of(self.overlay, self._strip_protocol(path))

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """List a directory, sorted, in the form of `info`; for any other object, list the object itself."""
        name = self._strip_protocol(path)
        return list_infos(self.overlay, name) if detail else list_names(self.overlay, name)

    def lexists(self, path: str, **_: Any) -> bool:
        """Return whether a path exists, even as a link that leads nowhere."""
        try:
            return self.overlay.find(self._strip_protocol(path), follow=False) is not None
        except OSError:
            return False

    def islink(self, path: str) -> bool:
        """Return whether a path is a symbolic link."""
        try:
            return self.overlay.get(self._strip_protocol(path), follow=False).is_link
        except OSError:
            return False

    def created(self, path: str) -> datetime:
        """Return the time of the last change of a file's attributes: POSIX has no other creation time."""
        return datetime.fromtimestamp(self.info(path)["created"], tz=UTC)

    def modified(self, path: str) -> datetime:
        """Return the time of the last change of a file's content."""
        return datetime.fromtimestamp(self.info(path)["mtime"], tz=UTC)

    # ---- content

    def _open(self, path: str, mode: str = "rb", autocommit: bool = True, **_: Any) -> BinaryIO:
        name = self._strip_protocol(path)
        kind = mode.replace("b", "").replace("t", "")
        flags = _FLAGS.get(kind[:1])
        if flags is None or kind[1:] not in ("", "+"):
            raise ValueError(f"mode {mode!r}: use r, w, x or a, with b and +")
        if kind == "r":
            return self.overlay.open_content(name)
        self._make_parent(name)
        if not autocommit and kind in ("w", "x"):
            return PendingFile(self.overlay, name, exclusive=kind == "x")
        flags |= os.O_RDWR if kind[1:] else os.O_WRONLY
        return cast(BinaryIO, os.fdopen(self.overlay.open(name, flags), kind[:1].replace("x", "w") + "b" + kind[1:]))

    def get_file(self, rpath: str, lpath: Any, callback: Any = DEFAULT_CALLBACK, outfile: Any = None, **_: Any) -> None:
        """Write a file to the host, or to a file object; for a directory, only itself. Streams; keeps holes."""
        name = self._strip_protocol(rpath)
        found = self.overlay.get(name)
        target = outfile if outfile is not None else lpath if isfilelike(lpath) else None
        if found.is_dir:
            os.makedirs(lpath, exist_ok=True)
            return
        size = self.overlay.context.attributes(found).size
        callback.set_size(size)
        if target is not None:
            with self.overlay.open_content(name) as content:
                shutil.copyfileobj(content, target, _CHUNK_BYTES)
        else:
            os.makedirs(os.path.dirname(os.path.abspath(lpath)), exist_ok=True)
            self.overlay.open_content(name).close()  # raises the errors of reading it, before anything is written
            with open(lpath, "wb") as out:
                copy_content(self.overlay.stack, found, out.fileno())
        callback.absolute_update(size)

    def put_file(
        self, lpath: Any, rpath: str, callback: Any = DEFAULT_CALLBACK, mode: str = "overwrite", **_: Any
    ) -> None:
        """Write a file of the host into the container; for a directory, only itself. Raises FileExistsError."""
        name = self._strip_protocol(rpath)
        if os.path.isdir(lpath):
            self.makedirs(name, exist_ok=True)
            return
        callback.set_size(os.path.getsize(lpath))
        make_directories(self.overlay, self._parent(name))
        with open(lpath, "rb") as source, self._open(name, "xb" if mode == "create" else "wb") as out:
            shutil.copyfileobj(source, out, _CHUNK_BYTES)
        callback.absolute_update(callback.size or 0)

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        """Write bytes to a file. Raises FileExistsError with mode `create`."""
        with self.open(path, "xb" if mode == "create" else "wb") as out:
            out.write(value)

    def cp_file(self, path1: str, path2: str, **_: Any) -> None:
        """Copy one file within the file system, in the kernel; for a directory, only itself."""
        source, target = self._strip_protocol(path1), self._strip_protocol(path2)
        if self.overlay.get(source).is_dir:
            self.makedirs(target, exist_ok=True)
            return
        self._make_parent(target)
        copy_file(self.overlay, source, target)

    def touch(self, path: str, truncate: bool = True, **_: Any) -> None:
        """Make an empty file, or truncate one; with `truncate=False` set the times of an existing file."""
        name = self._strip_protocol(path)
        self._make_parent(name)
        flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if truncate else 0)
        os.close(self.overlay.open(name, flags))
        self.overlay.utimens(name)

    # ---- names that come and go

    def mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:
        """Make a directory. Raises FileExistsError."""
        name = self._strip_protocol(path)
        if create_parents:
            make_directories(self.overlay, self._parent(name))
        self.overlay.mkdir(name)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Make a directory and its parents. Raises FileExistsError."""
        name = self._strip_protocol(path)
        if not exist_ok and self.lexists(name):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
        make_directories(self.overlay, name)

    def rmdir(self, path: str) -> None:
        """Remove an empty directory."""
        self.overlay.rmdir(self._strip_protocol(path))

    def rm_file(self, path: str) -> None:
        """Remove a file or link."""
        self.overlay.unlink(self._strip_protocol(path))

    _rm = rm_file

    def rm(self, path: str | list[str], recursive: bool = False, maxdepth: int | None = None) -> None:
        """Remove files, links and, with `recursive`, directories. Links are not followed.

        Raises:
            OSError: EISDIR for a directory without `recursive`.
        """
        if maxdepth is not None:
            super().rm(path, recursive=recursive, maxdepth=maxdepth)
            return
        for one in path if isinstance(path, list) else self._matching(path):
            name = self._strip_protocol(one)
            if not self.overlay.get(name, follow=False).is_dir:
                self.overlay.unlink(name)
            elif recursive:
                remove_tree(self.overlay, name)
            else:
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)

    def _matching(self, pattern: str) -> Iterator[str]:
        """Return the matches of a pattern; an existing name matches itself, whatever characters it has."""
        if self.lexists(pattern):
            yield pattern
        else:
            yield from self.expand_path(pattern)

    def mv(self, path1: str, path2: str, recursive: bool = True, maxdepth: int | None = None, **_: Any) -> None:
        """Rename a file or directory; a directory target receives it. A directory of the image moves without a copy."""
        source, target = self._strip_protocol(path1), self._strip_protocol(path2)
        self._make_parent(target)
        if self.isdir(target):
            target = f"{target.rstrip('/')}/{source.rpartition('/')[2]}"
        self.overlay.rename(source, target)

    def link(self, src: str, dst: str, **_: Any) -> None:
        """Make a hard link."""
        self.overlay.link(self._strip_protocol(src), self._strip_protocol(dst))

    def symlink(self, src: str, dst: str, **_: Any) -> None:
        """Make a symbolic link `dst` with the text `src`."""
        self.overlay.symlink(src, self._strip_protocol(dst))

    def chmod(self, path: str, mode: int) -> None:
        """Set permission bits."""
        self.overlay.chmod(self._strip_protocol(path), mode)

    def _make_parent(self, name: str) -> None:
        if self.auto_mkdir:
            make_directories(self.overlay, self._parent(name))

    def _isfilestore(self) -> bool:
        return True
