"""The panels below the layers: details of the layer, and the figures of the whole image."""

from __future__ import annotations

import math
import os

from rich.text import Text
from textual.widgets import Static

from rootlay.cli.docker.units import human_size
from rootlay.cli.listing import short_command
from rootlay.vfs.explore.layerstack import LayerInfo, LayerStack
from rootlay.vfs.explore.waste import Waste

PATHS_SHOWN = 200


class LayerDetails(Static):
    """ID, time and command of one layer."""

    def show(self, info: LayerInfo, size_bytes: int | None) -> None:
        """Show another layer. `size_bytes`: None while it is counted."""
        text = Text()
        for name, value in (  # what a low screen cuts off is last
            ("Size", "…" if size_bytes is None else human_size(size_bytes, 3)),
            ("Command", short_command(info.command) or "unknown"),
            ("Created", info.created or "unknown"),
            ("ID", info.id or "none"),
        ):
            text.append(f"{name:<8} ", style="bold")
            text.append(value + "\n")
        text.rstrip()
        self.update(text)


class ImageDetails(Static):
    """Efficiency, wasted bytes and the paths that waste most."""

    def show(self, stack: LayerStack, waste: Waste) -> None:
        """Show the figures."""
        text = Text()
        for name, value in (
            ("Image", stack.name),
            ("Size", human_size(waste.total_bytes, 3)),
            ("Not visible", human_size(waste.hidden_bytes, 3)),
            ("Wasted", f"{human_size(waste.wasted_bytes, 3)} ({percent(waste.wasted_user_share)} of the upper layers)"),
            ("Efficiency", percent(waste.efficiency)),
        ):
            text.append(f"{name:<11} ", style="bold")
            text.append(value + "\n")
        if waste.paths:
            text.append("\nCount     Wasted  Path\n", style="bold")
        for path in waste.paths[:PATHS_SHOWN]:
            name = os.fsdecode(path.path).encode("utf-8", "replace").decode()
            text.append(f"{path.count:>5} {human_size(path.size, 3):>10}  {name}\n")
        if len(waste.paths) > PATHS_SHOWN:
            text.append(f"… and {len(waste.paths) - PATHS_SHOWN} more")
        self.update(text)


def percent(share: float) -> str:
    """Return a share of 1 in percent, rounded down: 100 % is never more than it is."""
    return f"{math.floor(share * 10_000) / 100:.2f} %"
