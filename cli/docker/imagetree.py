"""Images as a tree: each one below the image, or the stack of layers, that it continues.

Rules:
1. A node is a stack of layers that is an image, or at which images part. The root of the tree has no layers.
2. The layers and bytes of a node are its own: those that its parent does not have.
3. A chain of a thousand images is a tree of a thousand levels: nothing here is recursive.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from rootlay.cli.docker.units import human_size
from rootlay.store.model.digest import Digest
from rootlay.store.model.errors import printable_text
from rootlay.store.model.value import value

Stack = tuple[Digest, ...]


@value
class Leaf:
    """An image of the tree: its names, or `<untagged>`; its layers, base layer first; the platforms of an index."""

    name: str
    id: str
    layers: Stack
    platforms: tuple[str, ...] = ()


@dataclass(slots=True)
class Node:
    """A stack of layers, the images that have exactly these, and the stacks that continue it."""

    layers: Stack
    images: list[Leaf] = field(default_factory=list)
    children: list[Node] = field(default_factory=list)


def grow(leaves: Iterable[Leaf]) -> Node:
    """Return the root of the tree of images."""
    root = Node(())
    path = [root]
    before: Stack = ()
    for leaf in sorted(leaves, key=lambda leaf: [str(layer) for layer in leaf.layers]):
        common = _common(before, leaf.layers)
        last = None
        while len(path[-1].layers) > common:
            last = path.pop()
        if len(path[-1].layers) < common and last is not None:  # two stacks part between two nodes
            middle = Node(leaf.layers[:common], children=[last])
            path[-1].children[-1] = middle
            path.append(middle)
        if len(leaf.layers) > common:
            node = Node(leaf.layers)
            path[-1].children.append(node)
            path.append(node)
        path[-1].images.append(leaf)
        before = leaf.layers
    return root


def _common(one: Stack, other: Stack) -> int:
    """Return the number of layers that two stacks begin with."""
    count = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        count += 1
    return count


def lines_of(root: Node, sizes: dict[Digest, int]) -> Iterator[str]:
    """Yield the lines of a table with tabs: name in the tree, ID, number of own layers, bytes of these.

    Args:
        sizes: the compressed size of each layer.
    """
    yield "IMAGE\tID\tLAYERS\tSIZE"
    for image in root.images:  # without any layer
        yield f"{image.name}\t{_short(image.id)}\t0\t{human_size(0)}"
    waiting = [(node, 0, "", "") for node in reversed(root.children)]
    while waiting:
        node, inherited, mark, below = waiting.pop()
        own = node.layers[inherited:]
        size = human_size(sum(sizes.get(layer, 0) for layer in own), 3)
        count = f"+{len(own)}" if inherited else str(len(own))
        names = ", ".join(image.name for image in node.images) or "(shared layers)"
        ids = ", ".join(dict.fromkeys(_short(image.id) for image in node.images))
        yield f"{mark}{names}\t{ids}\t{count}\t{size}"
        platforms = [platform for image in node.images for platform in image.platforms]
        total = len(platforms) + len(node.children)
        marks = ["├─ "] * (total - 1) + ["└─ "] * bool(total)
        for line, platform in zip(marks, platforms, strict=False):
            yield f"{below}{line}{printable_text(platform)}\t\t\t"
        children = list(zip(node.children, marks[len(platforms) :], strict=True))
        for child, line in reversed(children):
            further = below + ("│  " if line == "├─ " else "   ")
            waiting.append((child, len(node.layers), below + line, further))


def _short(image_id: str) -> str:
    return image_id.partition(":")[2][:12]
