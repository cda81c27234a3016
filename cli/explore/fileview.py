"""One path on a screen of its own: what each layer says about it, its content, and the difference between versions."""

from __future__ import annotations

import os
import stat
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Footer, OptionList, Static
from textual.widgets.option_list import Option

from rootlay.cli.docker.units import human_size
from rootlay.store.model.entry import TYPE_BITS, EntryType
from rootlay.store.model.errors import RootlayError
from rootlay.vfs.explore.layerstack import LayerStack, Version

HEX_BYTES = 4096
DIFF_STYLES = {"+": "green", "-": "red", "@": "cyan"}


class FileView(ModalScreen[None]):
    """The versions of a path, base layer first, and the content of the chosen one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss", "Back"),
        Binding("d", "toggle_diff", "Difference to the version before"),
    ]

    def __init__(self, stack: LayerStack, path: bytes) -> None:
        super().__init__()
        self._stack = stack
        self._path = path
        self._versions = stack.versions(path)
        self._diff = False

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="sheet"):
            yield Static(os.fsdecode(self._path).encode("utf-8", "replace").decode(), id="title", markup=False)
            yield OptionList(*(Option(self._line(version)) for version in self._versions), id="versions")
            with VerticalScroll(id="text"):
                yield Static("", id="content", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        self.query_one("#versions", OptionList).highlighted = len(self._versions) - 1

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        self._show(event.option_index)

    def action_toggle_diff(self) -> None:
        self._diff = not self._diff
        self._show(self.query_one("#versions", OptionList).highlighted or 0)

    def _line(self, version: Version) -> str:
        item = version.item
        if item.is_whiteout:
            return f"layer {version.layer}: removed"
        mode = stat.filemode(item.mode | TYPE_BITS.get(item.type, stat.S_IFREG))
        return f"layer {version.layer}: {mode} {item.uid}:{item.gid} {human_size(item.size, 3)}"

    def _show(self, number: int) -> None:
        try:
            text = self._difference(number) if self._diff else self._content(self._versions[number])
        except (RootlayError, OSError) as error:
            text = Text(str(error), style="red")
        self.query_one("#content", Static).update(text)

    def _content(self, version: Version) -> Text:
        if version.item.type is EntryType.SYMLINK:
            return Text("→ " + os.fsdecode(version.item.link).encode("utf-8", "replace").decode())
        if version.item.type is not EntryType.FILE:
            return Text("(no content)", style="italic")
        content = self._stack.preview(version)
        if b"\0" in content:
            return Text(hex_dump(content[:HEX_BYTES]))
        return Text(content.decode("utf-8", "replace").expandtabs())

    def _difference(self, number: int) -> Text:
        files = [version for version in self._versions[: number + 1] if version.item.type is EntryType.FILE]
        lines = self._stack.text_diff(*files[-2:]) if len(files) > 1 else []
        if lines is None:
            return Text("(not a text)", style="italic")
        text = Text()
        for line in lines or ["(no earlier version)"]:
            text.append(line.expandtabs() + "\n", style=DIFF_STYLES.get(line[:1], ""))
        return text


def hex_dump(content: bytes) -> str:
    """Return bytes as lines of an offset, 16 bytes in hexadecimal, and their printable characters."""
    lines = []
    for at in range(0, len(content), 16):
        piece = content[at : at + 16]
        printable = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in piece)
        lines.append(f"{at:08x}  {piece.hex(' '):<47}  {printable}")
    return "\n".join(lines)
