"""The state that a killed program leaves after it removed files of its image: bits and a count in the removal map."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rootlay.store.containers.bloom import REMOVALS_OFFSET, REMOVED_HEADER_BYTES
from rootlay.store.containers.containers import Containers
from rootlay.vfs.overlay.containerstack import open_overlay

REMOVED = ("/usr/share/doc/one/readme", "/usr/share/doc/one", "/script")


def note_removals(name: str) -> Callable[[Path], None]:
    """For a scenario: note the removal of REMOVED in the container `name` of a store."""

    def note(store: Path) -> None:
        record = Containers(store).find(name)
        with open_overlay(record) as overlay:
            numbers = []
            for path in REMOVED:
                found = overlay.find(path)
                assert found is not None, path
                assert found.node is not None, path
                assert found.parent is not None, path
                numbers.append(found.node.id)
                if found.parent.path.decode() not in REMOVED:  # a bit counts where the upper has the directory
                    overlay.context.copy_up.ensure(found.parent)
        with (record.path / "removed").open("r+b") as file:
            for number in numbers:
                file.seek(REMOVED_HEADER_BYTES + number // 8)
                byte = file.read(1)[0] | 1 << number % 8
                file.seek(-1, 1)
                file.write(bytes((byte,)))
        with (record.path / "bloom").open("r+b") as file:
            file.seek(REMOVALS_OFFSET)
            count = int.from_bytes(file.read(4), "little") + len(numbers)
            file.seek(REMOVALS_OFFSET)
            file.write(count.to_bytes(4, "little"))

    return note
