"""Images and stores for programs that embed rootlay: those of the store, with containers on top.

store = Store.open()
[image] = store.load("debian.tar")
with image.container() as c: …
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Unpack

from rootlay.store.containers.containers import Containers
from rootlay.store.containers.record import HOST_IMAGE
from rootlay.store.disk.owner import own_name
from rootlay.store.disk.userroot import user_root
from rootlay.store.model.image import Image as StoredImage
from rootlay.store.model.progress import Note, Progress, silent, unheard
from rootlay.store.store import ImageStore
from rootlay.vfs.api.arguments import check_fields, checks_arguments
from rootlay.vfs.api.container import Container, Image

if TYPE_CHECKING:
    from rootlay.store.check.finding import Outcome
    from rootlay.store.containers.upperstack import Snapshot
    from rootlay.store.model.manifest import Platform
    from rootlay.store.registry.settings import Settings as RegistrySettings
    from rootlay.vfs.api.options import BuiltOptions
    from rootlay.vfs.api.prune import Pruned
    from rootlay.vfs.build.result.report import Report
    from rootlay.vfs.changes.changes import Changes
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

    def __repr__(self) -> str:
        return f"<Store {self.root}>"

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

    def images(self, *, note: Note | None = None) -> list[Image]:
        """Return all images, newest first.

        Args:
            note: receives a line for each damaged image, which is left out; None: the first of them raises.

        Raises:
            CorruptStore, BadManifest: see `note`.
        """
        digests = dict.fromkeys(str(record.manifest_digest) for record in self._images.images(note))
        return [self._wrap(self._images.image(digest)) for digest in digests]

    def containers(self) -> list[Container]:
        """Return all containers, newest first."""
        return [Container(record) for record in Containers(self.root).iter_all()]

    def pull(
        self,
        reference: str,
        *,
        platform: str | None = None,
        lazy: bool = False,
        all_platforms: bool = False,
        registry: RegistrySettings | None = None,
        progress: Progress = silent,
        note: Note = unheard,
    ) -> Image:
        """Fetch an image from a registry. Only missing layers are fetched. See rootlay.store.registry.pull.

        Args:
            reference: `[HOST/]NAME[:TAG][@DIGEST]`.
            platform: `OS/ARCH[/VARIANT]`; this machine's by default.
            lazy: fetch tables of contents only, where a layer has one; files are fetched when they are read.
            all_platforms: fetch all platforms of a multi-platform image.
            registry: proxies, certificates, login; by default Docker's configuration in the user's home.
                `RegistrySettings.from_environ(os.environ)` is what the command line uses.
            progress: receives (bytes done, bytes in total or None, label).
            note: receives lines for the user.

        Raises:
            RegistryUnreachable, AccessDenied, NotInRegistry, RegistryRefused, BadRegistryAnswer: the store is
                unchanged, but for complete layers.
        """
        from rootlay.store.registry.pull import pull
        from rootlay.vfs.containers.ensureview import ensure_view

        found = pull(
            self._images, reference, _registry(registry), platform=_platform(platform), progress=progress, lazy=lazy,
            note=note, all_platforms=all_platforms,
        )  # fmt: skip
        if not found.lazy_layers:
            ensure_view(self._images, found.image)
        return self._wrap(found.image)

    def ensure(
        self,
        reference: str,
        *,
        platform: str | None = None,
        lazy: bool = False,
        registry: RegistrySettings | None = None,
        progress: Progress = silent,
        note: Note = unheard,
    ) -> Image:
        """Return an image, or the bundle at a path; pull the image first if the store does not have it.

        Any number of processes may call it at the same time: one of them pulls, the others wait for it.

        Args: as `pull`.

        Raises as `pull`, and as `image` for a bundle.
        """
        from rootlay.store.registry.once import pull_missing
        from rootlay.vfs.containers.ensureview import ensure_view
        from rootlay.vfs.containers.imageview import find_bundle

        if reference == HOST_IMAGE or find_bundle(reference) is not None:
            return self.image(reference)
        found, pulled = pull_missing(
            self._images, reference, _registry(registry), platform=_platform(platform), lazy=lazy, progress=progress,
            note=note,
        )  # fmt: skip
        if pulled and not lazy:
            ensure_view(self._images, found)
        return self._wrap(found)

    def push(
        self,
        image: Image | str,
        target: str | None = None,
        *,
        platform: str | None = None,
        compression: str | None = None,
        manifest_format: str | None = None,
        registry: RegistrySettings | None = None,
        progress: Progress = silent,
    ) -> str:
        """Send an image to a registry; return the digest of its manifest. Only missing blobs are sent.

        Args:
            target: `[HOST/]NAME[:TAG]`; the image's own name by default.
            compression: `gzip`, `zstd` or `none`: recompress the layers.
            manifest_format: `oci` or `docker`; unchanged by default.
            platform, registry, progress: as for `pull`; all platforms by default.

        Raises:
            RegistryUnreachable, AccessDenied, RegistryRefused, BadRegistryAnswer, NotFetched, BadReference.
        """
        from rootlay.store.registry.push import push

        done = push(
            self._images, _name(image), _registry(registry), target=target, compression=compression,
            manifest_format=manifest_format, platform=_platform(platform), progress=progress,
        )  # fmt: skip
        return str(done.digest)

    def login(self, host: str, username: str, password: str, *, registry: RegistrySettings | None = None) -> str:
        """Test a login at a registry (empty: Docker Hub) and keep it where docker does; return that place.

        Raises:
            AccessDenied, RegistryUnreachable, CredentialStoreFailed: nothing was kept.
        """
        from rootlay.store.registry.credential import Credential
        from rootlay.store.registry.login import login, parse_domain

        return login(parse_domain(host), Credential(username, password), _registry(registry))

    def logout(self, host: str, *, registry: RegistrySettings | None = None) -> bool:
        """Remove the login of a registry; return whether there was one. Raises CredentialStoreFailed."""
        from rootlay.store.registry.login import logout, parse_domain

        return logout(parse_domain(host), _registry(registry))

    def tag(self, image: Image | str, reference: str) -> Image:
        """Give an image one more name, and return it with that name. Raises BadReference, UnknownImage."""
        self._images.tag(self._images.image(_name(image)), reference)
        return self.image(reference)

    def save(
        self,
        images: Sequence[Image | str],
        target: str | os.PathLike[str] | BinaryIO,
        *,
        format: str = "docker-archive",  # noqa: A002 -- the name of the option of `save`
        compression: str | None = None,
        platform: str | None = None,
        progress: Progress = silent,
    ) -> None:
        """Write images to an archive that other tools can load. A file appears when it is complete.

        Args:
            target: a path, or a file that is open for writing.
            format: `docker-archive`, `oci-archive` or `oci-dir`.

        Raises:
            UnknownImage, NotFetched, WrongPlatform: nothing was written.
        """
        out = Path(target) if isinstance(target, (str, os.PathLike)) else target
        self._images.save(
            [_name(image) for image in images], out, format, compression=compression, platform=_platform(platform),
            progress=progress,
        )  # fmt: skip

    def load(
        self, path: str | os.PathLike[str], *, link: bool = False, progress: Progress = silent, note: Note = unheard
    ) -> Image:
        """Load an archive (docker-archive, OCI archive or directory) and return its first image.

        Args:
            link: refer to the layers of a directory, instead of copying them.
            progress, note: as for `pull`.

        Raises:
            NotAnArchive, TruncatedArchive, DigestMismatch, UnsafePath, …: the store is unchanged.
        """
        return self.load_all(path, link=link, progress=progress, note=note)[0]

    def load_all(
        self, path: str | os.PathLike[str], *, link: bool = False, progress: Progress = silent, note: Note = unheard
    ) -> list[Image]:
        """Load all images of an archive, as in `load`."""
        found = self._images.load(Path(path), link=link, progress=progress, note=note)
        return [self._wrap(image) for image in found]

    def import_rootfs(
        self,
        path: str | os.PathLike[str],
        reference: str,
        *,
        changes: Sequence[str] = (),
        message: str = "",
        progress: Progress = silent,
    ) -> Image:
        """Make an image of a root file system: a tar (plain, gzip, zstd, xz) or a directory.

        Args:
            changes: Dockerfile instructions for its config, such as `CMD ["bash"]`.
            progress: as for `pull`.
        """
        from rootlay.store.model.imageconfig import RunConfig
        from rootlay.vfs.build.result.changes import apply_changes

        config = apply_changes(RunConfig(), changes) if changes else None
        made = self._images.import_rootfs(Path(path), reference, config=config, message=message, progress=progress)
        return self._wrap(made)

    import_ = import_rootfs

    def prune(self, *, dry_run: bool = False, progress: Progress = silent) -> Pruned:
        """Remove stopped containers, images without a name, and garbage: see rootlay.vfs.api.prune."""
        from rootlay.vfs.api.prune import prune

        return prune(self._images, dry_run=dry_run, progress=progress)

    def fsck(self, *, deep: bool = False, repair: bool = False, progress: Progress = silent) -> list[Outcome]:
        """Check the store; return the findings, and what was done about each.

        Args:
            deep: read all content.
            repair: rebuild damaged objects, or move them to the directory `quarantine`.
            progress: receives (objects done, objects in total, kind of objects).

        Raises:
            StoreNotWritable: with `repair`.
        """
        from rootlay.store.check.run import check_store
        from rootlay.vfs.build.cache.check import check_build_cache
        from rootlay.vfs.containers.check import check_uppers

        more = (check_uppers, check_build_cache)
        return list(check_store(self.root, deep=deep, repair=repair, more=more, progress=progress))

    def build(
        self,
        context: str | os.PathLike[str],
        *tags: str,
        dockerfile: str | os.PathLike[str] | None = None,
        text: str | None = None,
        report: Report | None = None,
        **options: Unpack[BuiltOptions],
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


def _name(image: Image | str) -> str:
    """Return the name in the store by which an image is found."""
    return image if isinstance(image, str) else image.reference


def _platform(text: str | None) -> Platform | None:
    from rootlay.store.model.platform import parse_platform

    if text is None:
        return None
    platform = parse_platform(text)
    if not platform.os or not platform.architecture:
        raise ValueError(f"platform {text[:40]}: expected OS/ARCH[/VARIANT]")
    return platform


def _registry(given: RegistrySettings | None) -> RegistrySettings:
    from rootlay.store.registry.settings import Settings, docker_config

    return given if given is not None else Settings(docker_config=docker_config())
