"""What the hydrator makes without being asked."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest

import rootlay.vfs.run.lowerfiles as lowerfiles
from rootlay.store.hydrate.prefetchhints import PrefetchHints
from rootlay.store.store import open_lower
from rootlay.vfs import Store
from rootlay.vfs.run.lowerfiles import LowerFiles

COUNT = 120


class Case:
    """An image of `COUNT` files in each of three directories, and one that has nothing to do with them."""

    def __init__(self, base: Path) -> None:
        for directory in "abc":
            (base / "image/usr" / directory).mkdir(parents=True)
            for number in range(COUNT):
                (base / "image/usr" / directory / f"{number:03}").write_text(f"{directory}{number}")
        (base / "image/usr/big").write_bytes(b"x" * (1 << 20))
        self.root = base / "store"
        with Store.open(self.root).import_rootfs(base / "image", "case").container() as container:
            self.chain = container.record.config.chain
        self.files = LowerFiles(self.root, self.chain)
        (self.tree,) = (path / "tree" for path in (self.root / "layers").iterdir())
        view, hydrator = open_lower(self.root, self.chain)
        with closing(view), closing(hydrator):
            self.ids = {view_path: node.id for view_path, node in view.iter_walk()}

    def import_again(self, base: Path) -> None:
        """A later image of the same name."""
        (base / "image/usr/a/010").write_text("new")
        with Store.open(self.root).import_rootfs(base / "image", "case:2").container() as container:
            self.chain = container.record.config.chain
        hexes = {path.name for path in (self.root / "layers").iterdir()}
        (name,) = hexes - {self.tree.parent.name}
        self.tree = self.root / "layers" / name / "tree"

    def session(self, image: str, *paths: str) -> None:
        """A session from its start to its end, in which programs ask for `paths`."""
        self.files = LowerFiles(self.root, self.chain)
        self.files.begin(image)
        while self.files.work_ahead():
            pass
        for path in paths:
            self.ask(path)
        self.files.end()

    def ask(self, path: str) -> None:
        self.files.hydrate(self.ids[path.encode()])
        while self.files.work_ahead():
            pass

    def made(self) -> set[str]:
        return {str(path.relative_to(self.tree)) for path in self.tree.rglob("*") if path.is_file()}


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    """On a disk with room, however full the one below the tests is."""
    monkeypatch.setattr(lowerfiles, "FREE_PERCENT_MIN", 0)
    return Case(tmp_path)


def test_single_files_bring_no_others(case: Case) -> None:
    case.ask("/usr/a/010")
    case.ask("/usr/c/100")
    assert case.made() == {"usr/a/010", "usr/c/100"}


def test_a_program_that_goes_through_a_tree_finds_the_rest_there(case: Case) -> None:
    for number in range(12):
        case.ask(f"/usr/a/{number:03}")
    made = case.made()
    assert {f"usr/a/{number:03}" for number in range(COUNT)} <= made
    assert "usr/big" not in made
    assert (case.tree / "usr/a/100").read_text() == "a100"


def test_nothing_is_made_ahead_on_a_disk_that_is_nearly_full(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lowerfiles, "FREE_PERCENT_MIN", 100)
    for number in range(12):
        case.ask(f"/usr/a/{number:03}")
    assert case.made() == {f"usr/a/{number:03}" for number in range(12)}


def test_the_first_run_of_a_later_image_finds_what_the_first_one_asked_for(case: Case, tmp_path: Path) -> None:
    case.session("host:1/case:1", "/usr/a/010", "/usr/c/100")
    case.import_again(tmp_path)
    case.session("host:1/other")
    assert not case.tree.exists()
    case.session("host:1/case:2")
    assert case.made() == {"usr/a/010", "usr/c/100"}
    assert (case.tree / "usr/a/010").read_text() == "new"


def test_what_was_asked_for_is_made_again_when_the_tree_is_gone(case: Case) -> None:
    case.session("case", "/usr/b/001")
    case.session("case", "/usr/big")
    shutil.rmtree(case.tree)
    case.tree.mkdir()  # as every session does
    case.session("case")
    assert case.made() == {"usr/b/001", "usr/big"}


def test_a_warm_start_makes_and_writes_nothing(case: Case) -> None:
    case.session("case", "/usr/a/010", "/usr/c/100")
    (record,) = (case.root / "views").glob("*.asked")
    before = record.stat()
    (case.tree / "usr/c/100").unlink()
    case.session("case")
    assert case.made() == {"usr/a/010"}
    assert record.stat().st_ino == before.st_ino


def test_a_damaged_record_is_none(case: Case) -> None:
    case.session("case", "/usr/a/010")
    (record,) = (case.root / "views").glob("*.asked")
    record.write_bytes(b"RLASKED1")
    case.session("case", "/usr/a/011")
    assert PrefetchHints.parse(record.read_bytes()).paths == (b"/usr/a/011",)


def test_names_and_paths_of_any_bytes_are_kept() -> None:
    asked = PrefetchHints("n\udcffame", ("ab" * 32,), (b"/a b", b"/\xff\n", b"/\n"))
    assert PrefetchHints.parse(asked.to_bytes()) == asked
