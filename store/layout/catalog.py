"""Look-up of images in `index.json`: by name (`store.model.imagenames`), digest and ID.

A descriptor may lead to a multi-platform index: then its images are members of one entry
(`store.layout.indexdocuments`), and a name leads to the image for this machine.
"""

from __future__ import annotations

from collections.abc import Iterator

from rootlay.store.layout.layout import Layout
from rootlay.store.model.digest import Digest
from rootlay.store.model.errors import (
    AmbiguousImage,
    BadManifest,
    BadReference,
    RootlayError,
    UnknownImage,
    WrongPlatform,
)
from rootlay.store.model.image import Image, ImageRecord
from rootlay.store.model.imageconfig import ImageConfig
from rootlay.store.model.imagenames import NameTable, parsed, unnamed
from rootlay.store.model.manifest import INDEXES, MANIFESTS, Descriptor, Index, Manifest, Platform
from rootlay.store.model.progress import Note
from rootlay.store.model.reference import Reference
from rootlay.store.model.value import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rootlay.store.layout.indexdocuments import IndexDocument

_HEX = frozenset("0123456789abcdef")


class Catalog:
    """The look-up of images. Reads `index.json` once; make a new one to see later changes.

    `names`: a table of it that the caller changes, instead.
    """

    def __init__(self, layout: Layout, names: NameTable | None = None) -> None:
        self._layout = layout
        self._table = names or layout.read_names()
        self._known: _KnownIds | None = None

    @property
    def index(self) -> Index:
        """The index, with the changes that this import has made to it (`Layout.collecting`)."""
        return self._table.index

    def _entries(self) -> dict[Digest, Descriptor]:
        """Return one descriptor for each image, in the index's order: of a manifest, or of a multi-platform index."""
        kinds = MANIFESTS | INDEXES
        return {d.digest: d for d in reversed(self.index.manifests) if not d.media_type or d.media_type in kinds}

    def documents(self, entry: Descriptor) -> list[IndexDocument]:
        """Return the present documents of a multi-platform index, children first. Raises CorruptStore, BadManifest."""
        from rootlay.store.layout.indexdocuments import iter_index_documents  # here: most images have one platform

        def read(descriptor: Descriptor) -> bytes | None:
            here = descriptor.digest == entry.digest or self._layout.has_blob(descriptor.digest)
            return self._layout.read_blob(descriptor.digest) if here else None

        return list(iter_index_documents(read, entry, str(entry.digest)))

    def members(self, entry: Descriptor) -> list[Descriptor]:
        """Return the manifests of the images that an entry leads to and that are here: more than one only for a
        multi-platform index. Raises CorruptStore, BadManifest."""
        if entry.media_type not in INDEXES:
            return [entry]
        return [
            found.descriptor
            for found in self.documents(entry)
            if found.manifest is not None and found.is_image and self._layout.has_blob(found.manifest.config.digest)
        ]

    def read_manifest(self, descriptor: Descriptor) -> Manifest:
        """Read a manifest. Raises CorruptStore, BadManifest."""
        return Manifest.parse(self._layout.read_blob(descriptor.digest), str(descriptor.digest))

    def read(self, entry: Descriptor, member: Descriptor | None = None) -> Image:
        """Return the image that an entry of the index leads to.

        Args:
            member: which one of a multi-platform image, as an image of its own that has no names. None: the one for
                this machine, or the first one if there is none.

        Raises CorruptStore, BadManifest.
        """
        chosen = member or self._for_this_machine(entry)
        manifest = self.read_manifest(chosen)
        config = ImageConfig.parse(self._layout.read_blob(manifest.config.digest), str(manifest.config.digest))
        names = () if member is not None else self._names(entry)
        index = unnamed(entry) if member is None and entry.media_type in INDEXES else None
        return Image(unnamed(chosen), manifest, config, names, index)

    def _names(self, entry: Descriptor) -> tuple[str, ...]:
        return self._table.names_of(entry.digest)

    def _for_this_machine(self, entry: Descriptor) -> Descriptor:
        if entry.media_type not in INDEXES:
            return entry
        from rootlay.store.model.platform import choose, host_platform

        members = self.members(entry)
        if not members:
            raise BadManifest(str(entry.digest), "none of its images is in the store: `rootlay pull` fetches one")
        try:
            return choose(members, host_platform())
        except WrongPlatform:
            return members[0]

    def images(self, note: Note | None = None) -> list[Image]:
        """Return all images, each once.

        Args:
            note: receives the damaged ones, which are left out; None: the first of them raises.

        Raises CorruptStore, BadManifest.
        """
        found = []
        for descriptor in reversed(self._entries().values()):
            try:
                if self.members(descriptor):  # an index of other objects belongs to another tool, and is left alone
                    found.append(self.read(descriptor))
            except RootlayError as error:
                if note is None:
                    raise
                names = (d.ref_name for d in self.index.manifests if d.digest == descriptor.digest)
                shown = ", ".join(name for name in names if name) or descriptor.digest.short
                note(f"{shown} is left out: {error} (`rootlay fsck` says more)")
        return found

    def each(self) -> Iterator[Image]:
        """Yield all images one by one, those of multi-platform indexes too. Raises CorruptStore, BadManifest."""
        for entry in self._entries().values():
            for member in self.members(entry):
                yield self.read(entry, member if member is not entry else None)

    def records(self, note: Note | None = None) -> list[ImageRecord]:
        """Return one record for each name, and one for each image without a name; newest image first. See `images`."""
        found = []
        for image in self.images(note):
            size, platforms = (image.size, ()) if image.index is None else self._extent(image.index)
            found += [
                ImageRecord(name, image.id, image.entry.digest, image.created, size, platforms)
                for name in image.references or (None,)
            ]
        return sorted(found, key=lambda record: (record.created, record.reference or ""), reverse=True)

    def _extent(self, entry: Descriptor) -> tuple[int, tuple[str, ...]]:
        """Return the bytes of all documents and blobs of a multi-platform image, and its platforms."""
        sizes: dict[Digest, int] = {}
        platforms = []
        for found in self.documents(entry):
            sizes[found.descriptor.digest] = len(found.data)
            sizes |= {blob.digest: blob.size for blob in found.blobs}
            if found.is_image:
                platforms.append(str(found.descriptor.platform or "unknown"))
        return sum(sizes.values()), tuple(platforms)

    def get(self, text: str, wanted: Platform | None = None) -> Image:
        """Return the image of a name, a name and digest, an ID or a prefix of an ID that fits one image only.

        Args:
            wanted: which one of a multi-platform image, as an image of its own; None: see `read`.

        Raises UnknownImage, AmbiguousImage, BadReference, CorruptStore, WrongPlatform (only if one is wanted).
        """
        entry, member = self.locate(text)
        if wanted is None or member is not None:
            return self.read(entry, member)
        from rootlay.store.model.platform import choose, fits

        if entry.media_type in INDEXES:
            return replace(self.read(entry, choose(self.members(entry), wanted)), references=self._names(entry))
        image = self.read(entry)
        if not fits(wanted, image.config.platform):
            raise WrongPlatform(str(wanted), (str(image.config.platform),))
        return image

    def locate(self, text: str) -> tuple[Descriptor, Descriptor | None]:
        """Return the place of the image that `get` would read: the entry of the index, and which one of a
        multi-platform image it is, if the text is its own digest or ID. Raises as `get`."""
        entry = self.find_named(text)
        if entry is not None:
            digest = Reference.parse(text).digest
            chosen = (m for _, m in self._ids(entry) if m is not None and digest in (_, m.digest)) if digest else ()
            return entry, next(iter(chosen), None)
        found = self._find_by_id(text)
        if found is None:
            raise UnknownImage(text)
        return found

    def find_named(self, text: str) -> Descriptor | None:
        """Return the descriptor of a name, or of a name with a digest."""
        try:
            reference = Reference.parse(text)
        except BadReference:
            if _id_prefix(text) is None:
                raise
            return None
        if reference.digest is None:
            return self._table.find(reference)
        for descriptor in self.index.manifests:
            stored = parsed(descriptor.ref_name)
            if stored is None or stored.name != reference.name:
                continue
            if reference.tag is not None and stored.tag != reference.tag:
                continue
            if reference.digest in (stored.digest, descriptor.digest):
                return descriptor
            if any(reference.digest in (image_id, m and m.digest) for image_id, m in self._ids(descriptor)):
                return descriptor
        return None

    def _ids(self, entry: Descriptor) -> list[tuple[Digest, Descriptor | None]]:
        """Return the image IDs of an entry; with the manifest's descriptor for members of a multi-platform index."""
        if entry.media_type not in INDEXES:
            return [(self.read_manifest(entry).config.digest, None)]
        return [(self.read_manifest(member).config.digest, member) for member in self.members(entry)]

    def _find_by_id(self, text: str) -> tuple[Descriptor, Descriptor | None] | None:
        prefix = _id_prefix(text)
        if prefix is None:
            return None
        entries = self._table.of_image(Digest("sha256", prefix)) if len(prefix) == 64 else []
        if entries:
            return entries[-1], None
        if self._known is None:
            self._known = _KnownIds(self)
        found = {}
        for digest, is_id, entry, member in self._known.starting(prefix):
            if not self._table.of_image(entry.digest):
                continue  # removed since
            if not is_id and prefix == digest.hex:
                return entry, member
            if is_id and (member is None or digest not in found):
                found[digest] = entry, member
        if len(found) > 1:
            raise AmbiguousImage(text, map(str, found))
        if not found and self._known.damage is not None:
            raise self._known.damage
        return next(iter(found.values()), None)

    def iter_ids(self) -> Iterator[tuple[Descriptor, list[tuple[Digest, Descriptor | None]] | RootlayError]]:
        """Yield each entry with its image IDs (see `_ids`), or with the error of a damaged one."""
        for entry in self._entries().values():
            try:
                yield entry, self._ids(entry)
            except RootlayError as error:  # damage of another image must not block this one
                yield entry, error


