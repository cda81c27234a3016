"""A delta whose files are damaged, lost or those of another view: each use of it says so, or works; none crashes."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from fs.errors import FSError

from rootlay.store.model.digest import chain_id
from rootlay.store.model.errors import CorruptStore, RootlayError
from rootlay.store.store import ImageStore, open_lower
from rootlay.store.view.build import build_view
from rootlay.store.view.delta import DELTA_HEADER_BYTES, NativeDelta, open_native
from rootlay.store.view.native import HEADER_BYTES
from rootlay.vfs import Container, Image, Store
from tests.support.boxes.smalldeltas import commit_delta

LONG = bool(os.environ.get("ROOTLAY_TEST_LONG"))
FORMS = (".view", ".lmdb", ".view.base", ".lmdb.base")


@pytest.fixture
def delta(image: Image, monkeypatch: pytest.MonkeyPatch) -> Image:
    """An image with a container's change, whose view is a delta."""
    return commit_delta(image, monkeypatch)


@pytest.fixture
def container(delta: Image) -> Iterator[Container]:
    with delta.container() as c:
        yield c


def open_both(container: Container) -> None:
    """Both forms of a container's view, as Python opens them."""
    view, hydrator = open_lower(container.record.root, container.record.config.chain)
    hydrator.close()
    try:
        open_native(path_of(container, ".view")).close()
    finally:
        view.close()


def damage_of(store: Store, *, deep: bool = False, repair: bool = False) -> list[str]:
    return [str(o.finding) for o in store.fsck(deep=deep, repair=repair) if not o.finding.leftover]


def path_of(container: Container, form: str) -> Path:
    view = container.record.root / "views" / container.record.config.chain.partition(":")[2]
    return view.with_name(view.name + form)


def replace_file(path: Path, data: bytes | None) -> None:
    """By a new file: the base is a link to the view of the lower layers."""
    path.unlink()
    if data is not None:
        path.write_bytes(data)


def uses(container: Container) -> None:
    """Whoever reads the view. Raises nothing else than what says what is wrong."""
    store = Store.open(container.record.root)

    def run() -> None:
        done = container.run(
            ["sh", "-c", "cat /etc/motd /usr/share/doc/one/*; ls -R /usr"], capture_output=True, text=True
        )
        assert done.returncode in (0, 1, 2, 125, 126, 127), (done.returncode, done.stderr)
        assert "Traceback" not in done.stderr

    def read() -> None:
        container.fs.listdir("/usr/share/doc")
        container.fs.readtext("/etc/motd")
        container.fs.exists("/usr/share/doc/two/readme")

    def commit() -> None:
        with container.commit("again").container() as made:
            made.fs.readtext("/etc/motd")

    asked: list[Callable[[], object]] = [run, read, lambda: list(container.diff()), commit, lambda: store.fsck()]
    for ask in asked:
        try:
            ask()
        except (RootlayError, OSError, FSError):  # of a program or a file: an I/O error, a name that does not exist
            continue


@pytest.mark.parametrize("form", FORMS if LONG else FORMS[2:])
@pytest.mark.parametrize("damage", ["gone", "empty", "cut", "other"] if LONG else ["gone", "other"])
def test_each_use_says_that_a_file_is_lost_cut_or_another(
    form: str, damage: str, container: Container, store: Store, small_tree: Path, tmp_path: Path
) -> None:
    path = path_of(container, form)
    other = tmp_path / "tree"
    (other / "etc").mkdir(parents=True)
    for number in range(60):
        (other / f"etc/{number}").touch()
    with store.import_rootfs(other, "other").container() as c:
        c.fs.listdir("/")
        strange = path_of(c, form.removesuffix(".base")).read_bytes()
    data = path.read_bytes()
    replace_file(path, {"gone": None, "empty": b"", "cut": data[: len(data) // 2], "other": strange}[damage])
    with pytest.raises((CorruptStore, FileNotFoundError)):
        open_both(container)
    uses(container)
    assert damage_of(store, repair=True)
    assert container.fs.readtext("/etc/motd") == "changed\n"
    assert not container.fs.exists("/usr/share/doc/two/readme")
    assert damage_of(store, deep=True) == []


@pytest.mark.parametrize("form", [".view", ".view.base"])
def test_no_damaged_number_of_a_header_crashes(form: str, container: Container) -> None:
    path = path_of(container, form)
    data = path.read_bytes()
    size = DELTA_HEADER_BYTES if form == ".view" else HEADER_BYTES
    for at in range(8, size - 24, 4 if LONG else 20):
        for number in (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\1\0\0\0"):
            replace_file(path, data[:at] + number + data[at + 4 :])
            try:
                with closing(open_native(path_of(container, ".view"))) as native:
                    assert isinstance(native, NativeDelta)
                    for entry in native.iter_ids() if native.entries < 999 else ():
                        native.path(entry)
            except (CorruptStore, LookupError):
                pass
            if LONG:
                uses(container)


def test_a_damaged_view_below_is_no_base(delta: Image, store: Store) -> None:
    """The view of an image in the store is damaged; another one is built on top of its layers."""
    images = ImageStore.open(store.root)
    diff_ids = images.image("delta").diff_ids
    views = images.layout.views
    whole = views / f"{chain_id(diff_ids[:1]).hex}.view"
    data = whole.read_bytes()
    rng = random.Random(1)
    tries = [(at, b"\xff\xff\xff\xff") for at in range(8, HEADER_BYTES, 4)]
    tries += [(rng.randrange(HEADER_BYTES, len(data)), rng.randbytes(4)) for _ in range(400 if LONG else 40)]
    for at, number in tries:
        replace_file(whole, data[:at] + number + data[at + 4 :])
        for path in views.glob(f"{chain_id(diff_ids).hex}.*"):
            path.unlink()
        try:
            build_view(images, diff_ids)
        except RootlayError:
            continue


def test_any_bits_of_a_removal_map_are_safe(container: Container) -> None:
    rng = random.Random(2)
    path = container.record.path / "removed"
    header = path.read_bytes()[:64]
    for share in (1, 2, 8, 40) if LONG else (1, 8):
        bits = bytes(
            sum((rng.randrange(share) == 0) << bit for bit in range(8)) for _ in range(path.stat().st_size - 64)
        )
        path.write_bytes(header + bits)
        uses(container)
        with (container.record.path / "bloom").open("r+b") as bloom:  # as if many were noted
            bloom.seek(48)
            bloom.write(rng.randbytes(8))
        uses(container)
