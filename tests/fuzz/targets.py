"""What is fuzzed: each target takes bytes from a stranger, and answers, or raises an error that it may raise.

Anything else is a bug: another exception, a hang, memory without end, an answer that contradicts itself.
"""

from __future__ import annotations

import hashlib
import os
import struct
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path

from rootlay.store.bundle.format import ALIGNMENT, HEADER_BYTES, MAGIC, SHEBANG_BYTES, is_bundle
from rootlay.store.bundle.reader import BundleView
from rootlay.store.codec.bytestream import ByteStream
from rootlay.store.codec.codec import open_codec
from rootlay.store.containers.bloom import FILE_BYTES
from rootlay.store.exchange.dockerload import _parse as parse_docker_manifest
from rootlay.store.layer.tree import LayerTree
from rootlay.store.layout.identity import TocPlace
from rootlay.store.lazy.toc import iter_toc
from rootlay.store.model.entry import Entry, EntryType
from rootlay.store.model.errors import BadManifest, BadReference, CorruptStore, RootlayError
from rootlay.store.model.imageconfig import ImageConfig
from rootlay.store.model.manifest import Index, Manifest, Platform
from rootlay.store.model.reference import Reference
from rootlay.store.registry.address import follow
from rootlay.store.registry.blobrange import _CONTENT_RANGE
from rootlay.store.registry.challenge import parse_challenges
from rootlay.store.registry.errors import BadRegistryAnswer
from rootlay.store.registry.lazypull import NotLazy, _ChunkedTable, _StargzTable
from rootlay.store.registry.retry import parse_retry_after
from rootlay.store.tar.header import HeaderError, parse_pax, pax_mtime_ns, pax_number, pax_xattrs
from rootlay.store.tar.reader import TarReader
from rootlay.store.view import merge as _viewbuild
from rootlay.store.view.delta import DeltaHeader, NativeDelta
from rootlay.store.view.native import NativeView
from rootlay.vfs.build.context.ignore import parse_ignore
from rootlay.vfs.build.language.errors import BadDockerfile
from rootlay.vfs.build.language.expand import expand
from rootlay.vfs.build.language.parser import parse as parse_dockerfile
from rootlay.vfs.build.language.scope import GlobalScope
from rootlay.vfs.merge.bloom import Bloom
from rootlay.vfs.merge.record import Record
from rootlay.vfs.run.user import UnknownUser, find_identity, parse_table

_OUTPUT_BYTES_MAX = 16 << 20  # of a decompressor: what comes after is more of the same
_LINUX = Platform("linux", "amd64")


def fix_checksums(data: bytes) -> bytes:
    """A tar in which the checksum of every header block fits: fuzzers do not guess them."""
    out = bytearray(data)
    for at in range(0, len(out) - 511, 512):
        if out[at + 257 : at + 262] == b"ustar":
            out[at + 148 : at + 156] = b" " * 8
            out[at + 148 : at + 156] = b"%06o\0 " % sum(out[at : at + 512])
    return bytes(out)


def _read_tar(data: bytes) -> None:
    tree = LayerTree(1 << 22)
    entries: list[tuple[bytes, Entry]] = []
    with suppress(RootlayError):
        for name, entry in TarReader(ByteStream([data]), "fuzz"):
            entries.append((name, entry))
            assert entry.size >= 0
            assert entry.stored_bytes <= entry.size
            tree.add(name, entry)
    tree.finish()
    for key, packed in tree.iter_sorted():
        name = key[4:]
        assert b"/" not in name
        assert name not in (b".", b"..")
        assert len(name) <= 255
        assert Entry.unpack(packed).pack() == packed


def tar(data: bytes) -> None:
    """Layers: headers, extended headers, sparse maps, names, links, whiteouts."""
    _read_tar(fix_checksums(data))


def pax(data: bytes) -> None:
    """Pax records and what is read out of them."""
    try:
        records = parse_pax(data)
    except HeaderError:
        return
    fields = dict(records)
    for read in (pax_xattrs, lambda f: pax_number(f, b"size", 0), lambda f: pax_mtime_ns(f.get(b"mtime", b"0"))):
        with suppress(HeaderError):
            read(fields)
    header = bytearray(512)
    header[:4] = b"name"
    header[100:148] = b"0000644\x000000000\x000000000\x0000000000000\x0000000000000\x00"
    header[124:136] = b"%011o\0" % len(data)
    header[156:157] = b"x"
    header[257:265] = b"ustar\x0000"
    entry = bytearray(header)
    entry[124:136] = b"%011o\0" % 512
    entry[156:157] = b"0"
    _read_tar(fix_checksums(bytes(header) + data + bytes(-len(data) % 512) + bytes(entry)) + bytes(1536))


def frames(data: bytes) -> None:
    """gzip, zstd, xz and bzip2 streams."""
    with suppress(RootlayError):
        total = 0
        for chunk in open_codec([data[i : i + 4096] for i in range(0, len(data), 4096)], "fuzz").chunks:
            total += len(chunk)
            if total > _OUTPUT_BYTES_MAX:
                return


