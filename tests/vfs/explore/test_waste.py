"""Wasted bytes, against the figures that dive prints for its test image, and against dive's formula, leaf by leaf."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rootlay.vfs.explore.report import as_document
from rootlay.vfs.explore.rules import BadRule, check_rules, read_rules
from rootlay.vfs.explore.waste import Waste, count_waste
from tests.vfs.explore.layers import Layers, Member, in_memory, merged, opened

FILE = b"x" * 6405
DIVES_IMAGE: Layers = [
    [("bin", "d", ""), ("bin/[", "f", b"b" * 1075464), ("bin/ash", "h", "bin/["), ("etc", "d", ""),
     ("etc/rest", "f", b"r" * (1154361 - 1075464)), ("root", "d", ""), ("tmp", "d", "")],
    [("somefile.txt", "f", FILE)],
    [(f"root{tail}", "d", "") for tail in ("", "/example", "/example/really", "/example/really/nested")],
    [("root", "d", ""), ("root/example", "d", ""), ("root/example/somefile1.txt", "f", FILE)],
    [("root", "d", ""), ("root/example", "d", ""), ("root/example/somefile1.txt", "f", FILE)],
    [("root", "d", ""), ("root/example", "d", ""), ("root/example/somefile2.txt", "f", FILE)],
    [("root", "d", ""), ("root/example", "d", ""), ("root/example/somefile3.txt", "f", FILE)],
    [("root", "d", ""), ("root/example", "d", ""), ("root/example/.wh.somefile3.txt", "f", b""),
     ("root/saved.txt", "f", FILE)],
    [("root", "d", ""), ("root/.saved.txt", "f", FILE)],
    [("root", "d", ""), ("root/.wh.example", "f", b"")],
    [("root", "d", ""), ("root/.data", "d", ""), ("root/.data/tag.sh", "f", b"t" * 917),
     ("root/.data/test.sh", "f", b"t" * 1270)],
    [("tmp", "d", ""), ("tmp/saved.again1.txt", "f", FILE)],
    [("root", "d", ""), ("root/.data", "d", ""), ("root/.data/saved.again2.txt", "f", FILE)],
    [("root", "d", ""), ("root/saved.txt", "f", FILE)],
]  # fmt: skip
"""The layers of the test image of dive 0.13 (its export test lists them), with contents of the same sizes."""


def test_figures_are_those_that_dive_prints_for_its_test_image(tmp_path: Path) -> None:
    with opened(tmp_path, DIVES_IMAGE) as stack:
        waste = count_waste(stack)
        document = as_document(stack, waste)
    assert waste.efficiency == 0.9844212134184309
    assert (waste.total_bytes, waste.user_bytes, waste.wasted_bytes) == (1220598, 66237, 32025)
    assert waste.wasted_user_share == 0.4834911001404049
    found = {(path["file"], path["count"], path["sizeBytes"]) for path in document["image"]["fileReference"]}
    assert found == {
        ("/root/saved.txt", 2, 12810),
        ("/root/example/somefile1.txt", 2, 12810),
        ("/root/example/somefile3.txt", 2, 6405),
    }
    sizes = [layer["sizeBytes"] for layer in document["layer"]]
    assert sizes == [1154361, 6405, 0, 6405, 6405, 6405, 6405, 6405, 6405, 0, 2187, 6405, 6405, 6405]


def test_report_has_the_members_of_dives(tmp_path: Path) -> None:
    with opened(tmp_path, [[("d", "d", ""), ("d/f", "f", b"abc")], [("d", "d", ""), ("d/.wh.f", "f", b"")]]) as stack:
        document = json.loads(json.dumps(as_document(stack, count_waste(stack))))
    removed, directory = document["layer"][1]["fileList"]
    assert removed["path"] == "d/.wh.f"
    assert directory["isDir"]
    assert directory["fileMode"] == 0o644 | 1 << 31
    assert set(removed) == {"path", "typeFlag", "linkName", "size", "fileMode", "uid", "gid", "isDir"}


NAMES = ("a", "b", "c")
PATHS = [*NAMES, *("/".join(pair) for pair in itertools.product(NAMES, NAMES))]


@st.composite
def any_layers(draw: st.DrawFn) -> list[list[Member]]:
    """Layers as builders write them: parents listed, whiteouts of what is there, no path twice."""
    layers: list[list[Member]] = []
    for _ in range(draw(st.integers(1, 4))):
        before = merged(layers, len(layers))
        members: dict[str, Member] = {}
        for path in draw(st.lists(st.sampled_from(PATHS), unique=True, max_size=6)):
            parent, _, name = path.rpartition("/")
            if parent and (parent not in members or members[parent][1] != "d"):
                if parent in members or f".wh.{parent}" in members:
                    continue
                members[parent] = (parent, "d", "")
            if path in members:
                continue
            kind = draw(st.sampled_from("dffw"))
            if kind == "w":
                gone = f"{parent}/.wh.{name}".lstrip("/")
                if path in before and not any(other.startswith(path + "/") for other in members):
                    members[gone] = (gone, "f", b"")
            elif not any(other.startswith(path + "/") for other in members) or kind == "d":
                members[path] = (path, kind, b"z" * draw(st.integers(0, 50)) if kind == "f" else "")
        layers.append(sorted(members.values(), key=lambda member: member[0]))
    return layers


def dives_formula(layers: Layers) -> tuple[float, int]:
    """Efficiency and wasted bytes: every leaf of every layer."""
    sizes: dict[str, list[int]] = {}
    for number, layer in enumerate(layers):
        directories = {path.rpartition("/")[0] for path, _, _ in layer}
        before = merged(layers, number)
        for path, kind, content in layer:
            if kind == "d" and path in directories:
                continue
            size = len(content) if isinstance(content, bytes) else 0
            if ".wh." in path:
                path = path.replace(".wh.", "", 1)
                below = [plain for other, plain in before.items() if other.startswith(path + "/")]
                size = sum(len(plain.content) for plain in below if isinstance(plain.content, bytes))
                size = size if path in before and before[path].kind == "d" else 0
            sizes.setdefault(path, []).append(size)
    every = sum(map(sum, sizes.values()))
    wasted = sum(sum(found) for found in sizes.values() if len(found) > 1)
    return sum(map(min, sizes.values())) / every if every else 1.0, wasted


@settings(deadline=None)
@given(any_layers())
def test_waste_is_dives_formula_for_any_layers(layers: list[list[Member]]) -> None:
    waste = count_waste(in_memory(layers))
    visible = merged(layers, len(layers))
    efficiency, wasted = dives_formula(layers)
    assert waste.efficiency == pytest.approx(efficiency)
    assert waste.wasted_bytes == wasted
    assert waste.total_bytes - waste.hidden_bytes == sum(
        len(plain.content) for plain in visible.values() if isinstance(plain.content, bytes)
    )


WASTE = Waste(1000, 500, 0, 100, 0.92, 0.2, ())


@pytest.mark.parametrize(
    ("rules", "outcomes"),
    [
        ({}, ["PASS", "SKIP", "FAIL"]),
        ({"lowestEfficiency": "0.95"}, ["FAIL", "SKIP", "FAIL"]),
        ({"highestWastedBytes": "100"}, ["PASS", "PASS", "FAIL"]),
        ({"highestWastedBytes": "99B", "highestUserWastedPercent": "off"}, ["PASS", "FAIL", "SKIP"]),
        ({"highestWastedBytes": "0.1 KiB", "highestUserWastedPercent": "0.2"}, ["PASS", "PASS", "PASS"]),
        ({"highestWastedBytes": "20MB", "lowestEfficiency": "disabled"}, ["SKIP", "PASS", "FAIL"]),
    ],
)
def test_rules_are_checked_as_dive_checks_them(rules: dict[str, str], outcomes: list[str]) -> None:
    assert [verdict.outcome for verdict in check_rules(WASTE, rules)] == outcomes


@pytest.mark.parametrize("rules", [{"lowest": "1"}, {"lowestEfficiency": "2"}, {"highestWastedBytes": "many"}])
def test_wrong_rules_are_refused_by_name(rules: dict[str, str]) -> None:
    with pytest.raises(BadRule, match=next(iter(rules))):
        check_rules(WASTE, rules)


def test_dives_file_of_rules_is_read(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    file = tmp_path / ".dive-ci"
    file.write_text("rules:\n  lowestEfficiency: 0.95\n  highestWastedBytes: 20MB\n  highestUserWastedPercent: 0.20\n")
    assert read_rules(file) == {
        "lowestEfficiency": "0.95", "highestWastedBytes": "20MB", "highestUserWastedPercent": "0.2",
    }  # fmt: skip
    for text in ("- a", "rules: 3", "{"):
        file.write_text(text)
        with pytest.raises(BadRule, match=r"\.dive-ci"):
            read_rules(file)
