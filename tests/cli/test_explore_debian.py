"""dive's figures of two images of Debian, computed anew from the tars of `save` by dive's formula."""

from __future__ import annotations

import json
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.cli.conftest import Rootlay

STEPS = {
    "cleaned": (
        "RUN rm -rf /usr/share/doc /usr/share/man && echo x > /etc/motd && chmod -R go-w /etc",
        "COPY data /app/data",
        "RUN echo more >> /app/data && touch /etc/passwd && rm /etc/motd",
        "RUN mkdir -p /usr/share/doc && cp /etc/passwd /usr/share/doc/ && chmod 700 /srv",
    ),
    "copied": (
        "RUN cp -a /usr/lib/python3 /opt/python3 && ln /app /opt/ 2>/dev/null; ln /etc/passwd /opt/passwd",
        "RUN rm -rf /opt/python3 && mkdir /opt/python3 && cp -a /etc/apt /opt/python3/",
        "RUN chown -R 5:5 /opt && rm -rf /opt/python3/apt && : > /opt/python3/apt",
    ),
}


@dataclass
class Node:
    """A path of the layers below: the bytes of a file, or the names of a directory."""

    size: int = 0
    names: dict[str, Node] | None = None

    def total(self) -> int:
        return self.size + sum(node.total() for node in (self.names or {}).values())


@dataclass
class Tree:
    root: Node = field(default_factory=lambda: Node(names={}))

    def parent(self, path: str) -> dict[str, Node]:
        here = self.root
        for name in path.split("/")[:-1]:
            assert here.names is not None
            here = here.names.setdefault(name, Node(names={}))
            here.names = {} if here.names is None else here.names
        assert here.names is not None
        return here.names

    def put(self, path: str, size: int, *, is_dir: bool) -> None:
        names, name = self.parent(path), path.rpartition("/")[2]
        if not is_dir or name not in names or names[name].names is None:
            names[name] = Node(size, {} if is_dir else None)

    def take(self, path: str) -> int:
        """Remove a path; return the bytes of a directory's contents, 0 for anything else."""
        node = self.parent(path).pop(path.rpartition("/")[2], None)
        return node.total() if node is not None and node.names is not None else 0


def dives_figures(archive: Path) -> tuple[float, int, list[tuple[str, int, int]]]:
    """Efficiency, wasted bytes and inefficient paths: each leaf of each layer, from the tars in the archive."""
    sizes: dict[str, list[int]] = {}
    tree = Tree()
    with tarfile.open(archive) as outer:
        stream = outer.extractfile("manifest.json")
        assert stream is not None
        for layer in json.load(stream)[0]["Layers"]:
            with tarfile.open(fileobj=outer.extractfile(layer)) as tar:
                members = {member.name.removeprefix("./").strip("/"): member for member in tar}
            members.pop("", None)
            members.pop(".", None)
            parents = {path.rpartition("/")[0] for path in members}
            for path, member in members.items():
                if member.isdir() and path in parents:
                    continue
                name = path.rpartition("/")[2]
                if name.startswith(".wh..wh."):  # dive reads opaque marks, and gives them no meaning
                    continue
                if name.startswith(".wh."):
                    path = path.removesuffix(name) + name.removeprefix(".wh.")
                    size = tree.take(path)
                else:
                    size = member.size if member.isreg() else 0
                sizes.setdefault("/" + path, []).append(size)
            for path, member in members.items():
                if not path.rpartition("/")[2].startswith(".wh."):
                    tree.put(path, member.size if member.isreg() else 0, is_dir=member.isdir())
    every = sum(map(sum, sizes.values()))
    wasted = [(path, len(found), sum(found)) for path, found in sizes.items() if len(found) > 1]
    return sum(map(min, sizes.values())) / every, sum(size for _, _, size in wasted), sorted(wasted)


@pytest.mark.parametrize("name", STEPS)
def test_figures_of_debian_are_those_of_dives_formula(name: str, debian: Rootlay, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(bytes(300_000))
    (tmp_path / "Dockerfile").write_text("\n".join(("FROM debian", *STEPS[name])) + "\n")
    debian("build", "-q", "-t", f"{name}:1", str(tmp_path))
    archive = tmp_path / "image.tar"
    debian("save", "-o", str(archive), f"{name}:1")
    efficiency, wasted, paths = dives_figures(archive)
    image = json.loads(debian.out("explore", "--json", f"{name}:1"))["image"]
    found = [(path["file"], path["count"], path["sizeBytes"]) for path in image["fileReference"]]
    assert sorted(found) == paths
    assert image["inefficientBytes"] == wasted > 1000
    assert image["efficiencyScore"] == pytest.approx(efficiency, abs=1e-12)
