"""Images and stores for programs that embed rootlay: those of the store, with containers on top.

store = Store.open()
[image] = store.load("debian.tar")
with image.container() as c: …
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rootlay.store.containers.containers import Containers
from rootlay.store.containers.record import HOST_IMAGE
from rootlay.store.disk.owner import own_name
from rootlay.store.disk.userroot import user_root
from rootlay.store.model.image import Image as StoredImage
from rootlay.store.store import ImageStore
from rootlay.vfs.api.arguments import check_fields, checks_arguments
from rootlay.vfs.api.container import Container, Image

if TYPE_CHECKING:
    from rootlay.store.containers.upperstack import Snapshot
    from rootlay.vfs.build.result.report import Report
    from rootlay.vfs.changes.compare import Changes
    from rootlay.vfs.containers.states import State
    from rootlay.vfs.overlay.overlay import Overlay


@checks_arguments
class Store:
    """A store of images and containers.

    Args:
        root: as `Store.open`.
    """

    def __init__(self, root: Path) -> None:
        self._images = ImageStore.open(root)
        self.root = self._images.root

    @classmethod
    def open(cls, root: str | os.PathLike[str] | None = None) -> Store:
        """Open a store. Make it if it does not exist.

        Args:
            root: its directory. By default the user's own, as for the command line: `ROOTLAY_ROOT`, else `rootlay` in
                `XDG_DATA_HOME` or in `~/.local/share`.

        Raises:
            NoHome: the place of the user's own store is not known.
            StoreNotWritable: it cannot be made.
        """
        if root is not None and not os.fspath(root):
            raise ValueError("Store.open: root is empty: name a directory, or leave it out for the user's own store")
        return cls(user_root() if root is None else Path(root))

    def load(self, path: str | os.PathLike[str]) -> Image:
        """Load an archive (docker-archive, OCI archive or directory) and return its first image.

        Raises:
            NotAnArchive, TruncatedArchive, DigestMismatch, UnsafePath, …: the store is unchanged.
        """
        return self._wrap(self._images.load(Path(path))[0])

    def load_all(self, path: str | os.PathLike[str]) -> list[Image]:
        """Load all images of an archive, as in `load`."""
        return [self._wrap(image) for image in self._images.load(Path(path))]

    def import_rootfs(self, path: str | os.PathLike[str], reference: str) -> Image:
        """Make an image of a root file system: a tar (plain, gzip, zstd, xz) or a directory."""
        return self._wrap(self._images.import_rootfs(Path(path), reference))

    def build(
        self,
        context: str | os.PathLike[str],
        *tags: str,
        dockerfile: str | os.PathLike[str] | None = None,
        text: str | None = None,
        report: Report | None = None,
        **options: Any,
    ) -> Image:
        """Build a Dockerfile, as `rootlay build` does.

        Args:
            context: the source of COPY: a directory, an archive, a git repository or a URL.
            tags: names of the image.
            dockerfile: its path; `Dockerfile` in the context by default.
            text: the Dockerfile itself, instead of a path.
            report: receives each step (rootlay.vfs.build.result.report).
            options: fields of rootlay.vfs.build.options.options.BuildOptions: `build_args`, `target`, `epoch_s`, …

        Raises:
            BadDockerfile, BuildFailed, RunFailed, UnknownImage, BadContext: no image was made.
        """
        from rootlay.vfs.build.fromcontext import build_context
        from rootlay.vfs.build.options.options import BuildOptions

        check_fields("Store.build", BuildOptions, options)
        wanted = BuildOptions(tags=tags, **options)
        result = build_context(self._images, context, wanted, dockerfile=dockerfile, text=text, report=report)
        return self._wrap(result.image)

    def image(self, reference: str) -> Image:
        """Return an image by name, digest or ID; a bundle by its path (with a slash in it); `host`: this machine.

        Raises:
            UnknownImage: there is none.
        """
        if reference == HOST_IMAGE:
            return Image(self.root, HOST_IMAGE, None)
        if "/" in reference:
            from rootlay.vfs.containers.imageview import find_bundle

            if bundle := find_bundle(reference):
                return Image(self.root, bundle, None)
        return self._wrap(self._images.image(reference))

    def container(self, reference: str) -> Container:
        """Return a container by name or ID.

        Raises:
            UnknownContainer: there is none.
        """
        return Container(Containers(self.root).find(reference))

    def diff(self, before: Image | Container | Snapshot, after: Image | Container | Snapshot) -> Changes:
        """Return the changes from one state to another: images, containers as they are now, snapshots, in any pairing.

        Takes time proportional to the difference (see vfs.changes.compare). The result is a list of changes that can be
        applied to a real directory (`apply`).

        Raises:
            UnknownContainer: a snapshot's container was removed.
            CorruptStore: a view or layer is damaged.
        """
        from rootlay.vfs.containers.states import diff_states

        return diff_states(self.root, self._state(before), self._state(after))

    def _state(self, state: Image | Container | Snapshot) -> State | StoredImage | Callable[[], Overlay]:
        from rootlay.vfs.containers.states import State

        if isinstance(state, Image):
            return state.stored if state.stored is not None else state.open_overlay
        if isinstance(state, Container):
            return State(state.record)
        return State(Containers(self.root).find(state.container), state)

    def overlay(
        self,
        *lowers: str | os.PathLike[str],
        name: str = "",
        upper: str | os.PathLike[str] = "",
        base: str = "",
    ) -> Container:
        """Make a container of host directories as read-only layers, topmost last, over the image `base` if given."""
        from rootlay.vfs.containers.create import ContainerOptions, create_container

        wanted = ContainerOptions(
            image=base,
            name=name,
            lowers=tuple(os.fspath(path) for path in lowers),
            upper=os.fspath(upper),
            need_command=False,
            owner="" if name else own_name(),
        )
        return Container(create_container(self.root, wanted, {}), ephemeral=not name)

    def __reduce__(self) -> tuple[Any, ...]:
        return Store, (self.root,)

    def _wrap(self, stored: StoredImage) -> Image:
        return Image.of(self.root, stored)
