"""The list of layers: size and command of each."""

from __future__ import annotations

import re
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from rootlay.cli.docker.units import human_size
from rootlay.vfs.explore.layerstack import LayerStack


class LayerList(OptionList):
    """The layers, base layer first. `Compared` is sent when another layer or another kind of comparison is chosen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+l", "compare_layer", "Layer changes"),
        Binding("ctrl+a", "compare_all", "Aggregated changes"),
    ]

    class Compared(Message):
        """Show the tree up to `top`; the layers from `since` on are the change."""

        def __init__(self, top: int, since: int) -> None:
            super().__init__()
            self.top = top
            self.since = since

    def __init__(self, stack: LayerStack) -> None:
        super().__init__(id="layers")
        self._stack = stack
        self.aggregated = False

    def on_mount(self) -> None:
        self.refill()
        self.highlighted = len(self._stack) - 1

    def refill(self) -> None:
        """Write all lines again: the sizes are counted when they are first shown."""
        for number, (source, info) in enumerate(zip(self._stack.sources, self._stack.layers, strict=True)):
            line = Text(no_wrap=True, overflow="ellipsis")
            line.append(f"{number:>3} {human_size(source.content_bytes, 3):>8}  ", style="dim")
            line.append(short_command(info.command) or info.id.partition(":")[2][:12])
            self.add_option(Option(line, id=str(number)))

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        self._send(event.option_index)

    def action_compare_layer(self) -> None:
        self.aggregated = False
        self._send(self.highlighted or 0)

    def action_compare_all(self) -> None:
        self.aggregated = True
        self._send(self.highlighted or 0)

    def _send(self, top: int) -> None:
        self.post_message(self.Compared(top, min(1, top) if self.aggregated else top))


def short_command(command: str) -> str:
    """Return the step of a Dockerfile without the shell that the builder writes before it."""
    text = re.sub(r"^(RUN )?/bin/sh -c (#\(nop\)\s*)?", r"\1", command)
    return re.sub(r"\s+", " ", re.sub(r"\s*# buildkit$", "", text)).strip()
