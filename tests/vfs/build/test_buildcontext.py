"""Where a build's files and its Dockerfile come from."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import zstandard

from rootlay.store.model.errors import TruncatedArchive, UnsafePath
from rootlay.vfs.build.context.buildcontext import BadContext, BuildContext, Surroundings, open_context
from rootlay.vfs.build.context.source import SourceTree, join
from rootlay.vfs.build.context.tartree import TarTree

COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda data: data,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


def archive(*members: tuple[str, bytes | str | None], **attributes: int) -> bytes:
    """A tar: bytes are a file's content, a str a link's target, None a directory."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.mode = 0o755 if content is None else 0o640
            for key, value in attributes.items():
                setattr(info, key, value)
            if content is None:
                info.type = tarfile.DIRTYPE
            elif isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
            else:
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return out.getvalue()


def around(tmp_path: Path, stdin: bytes = b"") -> Surroundings:
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    return Surroundings(scratch, io.BytesIO(stdin))


def names(tree: SourceTree, directory: bytes = b"/") -> list[str]:
    """All paths of a tree."""
    found = []
    for name in tree.listdir(directory):
        path = join(directory, name)
        entry = tree.lstat(path)
        assert entry is not None
        found.append(path.decode()[1:])
        if entry.mode & 0o170000 == 0o040000:
            found += names(tree, path)
    return found


def text_of(context: BuildContext, file: str | None = None) -> bytes:
    return context.dockerfile(file, io.BytesIO(b"FROM stdin"))[1]


FILES = (("Dockerfile", b"FROM a"), ("d/x", b"x"), ("d/.dockerignore", b""), (".dockerignore", b"d/*\n!d/y\n"))


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_context_may_be_an_archive_of_any_compression(tmp_path: Path, compression: str) -> None:
    data = COMPRESSIONS[compression](archive(*FILES, ("d/y", b"y")))
    (tmp_path / "context").write_bytes(data)
    for context in (
        open_context(str(tmp_path / "context"), around(tmp_path)),
        open_context("-", around(tmp_path, data)),
    ):
        with context:
            assert text_of(context) == b"FROM a"
            assert names(context.visible("Dockerfile")) == [".dockerignore", "Dockerfile", "d", "d/y"]
            with context.tree.open(b"/d/x") as stream:
                assert stream.read() == b"x"


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_large_archive_from_standard_input_is_known_by_its_start(tmp_path: Path, compression: str) -> None:
    noise = random.Random(1).randbytes(2_000_000)
    data = COMPRESSIONS[compression](archive(("noise", noise), *FILES))
    with open_context("-", around(tmp_path, data)) as context, context.tree.open(b"/noise") as stream:
        assert stream.read() == noise


def test_a_directory_and_an_archive_of_it_are_the_same(tmp_path: Path) -> None:
    for name, content in FILES:
        path = tmp_path / "context" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    with open_context(str(tmp_path / "context"), around(tmp_path)) as context:
        assert text_of(context) == b"FROM a"
        assert names(context.tree) == [".dockerignore", "Dockerfile", "d", "d/.dockerignore", "d/x"]
        assert names(context.visible("Dockerfile")) == [".dockerignore", "Dockerfile", "d"]


def test_text_from_standard_input_is_a_dockerfile_without_a_context(tmp_path: Path) -> None:
    with open_context("-", around(tmp_path, b"FROM a\n")) as context:
        assert text_of(context) == b"FROM a\n"
        assert names(context.visible("-")) == []
        with pytest.raises(BadContext, match="-f other cannot be in it"):
            text_of(context, "other")


def test_the_dockerfile_may_come_from_standard_input_if_the_context_does_not(tmp_path: Path) -> None:
    (tmp_path / "context").mkdir()
    with open_context(str(tmp_path / "context"), around(tmp_path)) as context:
        assert context.dockerfile("-", io.BytesIO(b"FROM stdin")) == ("-", b"FROM stdin")
    with open_context("-", around(tmp_path, archive(*FILES))) as context, pytest.raises(BadContext, match="both"):
        text_of(context, "-")


