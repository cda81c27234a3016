"""Checks of views against the layers they are made of (docs/format.md §4, §5), and of attached bundles (§10)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from rootlay.store.bundle.format import SUFFIX, Bundle
from rootlay.store.check.finding import Finding, Fix, Quarantine, Status, remove_file, words_of
from rootlay.store.check.scope import Scope
from rootlay.store.check.subprocesscheck import examine_in_subprocess
from rootlay.store.disk.lmdbfile import LmdbFile
from rootlay.store.layout.layerfiles import layer_exists
from rootlay.store.model.digest import Digest, chain_id
from rootlay.store.model.entry import META_KEY
from rootlay.store.model.errors import CorruptStore, RootlayError
from rootlay.store.view.build import build_view, merge_layers, view_items, view_path
from rootlay.store.view.delta import BASE_SUFFIX, DeltaHeader, base_of, read_header
from rootlay.store.view.deltabuild import Base, merge_delta
from rootlay.store.view.merge import NoDelta
from rootlay.store.view.view import View


def check_views(scope: Scope) -> Iterator[Finding]:
    """Check that both forms of each view are there and well-formed; `deep`: and equal a new merge of their layers."""
    names = {path.name.partition(".")[0] for path in scope.layout.views.iterdir() if path.suffix in (".lmdb", ".view")}
    for name in sorted(names):
        path = scope.layout.views / f"{name}.lmdb"
        if not path.exists():
            # The native form is published first: a builder was killed in between. The next user of the view rebuilds
            # it.
            native = path.with_suffix(".view")
            yield Finding("leftover", scope.place(native), "an incomplete view", remove_file(native), leftover=True)
            continue
        text, *found = examine_in_subprocess(lambda path=path: _examine(scope, path))  # type: ignore[misc]
        if text:
            layers = tuple(map(Digest.parse, found))
            yield Finding("view-damaged", scope.place(path), text, _rebuild(scope, path, layers))
    for path in sorted(scope.layout.views.glob(f"*{BASE_SUFFIX}")):
        if not _is_used(path):
            yield Finding("leftover", scope.place(path), "no delta is on top of it", remove_file(path), leftover=True)
    yield from _check_containers_views(scope)
    yield from _check_bundles(scope)


def _is_used(base: Path) -> bool:
    """Return whether the view next to a base is a delta: a builder may have been killed, or have built a whole one."""
    try:
        return isinstance(read_header(base.with_name(f"{base.name.partition('.')[0]}.view")), DeltaHeader)
    except FileNotFoundError:
        return False
    except CorruptStore:
        return True  # it is reported, and repaired with its base


def _examine(scope: Scope, path: Path) -> list[str]:
    """Return what is wrong with a view (empty: nothing), and its layers, as far as it states them."""
    layers: list[str] = []
    try:
        view = View.open(path)
    except (RootlayError, OSError) as error:
        return [words_of(error), *layers]
    try:
        if view.chain_id.hex != path.stem or chain_id(view.layers) != view.chain_id:
            return [f"it is the view of {view.chain_id}"]
        layers = list(map(str, view.layers))
        native = view.open_native()
        try:
            if native.chain_id != view.chain_id or native.entries != view.entries:
                return ["its two forms differ", *layers]
        finally:
            native.close()
        if scope.deep and all(_is_sound(scope, layer) for layer in view.layers):
            _compare(scope, view)
        return ["", *layers]
    except (RootlayError, OSError, ValueError) as error:
        return [words_of(error), *layers]
    finally:
        view.close()


def _is_sound(scope: Scope, layer: Digest) -> bool:
    return layer_exists(scope.layout.layer_directory(layer)) and layer.hex not in scope.distrusted


def _compare(scope: Scope, view: View) -> None:
    """Merge the layers again. Raises CorruptStore unless the result equals the view, byte for byte."""
    header = read_header(view.native_path)
    if not isinstance(header, DeltaHeader):
        _compare_whole(scope, view.path, view.layers)
        return
    lower = view.layers[: header.base_layers]
    base = Base(base_of(view.native_path), base_of(view.path), len(lower), header.base_entries, header.base_chain_id)
    if not _is_view_of(base, view_path(scope.layout.root, chain_id(lower))):  # else it has its own turn
        _compare_whole(scope, base.lmdb, lower, base.native)
    layers = [scope.store.layer(layer) for layer in view.layers[header.base_layers :]]
    try:
        delta = merge_delta(base, (layer.iter_raw() for layer in layers), view.layers)
    except NoDelta as error:
        raise CorruptStore(view.native_path.name, "it differs from its layers") from error
    finally:
        for layer in layers:
            layer.close()
    if delta.native != view.native_path.read_bytes():
        raise CorruptStore(view.native_path.name, "it differs from its layers")
    with closing(LmdbFile(view.path)) as stored:
        if (*delta.records, (META_KEY, delta.meta)) != tuple(stored.iter_from(b"\0")):
            raise CorruptStore(view.path.name, "it differs from its layers")


def _is_view_of(base: Base, path: Path) -> bool:
    """Return whether the files of a base are those of the view at `path`."""
    try:
        return base.lmdb.samefile(path) and base.native.samefile(path.with_suffix(".view"))
    except FileNotFoundError:
        return False


def _compare_whole(scope: Scope, path: Path, layers: Sequence[Digest], native: Path | None = None) -> None:
    native = native or path.with_suffix(".view")
    merge, (entries, _) = merge_layers(scope.store, layers)
    with open(native, "rb") as stream:
        same = all(stream.read(len(piece)) == piece for piece in merge.iter_native(chain_id(layers).raw))
        if not same or stream.read(1):
            raise CorruptStore(native.name, "it differs from its layers")
    stored = LmdbFile(path)
    try:
        meta = stored.get(META_KEY) or b""
        here = stored.iter_from(b"\0")
        for expected in view_items(merge, entries, meta):
            if next(here, None) != expected:
                raise CorruptStore(path.name, "it differs from its layers")
        if next(here, None) is not None:
            raise CorruptStore(path.name, "it has entries that are not in its layers")
        del here
    finally:
        stored.close()


def _rebuild(scope: Scope, path: Path, layers: tuple[Digest, ...]) -> Fix:
    """Rebuild a view; quarantine one that is not needed or cannot be rebuilt."""

    def fix(quarantine: Quarantine) -> Status:
        wanted = layers or _layers_of_chain(scope, path.stem)
        native = path.with_suffix(".view")
        for form in (path, native, base_of(path), base_of(native)):
            if form.exists():
                quarantine.take("view-damaged", form, "damaged")
        if not wanted and path.stem != chain_id(()).hex:
            return "quarantined"
        if not all(_is_sound(scope, layer) for layer in wanted):
            return "quarantined"
        build_view(scope.store, wanted)
        return "rebuilt"

    return fix


def _layers_of_chain(scope: Scope, chain: str) -> tuple[Digest, ...]:
    """Return the diff IDs of a stack, from the containers that use it and the images."""
    for record in scope.containers():
        if record.config.chain.endswith(f":{chain}"):
            return tuple(map(Digest.parse, record.config.layers))
    for image in scope.images():
        if image.chain_id.hex == chain:
            return image.diff_ids
    return ()


def _check_containers_views(scope: Scope) -> Iterator[Finding]:
    seen: set[str] = set()
    for record in scope.containers():
        chain = record.config.chain
        if not chain or chain in seen:
            continue
        seen.add(chain)
        path = view_path(scope.layout.root, Digest.parse(chain))
        bundle = path.with_suffix(SUFFIX)
        if path.exists() or bundle.is_symlink():
            continue
        layers = tuple(map(Digest.parse, record.config.layers))
        yield Finding(
            "view-lost", scope.place(path), f"container {record.name} needs it", _rebuild(scope, path, layers)
        )


def _check_bundles(scope: Scope) -> Iterator[Finding]:
    """Check that each link leads to the bundle of its name; `deep`: and that its tables match the header."""
    users = {record.config.chain: record for record in scope.containers()}
    for link in sorted(scope.layout.views.glob(f"*{SUFFIX}")):
        text = _bundle_trouble(scope, link)
        user = users.get(f"sha256:{link.name.removesuffix(SUFFIX)}")
        if text and user is None:
            # `rootlay run FILE` makes the link again.
            yield Finding(
                "leftover", scope.place(link), f"no container needs it; {text}", remove_file(link), leftover=True
            )
        elif text and user is not None:
            yield Finding("bundle-gone", scope.place(link), f"container {user.name} needs {_target(link)}: {text}")


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except OSError:
        return str(link)


def _bundle_trouble(scope: Scope, link: Path) -> str:
    try:
        bundle = Bundle(link)
    except (RootlayError, OSError) as error:
        return "it is missing" if isinstance(error, FileNotFoundError) else words_of(error)
    try:
        if f"{bundle.id.hex}{SUFFIX}" != link.name:
            return "it is another bundle"
        if scope.deep:
            bundle.verify_tables()
    except (RootlayError, OSError) as error:
        return str(error)
    finally:
        bundle.close()
    return ""
