"""Images and containers in Python. They are one module: an image makes containers, and a container makes images.

with image.container() as c:                      # ephemeral: removed at the end
    c.fs.writetext("/etc/motd", "hi")
    c.run(["cat", "/etc/motd"], capture_output=True, text=True)
    print(c.diff())
    image2 = c.commit("app:2")
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Unpack

from rootlay.store.containers.record import Bind
from rootlay.store.disk.owner import own_name
from rootlay.store.model.progress import Progress, silent
from rootlay.store.model.value import replace, value
from rootlay.store.store import ImageStore
from rootlay.vfs.api.arguments import check_fields, checks_arguments
from rootlay.vfs.api.handle import ContainerHandle, delete_soon
from rootlay.vfs.api.lifecycle import HasLifecycle
from rootlay.vfs.merge.bypass import bypasses_hooks
from rootlay.vfs.run.processes import Moment

if TYPE_CHECKING:
    from rootlay.store.containers.upperstack import Snapshot
    from rootlay.store.model.digest import Digest
    from rootlay.store.model.image import Image as StoredImage
    from rootlay.store.model.imageconfig import History, RunConfig
    from rootlay.vfs.api.options import MadeOptions
    from rootlay.vfs.build.addlayer import Content
    from rootlay.vfs.changes.changes import Changes
    from rootlay.vfs.overlay.overlay import Overlay
    from rootlay.vfs.pyfs.layerfs import LayerFS


@checks_arguments
@value
class Image:
    """An image of a store. `stored` is its data in the store: None for `host`, and for a bundle at a path."""

    root: Path
    reference: str
    stored: StoredImage | None

    @property
    def id(self) -> str:
        """The image ID, `sha256:…`; the path of a bundle, or `host`."""
        return str(self.stored.id) if self.stored else self.reference

    @classmethod
    def of(cls, root: Path, stored: StoredImage) -> Image:
        """Return an image of the store at `root`, by its first name, or by its ID."""
        return cls(root, stored.references[0] if stored.references else str(stored.id), stored)

    def __repr__(self) -> str:
        digest = f" {self.stored.id.hex[:12]}" if self.stored else ""
        return f"<Image {self.reference}{digest}>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: names, platform, size, and the layers with the steps that made them."""
        from rootlay.vfs.changes import reprhtml

        known = [("ID", reprhtml.escaped(self.id)), ("Platform", reprhtml.escaped(self.platform))]
        known += [
            ("Created", reprhtml.escaped(self.created)),
            ("Size", reprhtml.size_text(self.size) if self.size else ""),
        ]
        table = reprhtml.facts(", ".join(self.references) or self.reference, known)
        if self.stored is None:
            return table
        sizes = [layer.size for layer in self.stored.manifest.layers]
        return f"<div>{table}{reprhtml.layer_table(self.history, sizes)}</div>"

    @property
    def references(self) -> tuple[str, ...]:
        """The names that the image had when it was looked up."""
        return self.stored.references if self.stored else (self.reference,)

    def open_overlay(self) -> Overlay:
        """Open the merged tree, read-only. The caller closes it.

        Raises:
            CorruptStore: a view or layer is damaged.
        """
        from rootlay.vfs.containers.imageview import open_image, open_without_store

        if self.stored is None:
            return open_without_store(self.root, self.reference)
        return open_image(self.root, self.stored)

    @property
    def layers(self) -> tuple[Digest, ...]:
        """The diff IDs of the layers, base layer first; none for `host` and bundles."""
        return self.stored.diff_ids if self.stored else ()

    @property
    def config(self) -> RunConfig:
        """The settings of its programs: user, env, entrypoint, cmd, working_dir, labels, …"""
        from rootlay.store.model.imageconfig import RunConfig

        return self.stored.config.config if self.stored else RunConfig()

    @property
    def env(self) -> dict[str, str]:
        """The variables that its programs get."""
        return {name: text for name, sign, text in (entry.partition("=") for entry in self.config.env) if sign}

    @property
    def labels(self) -> dict[str, str]:
        """The labels."""
        return dict(self.config.labels)

    @property
    def history(self) -> tuple[History, ...]:
        """The steps by which it was made, oldest first."""
        return self.stored.config.history if self.stored else ()

    @property
    def size(self) -> int:
        """Bytes of all its blobs, in their compressed form; 0 for `host`, the file's size for a bundle."""
        if self.stored is not None:
            return self.stored.size
        return os.stat(self.reference).st_size if os.path.isabs(self.reference) else 0

    @property
    def created(self) -> str:
        """The time of its creation, RFC 3339; empty if it is not known."""
        return self.stored.created if self.stored else ""

    @property
    def platform(self) -> str:
        """`OS/ARCH[/VARIANT]`; empty for `host` and bundles."""
        return str(self.stored.config.platform) if self.stored else ""

    def open_fs(self) -> LayerFS:
        """Open the merged tree as a read-only PyFilesystem2 file system. Closing it releases everything it holds.

        Raises:
            CorruptStore: a view or layer is damaged.
        """
        from rootlay.vfs.pyfs.layerfs import LayerFS

        return LayerFS(self.open_overlay(), owned=True)

    def open_layer(self, number: int) -> LayerFS:
        """Open one layer on its own: 0 is the base, -1 the topmost. Read-only. The caller closes it.

        `getinfo(path, ["rootlay"])` of a directory lists what the layer removes from those below (`whiteouts`,
        `opaque`).

        Raises:
            IndexError: there is no such layer.
            BrokenHardLink: the layer has a hard link to a file of a layer below.
            CorruptStore: the layer is damaged.
        """
        from rootlay.vfs.containers.imageview import open_layer
        from rootlay.vfs.pyfs.layerfs import LayerFS

        if self.stored is None:
            raise IndexError(f"{self.reference} has no layers: use an image of a store")
        return LayerFS(open_layer(self.root, self.stored, self.layers[number]), owned=True)

    def remove(self, *, force: bool = False) -> None:
        """Remove the image's name, and the image with its last name; with `force`, all names.

        Containers, and the build cache, keep the layers that they need.

        Raises:
            UnknownImage: it was removed already.
            ImageInUse: it has other names, and `force` is not given.
        """
        from rootlay.vfs.build.cache.gcroots import needed

        store = ImageStore.open(self.root)
        store.remove(self.reference, force=force, in_use=lambda: needed(store))

    def add_layer(
        self,
        files: Mapping[str, Content] | None = None,
        reference: str | None = None,
        *,
        remove: Sequence[str] = (),
        owner: str = "0:0",
        mode: str | None = None,
        changes: Sequence[str] = (),
        message: str = "",
        epoch_s: int | None = None,
    ) -> Image:
        """Make a new image: this one with one more layer of files and a changed config. See rootlay.vfs.build.addlayer.

            image.add_layer({"/etc/motd": "hi", "/srv": Path("site")}, "web:2", changes=['CMD ["serve"]'])

        Raises:
            ValueError: this is `host` or a bundle at a path; or the files do not fit together.
        """
        from rootlay.vfs.build.addlayer import add_layer

        if self.stored is None:
            raise ValueError(f"{self.reference} has no layers to add to: use an image of a store")
        made = add_layer(
            ImageStore.open(self.root), self.stored, files or {}, remove=remove, reference=reference, owner=owner,
            mode=mode, changes=changes, message=message, epoch_s=epoch_s,
        )  # fmt: skip
        return Image.of(self.root, made)

    def container(
        self,
        name: str = "",
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        user: str | int | None = None,
        binds: Sequence[Bind] = (),
        environ: Mapping[str, str] | None = None,
        **options: Unpack[MadeOptions],
    ) -> Container:
        """Make a new container. Without a name it is ephemeral: removed when it is closed.

        An ephemeral container that is never closed (garbage, or open when the interpreter exits) is removed with a
        ResourceWarning. `rootlay prune` removes those of killed processes.

        Args:
            env: variables to set inside.
            environ: the caller's environment, which a container of `host` inherits; empty by default.
            options: more fields of rootlay.vfs.containers.create.ContainerOptions.

        Raises:
            NameInUse, MissingDirectory: nothing was made.
        """
        from rootlay.vfs.containers.create import ContainerOptions, create_container

        check_fields("Image.container", ContainerOptions, options)
        more: dict[str, Any] = {key: tuple(item) if isinstance(item, list) else item for key, item in options.items()}
        wanted = ContainerOptions(
            image=self.id,
            name=name,
            env=tuple(f"{key}={value}" for key, value in (env or {}).items()),
            working_dir=None if cwd is None else os.fspath(cwd),
            user=None if user is None else str(user),
            binds=tuple(map(_absolute, binds)),
            need_command=False,
            owner="" if name else own_name(),
            **more,
        )
        moment = Moment.now()
        made = Container(create_container(self.root, wanted, environ or {}, self.stored), ephemeral=not name)
        made.made = moment
        return made


