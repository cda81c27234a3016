"""The tables of calls and histories (tests/support/oracles) on the core."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.boxes.box import Box
from tests.support.boxes.corelib import Core
from tests.support.boxes.plain import Plain
from tests.support.boxes.trees import owned, put
from tests.support.boxes.viewfile import Node
from tests.support.oracles.calls import CALLS, READ_ONLY, RESERVED, TABLES, TREE, check_refused, check_table, tried
from tests.support.oracles.histories import HISTORIES, NODES, check_history

IDS = os.getuid(), os.getgid()
Make = Callable[..., Box]


@pytest.fixture
def boxes(core_library: Path, tmp_path: Path, same_process: None) -> Iterator[Make]:
    """Makes containers, each in a directory of its own."""
    os.umask(0)
    with contextlib.ExitStack() as closing:

        def build(nodes: Mapping[bytes, Node], *, root: bool = False, writable: bool = True) -> Box:
            place = tmp_path / os.urandom(8).hex()
            place.mkdir()
            ids = (0, 0) if root else IDS
            own = nodes if root else {p: owned(n, ids) for p, n in nodes.items()}
            box = Box(Core(core_library), place, own, mapped=ids, writable=writable)
            closing.callback(box.close)
            box.core.identity(*ids, () if root else tuple(os.getgroups()), umask=0)
            return box

        yield build


@pytest.mark.parametrize("name", TABLES)
def test_calls_are_answered_as_by_the_kernel(boxes: Make, name: str) -> None:
    def pair(nodes: Mapping[bytes, Node]) -> tuple[Core, Plain]:
        box = boxes(nodes)
        plain = Plain(os.fsencode(box.root / "plain"))
        put(plain.root, nodes)
        return box.core, plain

    check_table(name, pair)


def test_the_table_has_the_errors_that_matter(boxes: Make) -> None:
    side = boxes(TREE).core
    seen = {str(tried(side, call, TREE)) for call in CALLS}
    assert {"ENOENT", "ENOTDIR", "EEXIST", "ENOTEMPTY", "ELOOP", "ENAMETOOLONG", "EISDIR", "EINVAL", "EBUSY"} <= seen


def test_without_an_upper_nothing_changes(boxes: Make) -> None:
    side = boxes(TREE, root=True, writable=False).core
    check_refused(READ_ONLY, side, "EROFS")
    assert tried(side, ("mkdir", b"/dir"), TREE) == "EEXIST"


def test_without_an_upper_that_is_the_first_error(boxes: Make) -> None:
    side = boxes(TREE, root=True, writable=False).core
    side.identity(4321, 4321, (), umask=0)
    changes: list[Callable[[], object]] = [
        lambda: side.chown(b"/file", 1, 1),
        lambda: side.chmod(b"/file", 0o600),
        lambda: side.utimens(b"/file", 1, 1),
        lambda: side.setxattr(b"/file", b"user.a", b"1"),
    ]
    for change in changes:
        with pytest.raises(OSError, match="Read-only file system"):
            change()


def test_reserved_names_cannot_be_made(boxes: Make) -> None:
    check_refused(RESERVED, boxes(TREE).core, "EPERM")


@pytest.mark.parametrize("name", HISTORIES)
def test_a_history_leaves_what_the_format_says(records: str, boxes: Make, name: str) -> None:
    box = boxes(NODES, root=True)
    check_history(name, box.core, box.root)