class _KnownIds:
    """The IDs of all images and the digests of the members of multi-platform ones, sorted: read once for many
    look-ups."""

    def __init__(self, catalog: Catalog) -> None:
        self.damage: RootlayError | None = None
        rows: list[tuple[str, int, Digest, bool, Descriptor, Descriptor | None]] = []
        for entry, ids in catalog.iter_ids():
            if isinstance(ids, RootlayError):
                self.damage = ids
                continue
            for image_id, member in ids:
                rows.append((image_id.hex, len(rows), image_id, True, entry, member))
                if member is not None:
                    rows.append((member.digest.hex, len(rows), member.digest, False, entry, member))
        rows.sort(key=lambda row: row[:2])
        self._rows = rows
        self._keys = [row[0] for row in rows]

    def starting(self, prefix: str) -> Iterator[tuple[Digest, bool, Descriptor, Descriptor | None]]:
        """Yield digest, whether it is an image ID, the entry and the member, of those that begin with `prefix`."""
        from bisect import bisect_left  # here, not above: a run of a named image does not need it

        for row in self._rows[bisect_left(self._keys, prefix) :]:
            if not row[0].startswith(prefix):
                return
            yield row[2:]


def _id_prefix(text: str) -> str | None:
    """Return the hex digits of an image ID or of its beginning."""
    digits = text.removeprefix("sha256:")
    return digits if digits and len(digits) <= 64 and _HEX.issuperset(digits) else None