def documents(data: bytes) -> None:
    """Manifests, indexes, configs, docker's manifest.json."""
    for kind in (Index, Manifest, ImageConfig):
        with suppress(RootlayError):
            found = kind.parse(kind.parse(data, "fuzz").to_bytes(), "fuzz")
            assert kind.parse(found.to_bytes(), "fuzz") == found
    with suppress(RootlayError):
        parse_docker_manifest(data, "fuzz")


def reference(data: bytes) -> None:
    """Image references."""
    try:
        found = Reference.parse(data.decode("utf-8", "surrogateescape"))
    except BadReference:
        return
    assert Reference.parse(str(found)) == found
    assert Reference.parse(found.familiar) == found


def dockerfile(data: bytes) -> None:
    """Dockerfiles, with the expansion of their variables."""
    try:
        found = parse_dockerfile(data, "file")
        outer = GlobalScope.of(found, {"A": "x y", "C": "$A"}, build=_LINUX, target=_LINUX)
        for stage in found.stages:
            outer.expand_from(stage.base)
            scope = outer.stage(["PATH=/bin", "E="])
            for instruction in stage.instructions:
                scope = scope.after(expand(instruction, scope))
    except BadDockerfile:
        return


def dockerignore(data: bytes) -> None:
    """Files of patterns, and what they say of paths."""
    text, _, paths = data.partition(b"\0")
    try:
        rules = parse_ignore(text)
    except BadDockerfile:
        return
    for path in (b"a", b"a/b.c", b"\xff/x", *paths.split(b"\0")[:4]):
        rules.excludes(os.fsdecode(path.replace(b"\0", b"")[:200].strip(b"/") or b"x"))


def bundle(data: bytes) -> None:
    """Bundles: the header (its digest fits), the list of files, the view, the contents."""
    page = bytearray(data[: HEADER_BYTES - 32].ljust(HEADER_BYTES - 32, b"\0"))
    page[SHEBANG_BYTES : SHEBANG_BYTES + len(MAGIC)] = MAGIC
    tables = data[HEADER_BYTES - 32 :]
    page += hashlib.sha256(page).digest()
    with tempfile.NamedTemporaryFile() as file:
        file.write(page)
        file.truncate(ALIGNMENT)
        file.seek(ALIGNMENT)
        file.write(tables)
        file.flush()
        assert is_bundle(file.name)
        with suppress(RootlayError), closing(BundleView.open(Path(file.name))) as view:
            _look_around(view.iter_nodes(), lambda parent: list(view.iter_children(parent)))
            view.has("index.json") if hasattr(view, "has") else None


def _look_around(nodes: Iterable[tuple[int, bytes, object]], children: Callable[[int], object]) -> None:
    for number, (parent, _, _) in enumerate(nodes):
        with suppress(CorruptStore, LookupError):
            children(parent)
        if number > 200:
            return


class Heap(bytes):
    """Bytes in the place of a mapping."""

    def close(self) -> None:
        """As mmap's."""


def native_view(data: bytes) -> None:
    """The native view, by Python's reader. The C core's is fuzzed by fuzz/core/core.c."""

    with suppress(RootlayError):
        view = NativeView.of(Heap(data), "fuzz")  # type: ignore[arg-type]
        for entry_id in range(1, min(view.entries, 100) + 1):
            for ask in (view.entry, view.key, view.path, view.list_types):
                with suppress(CorruptStore):
                    ask(entry_id)
            with suppress(CorruptStore):
                view.find(*view.key(entry_id))


def delta(data: bytes) -> None:
    """A native view that is a delta, and its base: length (u16) and bytes of the base, then the delta."""
    length = int.from_bytes(data[:2], "little")
    with suppress(RootlayError):
        base = NativeView.of(Heap(data[2 : 2 + length]), "base")  # type: ignore[arg-type]
        data = data[2 + length :]
        data = data[:16] + len(data).to_bytes(8, "little") + data[24:]  # who opens it compares the size
        view = NativeDelta(Heap(data), DeltaHeader.parse(data, "fuzz"), base, "fuzz")  # type: ignore[arg-type]
        numbers = range(view.delta.base_entries)
        assert view.touched & set(numbers) == {n for n in numbers if view.is_hidden(n) or view.is_changed(n)}
        for entry_id in range(1, min(view.entries, 100) + 1):
            for ask in (view.entry, view.key, view.path, view.list_types):
                with suppress(CorruptStore, LookupError):
                    ask(entry_id)
            with suppress(CorruptStore, LookupError):
                view.find(*view.key(entry_id))


def layer_entry(data: bytes) -> None:
    """Entries of layer indexes."""
    try:
        entry = Entry.unpack(data)
    except CorruptStore:
        return
    Entry.unpack(entry.pack())


def toc(data: bytes) -> None:
    """Tables of contents of lazily pulled layers."""
    with suppress(BadManifest):
        for _ in iter_toc((data[:7], data[7:]), "fuzz"):
            pass


def record(data: bytes) -> None:
    """Records in an upper, which a program inside can write itself."""
    try:
        found = Record.parse(data)
    except ValueError:
        return
    assert Record.parse(found.format()) == found
    assert found.redirect is None or b"/../" not in found.redirect + b"/"


