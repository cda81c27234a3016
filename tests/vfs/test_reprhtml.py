"""What a notebook shows: escaped, readable on any page, of bounded length."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from rootlay.vfs import Store
from rootlay.vfs.changes.change import Change, Shape
from rootlay.vfs.changes.reprhtml import ROWS_MAX, change_table
from tests.support.archives.make import docker_archive, make_tar

EVIL = "<img src=x onerror=alert(1)>&\u202e"


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def check(fragment: str) -> str:
    """Check that a fragment is whole, and has only what a table needs."""
    tags = Tags()
    tags.feed(fragment)
    assert tags.open == []
    assert tags.seen <= {"div", "table", "caption", "tr", "th", "td", "code", "span"}
    assert "\u202e" not in fragment
    assert not re.search(r"https?:|url\(", fragment)
    return fragment


@pytest.fixture
def store(tmp_path: Path) -> Store:
    archive = tmp_path / "image.tar"
    archive.write_bytes(docker_archive([([make_tar([("a", "f", b"x" * 10)])], ["made:1"])]))
    store = Store.open(tmp_path / "store")
    store.load(archive)
    return store


def test_image_container_and_changes_are_shown_escaped(store: Store) -> None:
    image = store.image("made:1")
    with image.container("box") as container:
        container.fs.writetext(f"/{EVIL}", "text")
        container.fs.remove("/a")
        changes = check(container.diff()._repr_html_())
        assert "&lt;img src=x onerror=alert(1)&gt;&amp;\\u202e" in changes
        assert "1 added, 1 deleted" in changes
        shown = check(container._repr_html_())
        assert "box" in shown
        assert "Image" in shown
        committed = container.commit("made:2", message=EVIL)
    assert "made:1" in check(image._repr_html_())
    assert "&lt;img" in check(committed._repr_html_())
    assert "host" in check(store.image("host")._repr_html_())


def test_many_changes_are_cut() -> None:
    shape = Shape(0o100644, 0, 0, 5)
    changes = [Change("A", f"/{number}", None, shape) for number in range(1000)]  # type: ignore[arg-type]  # as text
    shown = check(change_table(changes))
    assert shown.count("<tr>") == ROWS_MAX + 2
    assert f"… and {1000 - ROWS_MAX} more" in shown
    assert "1,000 added" in shown
