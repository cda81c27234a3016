"""The origin of an object of the merged tree: the layer that holds it, and the names that this layer hides below.

For an image layer the whiteouts of a directory are known only if the stack is that layer alone: a view of several
layers has the existing names, not the removed ones.
"""

from __future__ import annotations

import os
from typing import Any

from rootlay.store.model.entry import EntryType
from rootlay.vfs.merge import longpath
from rootlay.vfs.merge.listing import list_real
from rootlay.vfs.merge.lookup import Found
from rootlay.vfs.overlay.overlay import Overlay


def origin_fields(overlay: Overlay, found: Found) -> dict[str, object]:
    """Return the fields that `getinfo(path, ["rootlay"])` shows for an object (for a link, the link itself).

    - `source`: `upper`, `directory` (a frozen upper, a `--lower`, the machine's root) or `image`
    - `layer`: number of the image's layer, 0 the base; None for the other sources
    - `diff_id`: that layer's diff ID, else None
    - `place`: the directory of a directory layer, else None
    - `copied_up`: it is in the upper, and its name also exists below
    - `merged`: a directory with content from several layers
    - `opaque`: a directory that hides the directories of its name below
    - `whiteouts`: names that the holding layer removes from a directory, sorted
    - `redirect`: the path below at which a renamed directory finds its lower part, else None
    """
    stack = overlay.stack
    fields: dict[str, object] = {
        "layer": None, "diff_id": None, "place": None, "copied_up": False, "merged": found.is_dir and found.merges,
        "opaque": False, "whiteouts": [], "redirect": None,
    }  # fmt: skip
    if not found.parts:
        return {"source": "image", **fields, **_image_fields(overlay, found)}
    part = found.parts[0]
    layer = stack.dirs[part.layer]
    fields["source"] = "upper" if layer.writable else "directory"
    fields["place"] = os.fsdecode(layer.path) or "/"
    if layer.writable and found.parent is not None:
        fields["copied_up"] = overlay.context.lookup.lower_child(found.parent, found.name) is not None
    if found.is_dir and layer.marks:
        with longpath.lending():
            listed = list_real(layer.pinned(part.path), True)
        fields["opaque"] = listed.opaque
        fields["whiteouts"] = sorted(os.fsdecode(name) for name in listed.whiteouts)
    if found.record.redirect is not None:
        fields["redirect"] = os.fsdecode(found.record.redirect)
    return fields


def _image_fields(overlay: Overlay, found: Found) -> dict[str, object]:
    node: Any = found.node
    number: int = getattr(node, "layer", 0)
    layers = getattr(overlay.stack.view, "layers", ())
    fields: dict[str, object] = {"layer": number}
    if number < len(layers):
        fields["diff_id"] = str(layers[number])
    hydrator: Any = overlay.stack.hydrator
    if found.is_dir and len(layers) == 1 and hasattr(hydrator, "use_layer"):
        with hydrator.use_layer(0) as layer:
            entry = layer.find_path(found.path.lstrip(b"/"))
            if entry is not None and hasattr(layer, "iter_children"):
                gone = [name for name, child in layer.iter_children(entry.id) if _hides(child)]
                fields |= {"opaque": entry.opaque, "whiteouts": [os.fsdecode(name) for name in gone]}
    return fields


def _hides(entry: Any) -> bool:
    return bool(entry.type is EntryType.WHITEOUT)
