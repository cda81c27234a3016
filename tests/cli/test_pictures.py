"""`images --tree` and `history --graph`: pictures of layers in the terminal."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from rootlay.cli.docker.historygraph import BAR_CELLS, bar
from rootlay.cli.docker.imagetree import Leaf, Node, grow, lines_of
from rootlay.store.model.digest import Digest
from tests.cli.conftest import Rootlay

LAYERS = [Digest("sha256", f"{number:064x}") for number in range(4)]


def leaf(name: str, *layers: int) -> Leaf:
    return Leaf(name, f"sha256:{name * 12}", tuple(LAYERS[number] for number in layers))


def test_images_are_below_what_they_continue() -> None:
    images = [leaf("a", 0), leaf("b", 0, 1, 2), leaf("c", 0, 1, 3), leaf("d", 2), leaf("e", 0), leaf("f")]
    sizes = dict(zip(LAYERS, (10_000, 200, 30, 4), strict=True))
    assert [line.split("\t") for line in lines_of(grow(images), sizes)] == [
        ["IMAGE", "ID", "LAYERS", "SIZE"],
        ["f", "f" * 12, "0", "0B"],
        ["a, e", "a" * 12 + ", " + "e" * 12, "1", "10kB"],
        ["└─ (shared layers)", "", "+1", "200B"],
        ["   ├─ b", "b" * 12, "+1", "30B"],
        ["   └─ c", "c" * 12, "+1", "4B"],
        ["d", "d" * 12, "1", "30B"],
    ]


@given(st.lists(st.lists(st.integers(0, 3), max_size=6), max_size=8))
def test_each_image_is_once_in_the_tree_below_its_prefixes(stacks: list[list[int]]) -> None:
    root = grow([leaf(str(number), *layers) for number, layers in enumerate(stacks)])
    found: list[str] = []
    waiting = [root]
    while waiting:
        node: Node = waiting.pop()
        found += [image.name for image in node.images]
        assert all(image.layers == node.layers for image in node.images)
        assert node is root or node.images or len(node.children) > 1
        for child in node.children:
            assert child.layers[: len(node.layers)] == node.layers
            assert len(child.layers) > len(node.layers)
        starts = [child.layers[len(node.layers)] for child in node.children]
        assert len(set(starts)) == len(starts)
        waiting += node.children
    assert sorted(found) == sorted(str(number) for number in range(len(stacks)))


def test_a_long_chain_of_images_is_no_recursion() -> None:
    chain = [Leaf(str(count), "sha256:x", tuple(LAYERS[:1] * count)) for count in range(1, 3000)]
    assert len(list(lines_of(grow(chain), {}))) == 3000


def test_pictures_of_a_store(small: Rootlay, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 100)
    for name, base in (("app", "small"), ("more", "app")):
        (tmp_path / "Dockerfile").write_text(f"FROM {base}\nENV A={name}\nCOPY file /{name}\n")
        small("build", "-q", "-t", name, str(tmp_path))
    small("tag", "app", "app:2")
    lines = small.out("images", "--tree").splitlines()
    assert [re.split(r"  +", line.strip())[0] for line in lines] == [
        "IMAGE", "small:latest", "└─ app:latest, app:2", "└─ more:latest",
    ]  # fmt: skip
    assert lines[3].startswith("   └─ more:latest")
    assert [re.split(r"  +", line.strip())[2] for line in lines[1:]] == ["1", "+1", "+1"]
    graph = small.out("history", "--graph", "more").splitlines()
    assert [line[0] for line in graph] == ["●", "○", "●", "○", "●"]
    assert "(app:2) (app:latest) COPY file /app" in graph[2]
    assert "(small:latest)" in graph[4]
    assert f" {'█' * BAR_CELLS} " in graph[4]
    assert " ▏ " in graph[0]
    for option in ("--format=json", "--quiet", "--json"):
        assert "--graph" in small.fails("history", "--graph", option, "more", code=2)


def test_any_size_but_zero_has_a_bar() -> None:
    assert [bar(count, 1000).rstrip() for count in (0, 1, 500, 1000)] == ["", "▏", "█" * 10, "█" * 20]
    assert bar(0, 0) == " " * BAR_CELLS
