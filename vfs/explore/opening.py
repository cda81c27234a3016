"""Opening what a user names: an image, a bundle, a container, or two states that are compared."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from rootlay.store.containers.record import CONFIG_COPY, ContainerRecord
from rootlay.store.model.digest import Digest
from rootlay.store.model.image import Image
from rootlay.store.model.imageconfig import ImageConfig
from rootlay.store.store import ImageStore
from rootlay.vfs.changes.changes import Changes
from rootlay.vfs.changes.compare import compare
from rootlay.vfs.containers.imageview import find_bundle, open_without_store
from rootlay.vfs.containers.states import Compared, State, find_state, open_state
from rootlay.vfs.explore.layerstack import LayerInfo, LayerStack, Step
from rootlay.vfs.explore.source import ChangesSource, IndexSource, Source, TreeSource

WRITABLE = "(writable layer)"


def open_image_layers(root: Path, image: Image, name: str) -> LayerStack:
    """Open the layers of an image of the store at `root`, lazy ones too. The caller closes it.

    Raises:
        CorruptStore: a layer is damaged.
    """
    store = ImageStore.open(root)
    with contextlib.ExitStack() as undo:
        sources = _layer_sources(store, store.prepare_stack(image), undo)
        layers, history = _describe(image.config, image.diff_ids)
        return LayerStack(name, sources, layers, undo.pop_all(), history)


def open_bundle_layers(root: Path, path: str) -> LayerStack:
    """Open a bundle: its merged tree as one layer. The caller closes it. Raises as store.bundle.attach."""
    with contextlib.ExitStack() as undo:
        tree = TreeSource(undo.enter_context(open_without_store(root, path)))
        return LayerStack(path, [tree], [LayerInfo("", "(bundle)")], undo.pop_all())


def open_container_layers(root: Path, state: State, name: str) -> LayerStack:
    """Open a container or snapshot: the layers of its image, and its changes on top. The caller closes it.

    Raises:
        CorruptStore: a view or layer is damaged.
    """
    base = State(state.record, base=True)
    config = state.record.config
    with contextlib.ExitStack() as undo:
        if config.layers and not config.lowers:
            sources = _layer_sources(ImageStore.open(root), map(Digest.parse, config.layers), undo)
            layers, history = _describe(_image_config(state.record), config.layers)
        else:
            sources = [TreeSource(undo.enter_context(open_state(root, base)))]
            layers, history = [LayerInfo("", "(below the writable layer)")], []
        sources.append(_changes_source(root, base, state, undo))
        return LayerStack(name, sources, [*layers, LayerInfo("", WRITABLE)], undo.pop_all(), history)


def open_difference(root: Path, before: Compared, after: Compared, names: tuple[str, str]) -> LayerStack:
    """Open two states: the first as the base layer, the changes to the second on top. The caller closes it."""
    with contextlib.ExitStack() as undo:
        sources: list[Source] = [TreeSource(undo.enter_context(open_state(root, before)))]
        sources.append(_changes_source(root, before, after, undo))
        infos = [LayerInfo("", names[0]), LayerInfo("", f"changes to {names[1]}")]
        return LayerStack(" and ".join(names), sources, infos, undo.pop_all())


def _describe(config: ImageConfig, layers: Sequence[object]) -> tuple[list[LayerInfo], list[Step]]:
    """Return what the history of an image says about each of its layers, and all its steps, oldest first."""
    infos = [LayerInfo(str(diff_id), "") for diff_id in layers]
    steps, number = [], 0
    for step in config.history:
        has_layer = not step.empty_layer and number < len(infos)
        command = step.created_by or step.comment  # an import has only a comment
        steps.append(Step(step.created, command, number if has_layer else None))
        if has_layer:
            infos[number] = LayerInfo(infos[number].id, command, step.created)
            number += 1
    return infos, steps


def _image_config(record: ContainerRecord) -> ImageConfig:
    return ImageConfig.parse((record.path / CONFIG_COPY).read_bytes(), "container's image config")


def _layer_sources(store: ImageStore, layers: Iterable[Digest], undo: contextlib.ExitStack) -> list[Source]:
    sources: list[Source] = []
    for diff_id in layers:
        sources.append(source := IndexSource(store.layer(diff_id)))
        undo.callback(source.close)
    return sources


def _changes_source(root: Path, before: Compared, after: Compared, undo: contextlib.ExitStack) -> ChangesSource:
    later = undo.enter_context(open_state(root, after))
    with open_state(root, before) as earlier:
        found = compare(earlier, later)
        changes = Changes(found, lambda: open_state(root, before), lambda: open_state(root, after))
    return ChangesSource(changes, later)


def open_named(root: Path, reference: str) -> LayerStack:
    """Open a bundle by its path, else a container (or CONTAINER@SNAPSHOT), else an image. The caller closes it.

    Raises:
        UnknownImage: there is none.
        CorruptStore: a view or layer is damaged.
    """
    if bundle := find_bundle(reference):
        return open_bundle_layers(root, bundle)
    state = find_state(root, reference)
    if isinstance(state, State):
        return open_container_layers(root, state, reference)
    return open_image_layers(root, state, reference)
