"""Changes describe themselves; as a patch they do to a directory what git does, and `apply` does the rest."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import BinaryIO

import pytest

from rootlay.vfs import Changes, Container, Image, Store
from rootlay.vfs.changes import compare
from rootlay.vfs.merge.content import open_content
from rootlay.vfs.merge.lookup import Found
from rootlay.vfs.merge.stack import Stack

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture
def c(image: Image) -> Container:
    c = image.container("changed")
    c.fs.writetext("/etc/motd", "welcome\nand goodbye")
    c.fs.makedirs("/new/dir")
    c.fs.writetext("/new/dir/text", "one\ntwo\n")
    c.fs.writebytes("/new/binary", b"\0\1\2")
    c.fs.writetext("/new/empty", "")
    c.fs.writetext("/new/with space", "x\n")
    c.fs.remove("/etc/passwd")
    c.fs.symlink("text", "/new/dir/link")
    c.overlay.chmod("/new/dir/text", 0o755)
    return c


def test_a_change_knows_type_sizes_and_modes(c: Container) -> None:
    found = {str(change.path): change for change in c.diff()}
    motd = found["/etc/motd"]
    assert (motd.type, motd.size_before, motd.size) == ("file", 8, 19)
    assert (found["/new"].type, found["/new/dir/link"].type) == ("directory", "link")
    assert (found["/new/dir/text"].mode, found["/new/dir/text"].mode_before) == (0o755, None)
    assert (found["/etc/passwd"].kind, found["/etc/passwd"].size) == ("D", 0)
    assert found["/etc/passwd"].size_before > 0
    assert str(c.diff()).splitlines()[:2] == ["C /etc", "C /etc/motd"]


def test_diffs_are_unified(c: Container) -> None:
    changes = c.diff()
    assert changes.diff("/etc/motd").splitlines()[1:] == [
        "--- a/etc/motd", "+++ b/etc/motd", "@@ -1 +1,2 @@", " welcome", "+and goodbye", "\\ No newline at end of file",
    ]  # fmt: skip
    assert "Binary files /dev/null and b/new/binary differ" in changes.diff("/new/binary")
    assert changes.diff("/new") == ""
    with pytest.raises(KeyError, match="/etc/group"):
        changes.diff("/etc/group")


def test_moved_files_are_found(image: Image) -> None:
    with image.container() as c:
        c.fs.writetext("/same", c.fs.readtext("/etc/passwd"))
        c.fs.remove("/etc/passwd")
        c.fs.writetext("/other", "x" * len(c.fs.readtext("/etc/motd")))
        c.fs.remove("/etc/motd")
        changes = c.diff()
        assert [(str(each.before), str(each.after)) for each in changes.renames()] == [("/etc/passwd", "/same")]
        assert "renamed: /etc/passwd -> /same" in changes.summary()
        assert "deleted: 2 files" in changes.summary()


def tree_of(directory: Path) -> dict[str, tuple[bool, bool, bytes]]:
    """Files and links with what git knows: whether they can be executed, whether they are links, their content."""
    found = {}
    for path in sorted(directory.rglob("*")):
        if ".git" not in path.parts and (path.is_symlink() or path.is_file()):
            data = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
            found[str(path.relative_to(directory))] = (path.is_symlink(), bool(path.lstat().st_mode & 0o111), data)
    return found


@needs_git
def test_git_applies_the_patch_as_apply_does(c: Container, image: Image, tmp_path: Path) -> None:
    c.fs.remove("/new/binary")
    c.fs.remove("/etc/link")
    c.fs.writetext("/etc/link", "no link any more\n")
    changes: Changes = c.diff()
    with image.open_fs() as files:
        for name in ("one", "other"):
            (tmp_path / name / "etc").mkdir(parents=True)
            for path in ("etc/motd", "etc/passwd"):
                (tmp_path / name / path).write_bytes(files.readbytes(path))
            (tmp_path / name / "etc/link").symlink_to(str(files.getinfo("/etc/link", ["link"]).target))
    assert changes.apply(tmp_path / "one") == []
    patch = tmp_path / "patch"
    patch.write_text(changes.as_patch())
    subprocess.run(["git", "init", "-q"], cwd=tmp_path / "other", check=True)
    done = subprocess.run(
        ["git", "apply", str(patch)], cwd=tmp_path / "other", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + changes.as_patch()
    assert tree_of(tmp_path / "one") == tree_of(tmp_path / "other")


@needs_git
def test_numbers_of_lines_are_those_of_git(c: Container, image: Image, tmp_path: Path) -> None:
    c.fs.writetext("/etc/passwd", "a\nroot:x:0:0:root:/root:/bin/sh\nb\nc\n")
    changes = c.diff()
    for name, source in (("one", image.open_fs()), ("other", c.fs)):
        (tmp_path / name).mkdir()
        for path in ("/etc/motd", "/etc/passwd"):
            (tmp_path / name / Path(path).name).write_bytes(source.readbytes(path))
    command = ["git", "diff", "--no-index", "--numstat", "one", "other"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False).stdout
    expected = [tuple(line.split()[:2]) for line in said.splitlines()]
    patches = (changes.diff(path).splitlines() for path in ("/etc/motd", "/etc/passwd"))
    counted = []
    for lines in patches:
        added = sum(line.startswith("+") and not line.startswith("+++") for line in lines)
        counted.append((str(added), str(sum(line.startswith("-") and not line.startswith("---") for line in lines))))
    assert counted == expected
    last = changes.stat().splitlines()[-1]
    assert last.startswith(" 7 files changed, ")


def test_images_snapshots_and_containers_compare_the_same_way(c: Container, image: Image) -> None:
    store = Store(image.root)
    before = c.snapshot()
    c.fs.writetext("/etc/motd", "third\n")
    made = c.commit("made:1")
    for one, other in ((before, c), (before, made), (image, made)):
        changes = store.diff(one, other)
        assert "+third" in changes.as_patch()
        assert "/etc/motd" in changes.stat()
    assert store.diff(made, c) == []
    assert store.diff(made, c).as_patch() == ""


def test_images_compare_without_reading_what_they_share(
    c: Container, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = c.commit("made:1")
    opened: list[str] = []

    def noted(stack: Stack, found: Found) -> BinaryIO:
        opened.append(os.fsdecode(found.path))
        return open_content(stack, found)

    monkeypatch.setattr(compare, "open_content", noted)
    with made.container() as copy:
        copy.fs.writetext("/etc/motd", copy.fs.readtext("/etc/motd"))  # the same bytes, in another layer
        again = copy.commit("made:2")
        assert [str(change.path) for change in Store(image.root).diff(image, again)] == [
            str(change.path) for change in Store(image.root).diff(image, made)
        ]
    assert set(opened) <= {"/etc/motd"}
    assert repr(image) == f"<Image {image.reference} {image.id[7:19]}>"
