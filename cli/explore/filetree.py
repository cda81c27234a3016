"""The tree of files, with attributes and the status of each file. Directories are read when they are opened."""

from __future__ import annotations

import os
import stat
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual import work
from textual.binding import Binding, BindingType
from textual.widgets import Tree
from textual.widgets.tree import TreeNode
from textual.worker import get_current_worker

from rootlay.cli.docker.units import human_size
from rootlay.store.model.entry import TYPE_BITS, EntryType
from rootlay.vfs.explore.layerstack import LayerStack, Row, Status

STYLES: dict[Status, str] = {"added": "green", "changed": "yellow", "removed": "red strike", "same": ""}
MARKS: dict[Status, str] = {"added": "+", "changed": "~", "removed": "-", "same": " "}
WIDE = 100
"""From this number of columns on, modes, owners and sizes are shown at first."""
FOUND_MAX = 5_000
"""A filter shows at most this many names."""


class FileTree(Tree[Row | None]):
    """The merged tree of the layers up to `top`, compared with the layers below `since`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+a", "toggle_status('added')", "Added"),
        Binding("ctrl+r", "toggle_status('removed')", "Removed"),
        Binding("ctrl+d", "toggle_status('changed')", "Modified"),
        Binding("ctrl+u", "toggle_status('same')", "Unmodified"),
        Binding("ctrl+b", "toggle_attributes", "Attributes"),
        Binding("ctrl+o", "toggle_order", "Order"),
        Binding("ctrl+@", "collapse_all", "Collapse all", show=False),
        Binding("right", "open_node", show=False),
        Binding("left", "close_node", show=False),
    ]

    def __init__(self, stack: LayerStack) -> None:
        super().__init__("/", id="files")
        self.show_root = False
        self.guide_depth = 3
        self._stack = stack
        self._hidden: set[Status] = set()
        self._attributes = True
        self._by_size = False
        self._filter = ""
        self._top = self._since = 0
        self._counted = False

    def show_sizes(self) -> None:
        """Show the sizes of directories, which take a pass over each layer: the first screen does not wait for them."""
        self._counted = True
        self._refill()

    def on_mount(self) -> None:
        """Leave the room of a narrow screen to the names."""
        self._attributes = self.app.size.width >= WIDE

    def show(self, top: int, since: int) -> None:
        """Show other layers. Open directories stay open, the cursor stays on its path."""
        self._top, self._since = top, since
        self._refill()

    def set_filter(self, text: str) -> None:
        """Show the paths that contain `text` (case does not count); all if empty."""
        self._filter = text.lower()
        self._refill()

    @property
    def row(self) -> Row | None:
        """The row under the cursor."""
        return self.cursor_node.data if self.cursor_node is not None else None

    def _refill(self) -> None:
        opened = {node.data.path for node in self._below(self.root) if node.is_expanded and node.data is not None}
        cursor = self.row.path if self.row is not None else None
        if self._filter:
            self._search(self._filter, cursor)
            return
        self.workers.cancel_group(self, "search")
        self.root.remove_children()
        self._fill(self.root, self._stack.children(self._stack.root(self._top), self._since), opened)
        self._restore(cursor)

    def _restore(self, cursor: bytes | None) -> None:
        """Move the cursor to a path, if it is shown."""
        self.root.expand()
        for node in self._below(self.root):
            if node.data is not None and node.data.path == cursor:
                self.call_after_refresh(self.move_cursor, node)
                break

    def _below(self, node: TreeNode[Row | None]) -> list[TreeNode[Row | None]]:
        found = []
        for child in node.children:
            found += [child, *self._below(child)]
        return found

    def _fill(self, node: TreeNode[Row | None], rows: list[Row], opened: set[bytes]) -> None:
        if self._by_size:
            rows = sorted(rows, key=lambda row: -self._stack.total(row, self._since))
        for row in rows:
            if row.status in self._hidden:
                continue
            if row.place is None:
                node.add_leaf(self._label(row), row)
                continue
            child = node.add(self._label(row), row)
            if row.path in opened:
                self._fill(child, self._stack.children(row.place, self._since), opened)
                child.expand()

    @work(thread=True, exclusive=True, group="search")
    def _search(self, text: str, cursor: bytes | None) -> None:
        """Find the paths that fit the filter: of a million names in seconds, while keys go on to work."""
        worker = get_current_worker()
        found: list[Row] = []
        for row in self._stack.walk(self._top, self._since):
            if worker.is_cancelled:
                return
            if text in os.fsdecode(row.path).lower() and row.status not in self._hidden:
                found.append(row)
                if len(found) == FOUND_MAX:
                    break
        self.app.call_from_thread(self._show_found, text, found, cursor)

    def _show_found(self, text: str, found: list[Row], cursor: bytes | None) -> None:
        """Show the paths that fit the filter, as a flat list."""
        if text != self._filter:
            return
        self.root.remove_children()
        for row in found:
            self.root.add_leaf(self._label(row, whole=True), row)
        if len(found) == FOUND_MAX:
            self.root.add_leaf(Text(f"… more than {FOUND_MAX} names", style="italic"), None)
        self._restore(cursor)

    def on_tree_node_expanded(self, event: Tree.NodeExpanded[Row | None]) -> None:
        row = event.node.data
        if row is not None and row.place is not None and not event.node.children:
            self._fill(event.node, self._stack.children(row.place, self._since), set())

    def _label(self, row: Row, *, whole: bool = False) -> Text:
        item = row.item
        label = Text("" if row.place is not None and not whole else "  ", no_wrap=True)  # as wide as an arrow
        if self._attributes:
            mode = "-" * 10 if item.is_whiteout else stat.filemode(item.mode | TYPE_BITS.get(item.type, stat.S_IFREG))
            counted = self._counted or row.place is None
            size = human_size(self._stack.total(row, self._since), 3) if counted else "…"
            label.append(f"{mode} {item.uid:>5}:{item.gid:<5} {size:>8} ", style="dim")
        label.append(MARKS[row.status] + " ", style=STYLES[row.status].replace(" strike", ""))
        name = os.fsdecode(row.path if whole else row.name)
        style = Style.parse(STYLES[row.status]) if row.status != "same" else Style(bold=item.is_dir)
        label.append(name.encode("utf-8", "replace").decode(), style=style)
        if item.type is EntryType.SYMLINK:
            label.append(" → " + os.fsdecode(item.link).encode("utf-8", "replace").decode(), style="cyan")
        return label

    def action_toggle_status(self, status: Status) -> None:
        self._hidden ^= {status}
        self._refill()

    def action_toggle_attributes(self) -> None:
        self._attributes = not self._attributes
        self._refill()

    def action_toggle_order(self) -> None:
        self._by_size = not self._by_size
        self._refill()

    def action_collapse_all(self) -> None:
        for node in self._below(self.root):
            node.collapse()

    def action_open_node(self) -> None:
        if self.cursor_node is not None and self.cursor_node.allow_expand:
            self.cursor_node.expand()

    def action_close_node(self) -> None:
        node = self.cursor_node
        if node is None:
            return
        if node.is_expanded and node.allow_expand:
            node.collapse()
        elif node.parent is not None and node.parent is not self.root:
            self.move_cursor(node.parent)
