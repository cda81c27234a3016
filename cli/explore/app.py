"""The screen: layers and figures on the left, files on the right.

Keys are those of dive where a terminal can send them: Tab, Space, Ctrl+F, Ctrl+L, Ctrl+A, Ctrl+R, Ctrl+U, Ctrl+B,
Ctrl+E. Modified files are on Ctrl+D: terminals send Enter for Ctrl+M.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from pathlib import Path
from typing import ClassVar

from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Footer, Input, Static, Tree
from textual.worker import get_current_worker

from rootlay.cli.explore.details import ImageDetails, LayerDetails
from rootlay.cli.explore.filetree import FileTree
from rootlay.cli.explore.fileview import FileView
from rootlay.cli.explore.layerlist import LayerList
from rootlay.store.model.entry import EntryType
from rootlay.store.model.errors import RootlayError
from rootlay.vfs.explore.layerstack import LayerStack, Row
from rootlay.vfs.explore.waste import Waste, count_waste

TERMINAL_CHECKED_EVERY_S = 2.0
HANGUP = 129
"""The exit code of a program that SIGHUP ends."""


class _Left(Exception):
    """The user has left the view: what is still counted is not needed."""


class ExploreApp(App[None]):
    """Layers and files of one image or container. The caller closes the stack."""

    ENABLE_COMMAND_PALETTE = False
    CSS_PATH = "explore.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,ctrl+c", "quit", "Quit"),
        Binding("tab", "switch", "Switch", priority=True),
        Binding("ctrl+f", "filter", "Filter"),
        Binding("ctrl+e", "extract", "Extract"),
        Binding("t", "toggle_theme", "Light or dark"),
    ]

    def __init__(self, stack: LayerStack, target: Path) -> None:
        """`target`: the directory into which files are extracted."""
        super().__init__()
        self.title = stack.name
        self._stack = stack
        self._target = target
        self._counted = False

    def compose(self) -> ComposeResult:
        with Horizontal():
            with Vertical(id="left"):
                yield LayerList(self._stack)
                yield LayerDetails("", id="layer", markup=False)
                with VerticalScroll(id="image"):
                    yield ImageDetails("Counting wasted bytes…", id="figures", markup=False)
            with Vertical(id="right"):
                yield Input(placeholder="Part of a path", id="filter")
                yield FileTree(self._stack)
                yield Static("", id="status", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        self.query_one("#layers").border_title = "Layers"
        self.query_one("#layer").border_title = "Layer"
        self.query_one("#image").border_title = "Image"
        self.query_one("#files").border_title = "Files"
        self.query_one("#layers").focus()
        self._count()
        self.set_interval(TERMINAL_CHECKED_EVERY_S, self._leave_without_terminal)

    def _leave_without_terminal(self) -> None:
        """Leave if the terminal was closed: its driver would read end of file again and again."""
        if self.is_headless:
            return
        try:
            os.tcgetpgrp(sys.__stdin__.fileno() if sys.__stdin__ is not None else 0)
        except OSError:
            os._exit(HANGUP)

    @work(thread=True)
    def _count(self) -> None:
        worker = get_current_worker()

        def check() -> None:
            if worker.is_cancelled:
                raise _Left

        with contextlib.suppress(_Left):
            for source in self._stack.sources:
                check()
                _ = source.content_bytes  # which also adds up each directory
            check()
            self.call_from_thread(self._show_sizes)
            waste = count_waste(self._stack, check)
            self.call_from_thread(self._show_waste, waste)

    def _show_sizes(self) -> None:
        self._counted = True
        self.query_one(LayerList).show_sizes()
        self.query_one(FileTree).show_sizes()
        self._show_layer(self.query_one(LayerList).highlighted or 0)

    def _show_layer(self, number: int) -> None:
        size = self._stack.sources[number].content_bytes if self._counted else None
        self.query_one(LayerDetails).show(self._stack.layers[number], size)

    def _show_waste(self, waste: Waste) -> None:
        self.query_one(ImageDetails).show(self._stack, waste)

    def on_layer_list_compared(self, event: LayerList.Compared) -> None:
        self._show_layer(event.top)
        self.query_one(FileTree).show(event.top, event.since)
        since = f"{event.since}-{event.top}" if event.since < event.top else str(event.top)
        self.query_one("#files").border_title = f"Files: layers 0-{event.top}, changes of {since}"

    def on_tree_node_selected(self, event: Tree.NodeSelected[Row | None]) -> None:
        if event.node.data is not None and event.node.data.place is None:
            self.push_screen(FileView(self._stack, event.node.data.path))

    def on_tree_node_highlighted(self, event: Tree.NodeHighlighted[Row | None]) -> None:
        row = event.node.data
        if row is not None:
            text = f"{os.fsdecode(row.path)}  (layer {row.layer}, {row.status})"
            self.query_one("#status", Static).update(text.encode("utf-8", "replace").decode())

    def action_switch(self) -> None:
        """Go from the layers to the files and back. Shift+Tab also reaches the other parts."""
        if len(self.screen_stack) > 1:
            self.screen.focus_next()
            return
        self.query_one("#files" if self.query_one("#layers").has_focus else "#layers").focus()

    def action_filter(self) -> None:
        field = self.query_one("#filter", Input)
        field.toggle_class("shown")
        if field.has_class("shown"):
            field.focus()
        else:
            field.value = ""
            self.query_one(FileTree).focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        self.query_one(FileTree).set_filter(event.value)

    def on_input_submitted(self) -> None:
        self.query_one(FileTree).focus()

    def action_toggle_theme(self) -> None:
        self.theme = "textual-light" if self.theme != "textual-light" else "textual-dark"

    def action_extract(self) -> None:
        row = self.query_one(FileTree).row
        if row is None or row.item.type is not EntryType.FILE:
            self.notify("Choose a regular file to extract", severity="warning")
            return
        target = self._target / os.fsdecode(row.name)
        try:
            with self._stack.open(row) as source, target.open("xb") as made:
                shutil.copyfileobj(source, made)
        except (OSError, RootlayError) as error:
            self.notify(f"{target}: {error}", severity="error", markup=False)
        else:
            self.notify(f"Wrote {target}", markup=False)
