"""The list of layers: size and command of each."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from rootlay.cli.docker.units import human_size
from rootlay.cli.listing import short_command
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
        """Write all lines, without sizes."""
        self.add_options(Option(self._line(number, "…"), id=str(number)) for number in range(len(self._stack)))

    def show_sizes(self) -> None:
        """Show the size of each layer. Precondition: they are counted."""
        for number, source in enumerate(self._stack.sources):
            self.replace_option_prompt_at_index(number, self._line(number, human_size(source.content_bytes, 3)))

    def _line(self, number: int, size: str) -> Text:
        info = self._stack.layers[number]
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append(f"{number:>3} {size:>8}  ", style="dim")
        line.append(short_command(info.command) or info.id.partition(":")[2][:12])
        return line

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
