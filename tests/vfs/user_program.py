"""A program of a user's, as `mypy --strict` sees it with rootlay installed (test_api_reference.py)."""

from __future__ import annotations

import sys
from pathlib import Path

from rootlay.vfs import Changes, Container, Image, NameInUse, RootlayError, Snapshot, Store


def prepare(store: Store, tree: Path) -> Image:
    image: Image = store.import_rootfs(tree, "base")
    assert image.references == ("base:latest",)
    return image


def work(container: Container) -> Snapshot:
    container.fs.writetext("/etc/motd", "changed\n")
    before: Snapshot = container.snapshot("before")
    with container.fs.open("/new", "w") as file:
        file.write("new")
    size: int = container.overlay.stat("/new").size
    assert size == 3
    return before


def main(root: str, tree: str) -> int:
    store = Store.open(root)
    image = prepare(store, Path(tree))
    with image.container("work", env={"A": "b"}) as container:
        before = work(container)
        changes: Changes = container.diff()
        for change in changes:
            print(change.kind, change.path)
        for change in store.diff(image, before):
            print(change)
        container.rollback(before)
        try:
            image.container("work")
        except NameInUse as error:
            refused: RootlayError = error
            print("kept" if "work" in str(refused) else refused)
        container.remove()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