def _absolute(bind: Bind) -> Bind:
    """Make a bind absolute: it means the same wherever the caller is later. Raises TypeError."""
    host = os.fspath(bind.host) if isinstance(bind.host, os.PathLike) else bind.host
    check_fields("Bind", Bind, {"host": host, "target": bind.target})
    return replace(bind, host=os.path.abspath(host))


@bypasses_hooks
@checks_arguments
class Container(ContainerHandle, HasLifecycle):
    """A container. Close it (or use it as a context manager) to release its hydrator.

    Args:
        record: which container.
        ephemeral: remove the container when the handle is closed.
    """

    def _repr_html_(self) -> str:
        """Return what a notebook shows: names, image, state and command."""
        from rootlay.vfs.changes import reprhtml

        config = self.record.config
        return reprhtml.facts(
            self.name,
            [
                ("ID", reprhtml.escaped(self.id[:12])),
                ("Image", reprhtml.escaped(config.image)),
                ("Status", reprhtml.escaped(self.status)),
                ("Command", f"<code>{reprhtml.escaped(shlex.join(config.argv))}</code>" if config.argv else ""),
                ("Snapshots", reprhtml.escaped(", ".join(snapshot.name for snapshot in self.snapshots()))),
            ],
        )

    def snapshot(self, name: str = "", *, progress: Progress = silent) -> Snapshot:
        """Save the current files so that you can roll back: see rootlay.vfs.containers.snapshots. Constant time.

        Args:
            name: chosen if empty (`s1`, `s2`, …).
            progress: receives the merged names, if there are too many snapshots to keep each apart.

        Raises:
            SnapshotExists, ContainerRunning, UpperKeptElsewhere, TooManyLayers: nothing was changed.
        """
        from rootlay.vfs.containers.snapshots import create_snapshot

        snapshot = create_snapshot(self.record, name, self._launches(), progress)
        self._renew()
        return snapshot

    def snapshots(self) -> list[Snapshot]:
        """Return the container's snapshots, oldest first."""
        from rootlay.store.containers.upperstack import iter_snapshots

        return list(iter_snapshots(self.record.path))

    def remove_snapshot(self, snapshot: Snapshot | str) -> None:
        """Remove a snapshot. Containers and snapshots based on it stay unchanged. Raises UnknownSnapshot."""
        from rootlay.vfs.containers.snapshots import remove_snapshot

        remove_snapshot(self.record, self._snapshot(snapshot))

    def rollback(self, snapshot: Snapshot | str = "") -> None:
        """Restore the state of one of the container's snapshots, the youngest by default.

        Later changes that are not in a snapshot are lost.

        Raises:
            UnknownSnapshot, ContainerRunning, UpperKeptElsewhere: nothing was changed.
        """
        from rootlay.vfs.containers.snapshots import roll_back

        trash = roll_back(self.record, self._snapshot(snapshot), self._launches())
        self._renew()
        delete_soon(trash)

    def fork(self, name: str = "", *, snapshot: Snapshot | str | None = None) -> Container:
        """Make a new container with the state of this one, or of its snapshot. Without a name it is ephemeral.

        Raises:
            NameInUse, UnknownSnapshot: nothing was made.
            ContainerRunning, UpperKeptElsewhere, TooManyLayers: likewise.
        """
        from rootlay.vfs.containers.snapshots import fork_container

        wanted = None if snapshot is None else self._snapshot(snapshot)
        own = self._launches()
        made = fork_container(self.record, name, wanted, own, kept=bool(name))
        self._renew()
        return Container(made, ephemeral=not name)

    def diff(self, since: Snapshot | str | None = None, until: Snapshot | str | None = None) -> Changes:
        """Return the added, changed and deleted paths. Takes time proportional to the changes.

        Args:
            since: a snapshot, or its name; the image by default.
            until: a snapshot, or its name; the container's current state by default.

        Returns:
            The changes, as a list that can be applied to a real directory (`apply`).
        """
        from rootlay.vfs.containers.states import State, diff_states

        one = State(self.record, self._snapshot(since)) if since is not None else State(self.record, base=True)
        return diff_states(self.record.root, one, State(self.record, None if until is None else self._snapshot(until)))

    def commit(
        self,
        reference: str = "",
        *,
        message: str = "",
        author: str = "",
        changes: Sequence[str] = (),
        progress: Progress = silent,
    ) -> Image:
        """Make an image of the container: see rootlay.vfs.changes.commit."""
        from functools import partial

        from rootlay.vfs.build.result.changes import apply_changes
        from rootlay.vfs.changes.commit import commit_container

        stored = commit_container(
            self.record, self._open_overlay(), reference, message=message, author=author,
            change=partial(apply_changes, changes=changes), progress=progress,
        )  # fmt: skip
        return Image.of(self.record.root, stored)

    def export(self, out: BinaryIO, *, progress: Progress = silent) -> None:
        """Write the whole merged tree as a tar stream: see rootlay.vfs.changes.export.

        Raises:
            UnknownContainer: it was removed meanwhile.
        """
        from rootlay.vfs.changes.export import export_tree
        from rootlay.vfs.overlay.containerstack import not_removed

        with not_removed(self.record):
            export_tree(self._open_overlay(), out, progress)
        self.record.note("export")

    def _snapshot(self, snapshot: Snapshot | str) -> Snapshot:
        from rootlay.vfs.containers.snapshots import find_snapshot

        return find_snapshot(self.record, snapshot) if isinstance(snapshot, str) else snapshot