def layers(data: bytes) -> None:
    """A stack of two layers: whiteouts, opaque directories, hard links, things in each other's place."""
    merge, names = _viewbuild.Merge(), set()
    data = fix_checksums(data)
    middle = len(data) // 1024 * 512  # of the blocks of a tar
    for part in (data[:middle], data[middle:]):
        tree = LayerTree(1 << 22)
        with suppress(RootlayError):
            for name, entry in TarReader(ByteStream([part]), "fuzz"):
                tree.add(name, entry)
        tree.finish()
        records = list(tree.iter_sorted())
        names |= {key[4:] for key, _ in records}
        try:
            merge.add(records)
        except _viewbuild.MissingTarget:
            return
        except ValueError as error:  # of what the reader lets pass, only this does not merge
            if "65535 bytes" not in str(error):
                raise
            return
    entries, _ = merge.finish()
    found = b"".join(merge.iter_native(bytes(32)))
    view = NativeView.of(Heap(found), "fuzz")  # type: ignore[arg-type]
    assert view.entries == entries - 1
    for entry_id in range(1, min(entries, 300)):
        parent, name = view.key(entry_id)
        assert name in names
        assert entry_id == 1 or (view.find(parent, name) == entry_id and b".wh." not in name[:4])
        assert b"/../" not in view.path(entry_id) + b"/"
        assert view.entry(entry_id).type != EntryType.WHITEOUT.value


class _AnyDigest:
    algorithm = "sha256"
    __hash__ = None  # type: ignore[assignment]  # compared only

    def __eq__(self, _: object) -> bool:
        return True


def footers(data: bytes) -> None:
    """Where eStargz and zstd:chunked blobs have their table of contents, and what packs it."""

    class Blob:
        what, size = "fuzz", len(data)

        def __call__(self, start: int, end: int) -> bytes:
            if not 0 <= start < end <= self.size:
                raise BadManifest(self.what, "outside")
            return data[start:end]

    place = TocPlace("", _AnyDigest(), 0, len(data), 1 << 16)  # type: ignore[arg-type]
    for table in (_StargzTable, _ChunkedTable):
        with tempfile.TemporaryDirectory() as name, suppress(BadManifest, NotLazy):
            for _ in table(Blob(), place, Path(name, "toc")).files():  # type: ignore[arg-type]
                pass


def headers(data: bytes) -> None:
    """What a registry says in headers: WWW-Authenticate, Content-Range, Location, Retry-After."""
    text = data.decode("latin-1")
    parse_challenges(text)
    wait_s = parse_retry_after(text)
    assert wait_s is None or wait_s >= 0
    if found := _CONTENT_RANGE.match(text):
        assert int(found[1]) < 10**18
    with suppress(BadRegistryAnswer):
        assert follow("https://registry.example/v2/", text).startswith("https://")


def bloom(data: bytes) -> None:
    """Filters of uppers, which a program inside can write. The C core's reader is fuzzed by core/core.c."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        if data[:1] == b"R":
            file.truncate(FILE_BYTES)
        file.flush()
        with suppress(ValueError), Bloom(Path(file.name)) as found:
            found.add(b"/a")
            assert b"/a" in found


def accounts(data: bytes) -> None:
    """An image's passwd and group, and the user that its config names."""
    user, _, table = data.partition(b"\n")
    for row in parse_table(table, 7):
        assert int(row[2]) >= 0
    with suppress(UnknownUser):
        found = find_identity(user.decode("utf-8", "surrogateescape"), lambda path: table)
        assert all(0 <= number < 2**32 - 1 for number in (found.uid, found.gid, *found.groups))


TARGETS: dict[str, Callable[[bytes], None]] = {
    function.__name__: function
    for function in (
        tar, pax, frames, documents, reference, dockerfile, dockerignore, bundle, native_view, delta, layer_entry, toc,
        record, layers, footers, headers, bloom, accounts,
    )
}  # fmt: skip


def every(data: bytes) -> None:
    """All targets in one: the first byte says which. For a moment in each test run, where starting takes longest."""
    if data:
        list(TARGETS.values())[data[0] % len(TARGETS)](data[1:])


def mutated(seeds: list[bytes], count: int, rng: object) -> Iterator[bytes]:
    """Seeds with random damage: what runs where the fuzzer itself is not installed."""
    import random

    assert isinstance(rng, random.Random)
    for _ in range(count):
        out = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(out) + 1)
            kind = rng.randrange(5)
            if kind == 0:
                out[at : at + 1] = bytes((rng.randrange(256),))
            elif kind == 1:
                out[at : at + 1] = bytes((rng.choice(b'\0\xff0179=/. \n-gxLKS5{}[]"\\,:$'),))
            elif kind == 2:
                out[at : at + rng.randint(1, 64)] = b""
            elif kind == 3:
                out[at : at + 4] = struct.pack("<I", rng.choice((0, 1, 0x7FFFFFFF, 0xFFFFFFFF, rng.getrandbits(32))))
            else:
                out[at:at] = out[at : at + rng.randint(1, 64)]
        yield bytes(out)
