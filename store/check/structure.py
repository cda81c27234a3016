"""Checks of the store's top-level files and directories (docs/format.md, the table at its top)."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from rootlay.store.check.finding import QUARANTINE, Finding, Quarantine, Status, words_of
from rootlay.store.check.scope import Scope, process_lives
from rootlay.store.chunks.blockcache import DATA_NAME, HAVE_NAME
from rootlay.store.chunks.origin import ORIGIN_NAME
from rootlay.store.disk.durable import write_file
from rootlay.store.disk.eventlog import NAMES as EVENT_LOGS
from rootlay.store.disk.lock import try_lock
from rootlay.store.disk.removetree import remove_tree
from rootlay.store.layout.indexdocuments import whole_index
from rootlay.store.layout.layout import LAYOUT_VERSION
from rootlay.store.model.digest import Digest
from rootlay.store.model.errors import RootlayError
from rootlay.store.model.imageconfig import ImageConfig
from rootlay.store.model.imagenames import NameTable
from rootlay.store.model.jsonfield import DOCUMENT_BYTES_MAX, dump, parse_object
from rootlay.store.model.manifest import INDEXES, OCI_INDEX, OCI_MANIFEST, Descriptor, Index, Manifest
from rootlay.store.model.reference import Reference

DIRECTORIES = frozenset("blobs layers views containers tmp locks build volumes networks manifests".split()) | {
    QUARANTINE
}
FILES = frozenset({"oci-layout", "index.json", "docker.sock", ".docker.sock.lock", "api.log", *EVENT_LOGS})
_LAYER_FILES = frozenset({"index.lmdb", "pack.tar.zst", "tree", DATA_NAME, HAVE_NAME, ORIGIN_NAME})
_HEX = re.compile(r"[0-9a-f]{64}")
_ID = re.compile(r"(sha256:)?[0-9a-f]{1,64}")
_VIEW = re.compile(r"[0-9a-f]{64}\.((lmdb|view)(\.base)?|bundle|asked|boots)")
_HALF_LINK = re.compile(r"[0-9a-f]{64}\.bundle\.\d+\.[0-9a-f]+")
_WRITE_BITS = stat.S_IWGRP | stat.S_IWOTH


def check_structure(scope: Scope) -> Iterator[Finding]:
    """Check directories and top-level files."""
    yield from _check_layout_file(scope)
    yield from _check_modes(scope)
    yield from _check_index(scope)
    yield from _check_unknown(scope)
    yield from _check_leftovers(scope)


def _check_layout_file(scope: Scope) -> Iterator[Finding]:
    path = scope.layout.root / "oci-layout"
    try:
        data = json.loads(path.read_bytes())
        good = isinstance(data, dict) and data.get("imageLayoutVersion") == LAYOUT_VERSION
        text = f"not an OCI image layout of version {LAYOUT_VERSION}"
    except FileNotFoundError:
        good, text = False, "missing"
    except ValueError:
        good, text = False, "not JSON"
    if good:
        return

    def fix(quarantine: Quarantine) -> Status:
        if path.exists():
            quarantine.take("layout-file", path, text)
        with scope.layout.staging() as staging:
            write_file(staging, path, dump({"imageLayoutVersion": LAYOUT_VERSION}))
        return "rebuilt"

    yield Finding("layout-file", "oci-layout", text, fix)


def _check_modes(scope: Scope) -> Iterator[Finding]:
    for path in (scope.layout.root, *(scope.layout.root / name for name in sorted(DIRECTORIES))):
        with suppress(FileNotFoundError):
            mode = path.stat().st_mode
            if mode & _WRITE_BITS:

                def fix(quarantine: Quarantine, path: Path = path, mode: int = mode) -> Status:
                    path.chmod(mode & 0o7777 & ~_WRITE_BITS)
                    return "rebuilt"

                text = f"mode {mode & 0o7777:o}: others may write here"
                yield Finding("store-open", scope.place(path), text, fix)


def _check_index(scope: Scope) -> Iterator[Finding]:
    try:
        scope.layout.read_index()
    except RootlayError as error:
        reason = words_of(error)

        def fix(quarantine: Quarantine) -> Status:
            index = _index_from_blobs(scope)
            path = scope.layout.root / "index.json"
            if path.exists():
                quarantine.take("index-damaged", path, reason)
            with scope.layout.staging() as staging:
                write_file(staging, path, index.to_bytes())
            return "rebuilt"

        yield Finding("index-damaged", "index.json", f"{reason}; the images can be found again, most names cannot", fix)


def _index_from_blobs(scope: Scope) -> Index:
    """Return an index of all complete images among the blobs, with the names that containers remember. It includes the
    images below a multi-platform index among them."""
    names = NameTable(Index())
    for path in sorted((scope.layout.blobs / "sha256").iterdir()):
        if not _HEX.fullmatch(path.name) or not path.is_file() or path.stat().st_size > DOCUMENT_BYTES_MAX:
            continue
        data = path.read_bytes()
        try:
            manifest = Manifest.parse(data, path.name)
            digest = Digest("sha256", path.name)
            config = ImageConfig.parse(scope.layout.read_blob(manifest.config.digest), path.name)
        except (RootlayError, ValueError):
            continue
        whole = digest.fits(data) and all(scope.layout.has_blob(layer.digest) for layer in manifest.layers)
        if whole and len(config.diff_ids) == len(manifest.layers) > 0:
            media_type = manifest.media_type or OCI_MANIFEST
            descriptor = Descriptor(media_type, digest, len(data), platform=config.platform)
            names.add(descriptor, _name_in_containers(scope, digest))
    for entry, listed in _whole_indexes(scope):
        name = next((name for digest in listed if (name := _name_in_containers(scope, digest)) is not None), None)
        for digest in listed:
            names.remove_images((digest,))
        names.add(entry, name)
    return names.index


def _whole_indexes(scope: Scope) -> Iterator[tuple[Descriptor, tuple[Digest, ...]]]:
    """Yield the multi-platform indexes whose documents and blobs are all here, and the documents below them."""
    for path in sorted((scope.layout.blobs / "sha256").iterdir()):
        if not _HEX.fullmatch(path.name) or not path.is_file() or path.stat().st_size > DOCUMENT_BYTES_MAX:
            continue
        with suppress(RootlayError, ValueError):
            source = parse_object(path.read_bytes(), path.name)
            kind = str(source.get("mediaType") or OCI_INDEX)
            if kind in INDEXES and "manifests" in source:
                entry = Descriptor(kind, Digest("sha256", path.name), path.stat().st_size)
                documents = whole_index(scope.layout, entry)
                if any(found.is_image for found in documents):
                    yield entry, tuple(found.descriptor.digest for found in documents if found.manifest is not None)


def _name_in_containers(scope: Scope, manifest: Digest) -> Reference | None:
    for path in sorted(scope.layout.containers.glob("*/config.json")):
        with suppress(OSError, ValueError, KeyError, RootlayError):
            data = json.loads(path.read_bytes())
            if data["manifest"] == str(manifest):
                found = Reference.parse(data["image"])
                if found.digest is None and not _ID.fullmatch(data["image"]):
                    return found.with_default_tag()
    return None


def _check_unknown(scope: Scope) -> Iterator[Finding]:
    layout = scope.layout
    for path in sorted(layout.root.iterdir()):
        if path.name not in (DIRECTORIES if path.is_dir() else FILES):
            yield _unknown(scope, path)
    for directory, pattern in ((layout.layers, _HEX), (layout.views, _VIEW)):
        for path in sorted(directory.iterdir()) if directory.is_dir() else ():
            if not pattern.fullmatch(path.name) and not _HALF_LINK.fullmatch(path.name):
                yield _unknown(scope, path)
    for layer in sorted(layout.layers.iterdir()) if layout.layers.is_dir() else ():
        for path in sorted(layer.iterdir()) if layer.is_dir() else ():
            if path.name not in _LAYER_FILES:
                yield _unknown(scope, path)


def _unknown(scope: Scope, path: Path) -> Finding:
    text = "not described in docs/format.md"
    return Finding("unknown-file", scope.place(path), text, lambda q: q.take("unknown-file", path, text))


def _check_leftovers(scope: Scope) -> Iterator[Finding]:
    """Report leftovers of dead writers: `sweep` removed most of them when the store was opened."""
    layout = scope.layout
    for path in sorted(layout.views.iterdir()) if layout.views.is_dir() else ():
        if _HALF_LINK.fullmatch(path.name) and not process_lives(int(path.name.split(".")[2])):
            yield _leftover(scope, path)
    for path in sorted(layout.tmp.iterdir()) if layout.tmp.is_dir() else ():
        if path.name.startswith("removed-") and not process_lives(int(path.name.split("-")[1])):
            yield _leftover(scope, path)
    for path in sorted(layout.locks.iterdir()) if layout.locks.is_dir() else ():
        if path.name.endswith(".lock"):
            lock = try_lock(path)
            if lock is not None:  # releasing it removes the file, which is the whole repair
                lock.release()


def _leftover(scope: Scope, path: Path) -> Finding:
    def fix(quarantine: Quarantine) -> Status:
        if path.is_dir() and not path.is_symlink():
            remove_tree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        return "removed"

    return Finding("leftover", scope.place(path), "its process has ended", fix, leftover=True)