@pytest.mark.parametrize("name", ["Dockerfile", "dockerfile", "Containerfile"])
def test_these_names_are_found(tmp_path: Path, name: str) -> None:
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / name).write_bytes(b"FROM a")
    with open_context(str(tmp_path / "context"), around(tmp_path)) as context:
        assert context.dockerfile(None, io.BytesIO())[0] == name


def test_an_ignore_file_beside_the_dockerfile_wins(tmp_path: Path) -> None:
    context_dir = tmp_path / "context"
    context_dir.mkdir()
    (context_dir / ".dockerignore").write_bytes(b"a")
    (context_dir / "a").touch()
    (context_dir / "b").touch()
    other = tmp_path / "Other"
    other.write_bytes(b"FROM x")
    with open_context(str(context_dir), around(tmp_path)) as context:
        assert names(context.visible(str(other))) == [".dockerignore", "b"]
        (tmp_path / "Other.dockerignore").write_bytes(b"b\n.docker*")
        assert names(context.visible(str(other))) == ["a"]
        (context_dir / "Dockerfile.dockerignore").write_bytes(b"*\n!a")
        assert names(context.visible("Dockerfile")) == ["a"]


@pytest.mark.parametrize("content", [b"", b"\0\1\2", b"PK\3\4"])
def test_what_is_no_context_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(BadContext, match="neither a directory nor an archive"):
        open_context(str(tmp_path / "file"), around(tmp_path))
    with pytest.raises(BadContext, match="no such directory"):
        open_context(str(tmp_path / "missing"), around(tmp_path))


def test_a_missing_dockerfile_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadContext, match="no Dockerfile in it"):
        text_of(open_context(str(tmp_path), around(tmp_path)))


def test_no_link_of_a_context_leads_to_a_dockerfile_outside(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"FROM secret")
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "Dockerfile").symlink_to("../secret")
    with (
        open_context(str(tmp_path / "context"), around(tmp_path)) as context,
        pytest.raises(BadContext, match="no Dockerfile"),
    ):
        text_of(context)


def test_an_archive_that_is_cut_is_an_error(tmp_path: Path) -> None:
    data = gzip.compress(archive(("Dockerfile", b"FROM a" * 1000)))
    with pytest.raises(TruncatedArchive):
        open_context("-", around(tmp_path, data[: len(data) - 30]))


def tree_of(data: bytes, tmp_path: Path) -> TarTree:
    return TarTree([data], tmp_path, "archive")


def test_later_entries_of_an_archive_replace_earlier_ones(tmp_path: Path) -> None:
    data = archive(("a", b"1"), ("a", b"22"), ("b", None), ("b/c", b""), ("b", "a"))
    with closing(tree_of(data, tmp_path)) as tree:
        entry = tree.lstat(b"/a")
        assert entry is not None
        assert entry.size == 2
        assert names(tree) == ["a", "b"]
        assert tree.readlink(b"/b") == b"a"


def test_names_below_a_link_of_an_archive_lie_where_it_leads(tmp_path: Path) -> None:
    data = archive(("d", None), ("l", "/d"), ("l/x", b""), ("m", "../../.."), ("m/y", b""))
    with closing(tree_of(data, tmp_path)) as tree:
        assert names(tree) == ["d", "d/x", "l", "m", "y"]


def test_a_name_that_leads_out_of_an_archive_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnsafePath):
        tree_of(archive(("../a", b"")), tmp_path)


def test_owners_and_times_of_an_archive_are_kept(tmp_path: Path) -> None:
    with closing(tree_of(archive(("a", b""), uid=7, gid=8, mtime=9), tmp_path)) as tree:
        entry = tree.lstat(b"/a")
    assert entry is not None
    assert (entry.uid, entry.gid, entry.mtime_ns, entry.mode) == (7, 8, 9_000_000_000, 0o100640)
