"""`RUN --mount`: host paths that one command sees, made before it and removed after it.

Rules:
1. Everything is a bind of the engine: nothing of it is in the layer, and its target directories in the container are
   removed again (`rootlay.vfs.build.run.container`).
2. A bind of a plain context directory is the directory itself, read-only. For any other source (a stage, an image, an
   archive, a context with .dockerignore), and for a writable bind, it is a copy that is removed afterwards.
3. A secret is in a file on a tmpfs that only the caller can reach, or in an environment variable; its content is not in
   a cache key.
4. The mount sets owner and mode of a secret, a socket and a cache inside, and they are enforced. With others a cache is
   another cache, as in BuildKit; its content belongs to the user of the command.
5. `cache_key` has everything that can change the result: the content of binds, and the words of all other mounts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import mkdtemp

from rootlay.store.containers.record import Bind
from rootlay.store.disk.removetree import remove_tree
from rootlay.store.model.value import field, replace, value
from rootlay.vfs.build.context.checkout import check_out
from rootlay.vfs.build.context.source import HostTree, SourceTree, clean, resolve
from rootlay.vfs.build.copy.copy import absolute
from rootlay.vfs.build.language.errors import BadValue
from rootlay.vfs.build.language.mount import Mount
from rootlay.vfs.build.run.cachemount import CacheMounts

MEMORY = Path("/dev/shm")
SECRET_MODE = 0o400
SSH_MODE = 0o600
CACHE_MODE = 0o755
SSH_TARGET = "/run/buildkit/ssh_agent.{}"

Digest = Callable[[str | None, bytes], str]
"""The digest of the content at a path, in the tree of a name."""


@value
class MountSources:
    """The sources of mounts.

    Args:
        tree: the tree of a name (`from=`), None for the main context.
        digest: see Digest.
        caches: directories of type=cache.
        staging: a directory for copies and tmpfs.
        wait: called while another build holds a cache; raises when the build is cancelled.
        secrets: by id.
        sockets: of ssh agents, by id.
    """

    tree: Callable[[str | None], SourceTree]
    digest: Digest
    caches: CacheMounts
    staging: Path
    wait: Callable[[], None]
    secrets: Mapping[str, bytes] = field(default_factory=dict)
    sockets: Mapping[str, Path] = field(default_factory=dict)


class Mounting:
    """The mounts of one RUN. Use it as a context manager, whose end removes everything that it made."""

    def __init__(self, mounts: tuple[Mount, ...], working_dir: str, sources: MountSources) -> None:
        self._mounts = mounts
        self._working_dir = working_dir
        self._sources = sources
        self._stack = ExitStack()
        self._sockets = 0
        self.env: dict[str, str] = {}

    def cache_key(self) -> list[list[str | None]]:
        """Return the part of the step's key for the mounts. Raises BadValue, OSError."""
        found = []
        for mount in self._mounts:
            content = ""
            if mount.type == "bind":
                tree = self._sources.tree(mount.from_)
                content = self._sources.digest(mount.from_, self._place(tree, mount))
            words = (
                mount.type,
                mount.target,
                mount.id,
                *map(str, (mount.env, mount.readonly, mount.mode, mount.uid, mount.gid)),
            )
            found.append([*words, content])
        return found

    def open(self) -> tuple[Bind, ...]:
        """Make everything, and return the binds. Raises BadValue, OSError."""
        return tuple(bind for mount in self._mounts for bind in _MAKERS[mount.type](self, mount))

    def __enter__(self) -> Mounting:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # ---- by type

    def _bind(self, mount: Mount) -> list[Bind]:
        tree = self._sources.tree(mount.from_)
        place = self._place(tree, mount)
        if mount.readonly and isinstance(tree, HostTree):
            found = self._at(os.fsdecode(tree.root + place), mount, read_only=True)
            return [replace(found, canonical=True)]
        copy = self._directory("bind") / "copy"
        check_out(tree, place, copy)
        return [self._at(str(copy), mount, read_only=mount.readonly)]

    def _cache(self, mount: Mount) -> list[Bind]:
        target = self._target(mount)
        owner = _owner(mount, CACHE_MODE) if _has_owner(mount) else ()
        identity = "\0".join([mount.id or target, *map(str, owner)])
        mode = owner[2] if owner else CACHE_MODE
        caches, wait = self._sources.caches, self._sources.wait
        directory = self._stack.enter_context(caches.use(identity, mount.sharing, wait, mode))
        if mount.from_ is not None and not any(directory.iterdir()):
            tree = self._sources.tree(mount.from_)
            check_out(tree, self._place(tree, mount), directory)
        return [self._at(str(directory), mount, read_only=mount.readonly, owner=owner[:2])]

    def _tmpfs(self, mount: Mount) -> list[Bind]:
        return [self._at(str(self._directory("tmpfs")), mount)]

    def _secret(self, mount: Mount) -> list[Bind]:
        name = mount.id or mount.source or os.path.basename(mount.target or "")
        content = self._sources.secrets.get(name)
        if content is None:
            if mount.required:
                raise BadValue(f"there is no secret {name}: give it with --secret id={name}")
            return []
        if mount.env is not None:
            self.env[mount.env] = content.decode("utf-8", "surrogateescape")
            if mount.target is None:
                return []
        directory = Path(mkdtemp(prefix="rootlay-secret-", dir=MEMORY if os.access(MEMORY, os.W_OK) else None))
        self._stack.callback(remove_tree, directory, ignore_errors=True)
        file = directory / "secret"
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as out:
            out.write(content)
        target = mount.target or f"/run/secrets/{name}"
        return [Bind(str(file), _absolute(target, self._working_dir), True, owner=_owner(mount, SECRET_MODE))]

    def _ssh(self, mount: Mount) -> list[Bind]:
        socket = self._sources.sockets.get(mount.id or "default")
        if socket is None:
            if mount.required:
                raise BadValue(f"there is no ssh agent {mount.id or 'default'}: give it with --ssh")
            return []
        target = mount.target or SSH_TARGET.format(self._sockets)
        self._sockets += 1
        self.env.setdefault("SSH_AUTH_SOCK", target)
        return [Bind(str(socket), _absolute(target, self._working_dir), False, owner=_owner(mount, SSH_MODE))]

    # ---- parts

    def _directory(self, what: str) -> Path:
        directory = Path(mkdtemp(prefix=f"{what}-", dir=self._sources.staging))
        self._stack.callback(remove_tree, directory, ignore_errors=True)
        directory.chmod(0o755)
        return directory

    def _place(self, tree: SourceTree, mount: Mount) -> bytes:
        place = resolve(tree, clean((mount.source or "/").encode("utf-8", "surrogateescape")))
        if tree.lstat(place) is None:
            raise BadValue(f"--mount: {mount.source}: no such file or directory in {mount.from_ or 'the context'}")
        return place

    def _target(self, mount: Mount) -> str:
        return _absolute(mount.target or self._working_dir or "/", self._working_dir)

    def _at(self, host: str, mount: Mount, *, read_only: bool = False, owner: tuple[int, ...] = ()) -> Bind:
        target = self._target(mount)
        if target == "/":
            raise BadValue("--mount: the root cannot be a target")
        return Bind(host, target, read_only, owner=owner)


_MAKERS: dict[str, Callable[[Mounting, Mount], list[Bind]]] = {
    "bind": Mounting._bind,
    "cache": Mounting._cache,
    "tmpfs": Mounting._tmpfs,
    "secret": Mounting._secret,
    "ssh": Mounting._ssh,
}


def _has_owner(mount: Mount) -> bool:
    return (mount.uid, mount.gid, mount.mode) != (None, None, None)


def _owner(mount: Mount, default_mode: int) -> tuple[int, int, int]:
    """Return the owner of a mount, and its permission bits."""
    return mount.uid or 0, mount.gid or 0, (default_mode if mount.mode is None else mount.mode) & 0o777


def _absolute(target: str, working_dir: str) -> str:
    return os.fsdecode(clean(absolute(target, working_dir).encode("utf-8", "surrogateescape")))
