"""COPY and ADD: what goes where, with which attributes. The rules are BuildKit's (see rootlay.vfs.build.copy.copy)."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import socket
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from rootlay.vfs.build.build import build
from rootlay.vfs.build.context.ignore import parse_ignore
from rootlay.vfs.build.context.ignoredtree import IgnoringTree
from rootlay.vfs.build.context.source import HostTree
from rootlay.vfs.build.copy.chmodspec import ModeChange
from rootlay.vfs.build.language.parser import parse
from rootlay.vfs.build.options.options import BuildOptions
from rootlay.vfs.build.result.failure import BuildFailed
from tests.vfs.build.conftest import Notes, Yard

pytestmark = pytest.mark.long_form


@pytest.mark.parametrize(
    ("instruction", "expected"),
    [
        ("COPY f /new", ["/new"]),
        ("COPY f /new/", ["/new/f"]),
        ("COPY f /etc", ["/etc/f"]),
        ("COPY f relative", ["/w/relative"]),
        ("COPY f .", ["/w/f"]),
        ("COPY f ./", ["/w/f"]),
        ("COPY d /new", ["/new/inner", "/new/sub/deep"]),
        ("COPY d/ /new/", ["/new/inner", "/new/sub/deep"]),
        ("COPY d f /new/", ["/new/f", "/new/inner", "/new/sub/deep"]),
        ("COPY d/* /new/", ["/new/deep", "/new/inner"]),
        ("COPY /../../f /new", ["/new"]),
        ("COPY ./d/../f /new", ["/new"]),
        ("COPY [f] /new", ["/new"]),
        ("COPY ? /new/", ["/new/f", "/new/inner", "/new/sub/deep"]),
        ('COPY ["with space", "/a b"]', ["/a b"]),
        ("COPY link /new", ["/new"]),
        ("COPY dirlink /new", ["/new/inner", "/new/sub/deep"]),
        ("COPY d/**/deep /new/", ["/new/deep"]),
        ("COPY --parents d/sub/deep f /new/", ["/new/d/sub/deep", "/new/f"]),
        ("COPY --parents d/**/deep /new/", ["/new/d/sub/deep"]),
        ("COPY --parents d/./sub /new/", ["/new/sub/deep"]),
        ("COPY --parents ./d/sub /new/", ["/new/d/sub/deep"]),
        ("COPY --exclude=sub d /new", ["/new/inner"]),
        ("COPY --exclude=**/deep d /new", ["/new/inner", "/new/sub"]),
        ("COPY --exclude=sub --exclude=!sub/deep d /new", ["/new/inner", "/new/sub/deep"]),
        ("COPY --exclude=i* d /new", ["/new/sub/deep"]),
        ("COPY f no-match* /new/", ["/new/f"]),
    ],
)
def test_where_a_copy_goes(yard: Yard, instruction: str, expected: list[str]) -> None:
    yard.write("f", "file\n")
    yard.write("d/inner")
    yard.write("d/sub/deep")
    yard.write("with space")
    (yard.context / "link").symlink_to("/f")
    (yard.context / "dirlink").symlink_to("d")
    built = yard.build(f"FROM scratch\nWORKDIR /w\nCOPY d/inner /etc/\n{instruction}\n")
    found = [
        "/" + os.fsdecode(name)
        for name in map(os.fsencode, yard.layer_names(built.image))
        if not built.tree.lstat("/" + os.fsdecode(name)).is_dir or not built.ls("/" + os.fsdecode(name))
    ]
    assert found == expected


def test_a_copied_directory_gives_its_attributes_to_new_and_old_subdirectories_but_not_to_the_target(
    yard: Yard,
) -> None:
    yard.write("d/sub/f")
    (yard.context / "d").chmod(0o700)
    (yard.context / "d/sub").chmod(0o711)
    built = yard.build("FROM base\nRUN mkdir -p -m 750 /there /there/sub\nCOPY d /there\nCOPY d /new\n")
    assert built.mode("/there")[0] == 0o750
    assert built.mode("/there/sub")[0] == 0o711
    assert built.mode("/new")[0] == 0o755
    assert built.mode("/new/sub")[0] == 0o711


def test_directories_above_keep_the_attributes_that_they_have_below(yard: Yard) -> None:
    yard.write("f")
    built = yard.build("FROM base\nCOPY f /tmp/x/f\n")
    assert built.mode("/tmp")[0] == 0o1777
    assert yard.layer_names(built.image) == ["tmp", "tmp/x", "tmp/x/f"]
    tar = {info.name: info.mode for info in _members(yard, built.image)}
    assert tar == {"tmp": 0o1777, "tmp/x": 0o755, "tmp/x/f": 0o644}


def _members(yard: Yard, image: object) -> list[tarfile.TarInfo]:
    layer = yard.store.layer(image.diff_ids[-1])  # type: ignore[attr-defined]
    try:
        return tarfile.open(fileobj=io.BytesIO(b"".join(layer.iter_tar()))).getmembers()
    finally:
        layer.close()


@pytest.mark.parametrize(
    ("chown", "owner"),
    [("1:2", (1, 2)), ("7", (7, 7)), ("user", (1234, 1235)), ("user:extra", (1234, 77)), (":extra", (0, 77)),
     ("5:extra", (5, 77)), ("user:9", (1234, 9))],
)  # fmt: skip
def test_chown_looks_names_up_in_the_image(yard: Yard, chown: str, owner: tuple[int, int]) -> None:
    yard.write("d/f")
    built = yard.build(f"FROM base\nCOPY --chown={chown} d /n/e/w\n")
    assert {built.mode(path)[1:] for path in ("/n", "/n/e", "/n/e/w", "/n/e/w/f")} == {owner}


@pytest.mark.parametrize(
    ("spec", "before", "after"),
    [
        ("644", 0o100755, 0o644), ("0755", 0o100600, 0o755), ("4755", 0o100644, 0o4755),
        ("u=rwX,go=rX", 0o100600, 0o644), ("u=rwX,go=rX", 0o100700, 0o755), ("u=rwX,go=rX", 0o040700, 0o755),
        ("+x", 0o100644, 0o755), ("a-w", 0o100666, 0o444), ("g=u", 0o100640, 0o660), ("u+s", 0o100755, 0o4755),
        ("o=", 0o100777, 0o770), ("u+x,g-r", 0o100644, 0o704), ("go+rX-w", 0o100722, 0o755), ("+t", 0o040755, 0o1755),
    ],
)  # fmt: skip
def test_chmod_octal_and_symbolic(spec: str, before: int, after: int) -> None:
    assert ModeChange.parse(spec).apply(before) & 0o7777 == after


@pytest.mark.parametrize("spec", ["", "8", "77777", "u", "u=q", "rwx", "u=r,", "=r=w=q"])
def test_a_mode_that_is_none(spec: str) -> None:
    with pytest.raises(ValueError, match="invalid mode"):
        ModeChange.parse(spec)


def test_chmod_is_for_files_and_directories_not_for_links(yard: Yard) -> None:
    yard.write("d/s/f")
    (yard.context / "d/l").symlink_to("s")
    built = yard.build("FROM base\nCOPY --chmod=u=rwX,go= d /n\n")
    assert [built.mode(f"/n/{name}")[0] for name in ("s", "s/f", "l")] == [0o700, 0o600, 0o777]


def test_links_inside_are_kept_as_links_and_files_with_two_names_as_one(yard: Yard) -> None:
    yard.write("d/a", "one file\n")
    os.link(yard.context / "d/a", yard.context / "d/b")
    (yard.context / "d/dangling").symlink_to("/no/where")
    (yard.context / "d/out").symlink_to("../../../../etc/passwd")
    os.mkfifo(yard.context / "d/fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.getcwd()
        os.chdir(yard.context / "d")
        try:
            listener.bind("socket")
        finally:
            os.chdir(here)
        built = yard.build("FROM base\nCOPY d /n\n")
    assert built.ls("/n") == ["a", "b", "dangling", "fifo", "out"]
    assert built.tree.lstat("/n/a").ino == built.tree.lstat("/n/b").ino
    assert built.tree.readlink("/n/out") == b"../../../../etc/passwd"


def test_nothing_outside_the_context_can_be_copied(yard: Yard, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret\n")
    (yard.context / "up").symlink_to("../secret")
    (yard.context / "updir").symlink_to("..")
    (yard.context / "absolute").symlink_to(tmp_path / "secret")
    yard.write("updir-file")
    for source in ("up", "absolute", "../secret", "updir/secret"):
        with pytest.raises(BuildFailed, match="no such file"):
            yard.build(f"FROM scratch\nCOPY {source} /x\n")


def test_the_targets_links_are_followed_inside_the_image(yard: Yard) -> None:
    yard.write("f", "new\n")
    yard.write("d/f", "new\n")
    built = yard.build(
        "FROM base\nRUN mkdir /real && ln -s /real /dirlink && ln -s /../../real/file /filelink\n"
        "COPY f /dirlink/\nCOPY f /filelink\nCOPY d /dirlink/sub\n"
    )
    assert built.ls("/real") == ["f", "file", "sub"]
    assert built.tree.readlink("/dirlink") == b"/real"


@pytest.mark.parametrize(
    ("before", "copy", "message"),
    [
        ("mkdir -p /t/f", "COPY d /t", "cannot replace the directory /t/f by a file"),
        ("mkdir -p /t; touch /t/sub", "COPY d /t", "cannot copy a directory over /t/sub"),
        ("mkdir -p /t; ln -s /etc /t/sub", "COPY d /t", "cannot copy a directory over /t/sub"),
        ("touch /t", "COPY d /t", "/t is not a directory"),
        ("ln -s loop /loop", "COPY f /loop/x", "oo many levels"),
    ],
)
def test_what_does_not_fit_is_an_error(yard: Yard, before: str, copy: str, message: str) -> None:
    yard.write("f")
    yard.write("d/f")
    yard.write("d/sub/f")
    with pytest.raises((BuildFailed, OSError), match=message):
        yard.build(f"FROM base\nRUN {before}\n{copy}\n")


def test_heredocs_are_files(yard: Yard) -> None:
    built = yard.build(
        "FROM base\nENV N=1\nCOPY <<a <<'b' /dir/\nvalue $N\na\nvalue $N\nb\nCOPY --chmod=755 <<EOF /run\nx\nEOF\n"
    )
    assert built.read("/dir/a") == "value 1\n"
    assert built.read("/dir/b") == "value $N\n"
    assert built.mode("/run") == (0o755, 0, 0)


def test_copy_link_makes_the_same_layer_on_every_base(yard: Yard) -> None:
    yard.write("f")
    first = yard.build("FROM base\nRUN echo one > /x\nCOPY --link --chown=user f /tmp/f\n")
    second = yard.build("FROM base\nRUN echo two > /x\nCOPY --link --chown=user f /tmp/f\n")
    assert first.image.diff_ids[-1] == second.image.diff_ids[-1]
    assert second.notes.cached == ["COPY"]
    assert second.mode("/tmp/f")[1:] == (1234, 1235)


def _archive(compress: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, kind in (("top", tarfile.DIRTYPE), ("top/file", tarfile.REGTYPE), ("top/hard", tarfile.LNKTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.uid, info.gid, info.mtime = kind, 0o750, 11, 12, 1_000_000_000
            info.linkname = "top/file" if kind == tarfile.LNKTYPE else ""
            info.size = 5 if kind == tarfile.REGTYPE else 0
            tar.addfile(info, io.BytesIO(b"hello") if info.size else None)
    packers: dict[str, Callable[[bytes], bytes]] = {
        "": bytes, "gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress,
        "zst": zstandard.ZstdCompressor().compress,
    }  # fmt: skip
    return packers[compress](out.getvalue())


@pytest.mark.parametrize("compress", ["", "gz", "bz2", "xz", "zst"])
def test_add_extracts_archives_whatever_their_name(yard: Yard, compress: str) -> None:
    (yard.context / "thing").write_bytes(_archive(compress))
    built = yard.build("FROM base\nADD thing /new/\n")
    assert built.read("/new/top/hard") == "hello"
    assert built.mode("/new/top/file") == (0o750, 11, 12)
    assert built.mode("/new") == (0o755, 0, 0)
    assert built.tree.lstat("/new/top/file").mtime_ns == 1_000_000_000 * 10**9
    assert built.tree.lstat("/new/top/file").ino == built.tree.lstat("/new/top/hard").ino


def test_add_of_two_archives(yard: Yard) -> None:
    for name in ("a", "b"):
        with tarfile.open(yard.context / f"{name}.tar", "w") as tar:
            tar.addfile(_entry(name, 2), io.BytesIO(name.encode() * 2))
            tar.addfile(_entry("both", 1), io.BytesIO(name.encode()))
    built = yard.build("FROM base\nADD *.tar /x/\n")
    assert [built.read(f"/x/{name}") for name in ("a", "b", "both")] == ["aa", "bb", "b"]


def _entry(name: str, size: int, link: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.size = size
    if link:
        found.type, found.linkname = tarfile.LNKTYPE, link
    return found


def test_names_of_a_file_that_an_archive_replaces_later_keep_its_content(yard: Yard) -> None:
    """As `tar -x` has it."""
    with tarfile.open(yard.context / "a.tar", "w") as tar:
        tar.addfile(_entry("a", 3), io.BytesIO(b"old"))
        tar.addfile(_entry("b", 0, link="a"))
        tar.addfile(_entry("a", 3), io.BytesIO(b"new"))
        tar.addfile(_entry("c", 0, link="a"))
    subprocess.run(["tar", "-C", yard.context, "-xf", "a.tar"], check=True, cwd=yard.context)
    built = yard.build("FROM base\nADD a.tar /x/\n")
    for name in "abc":
        assert built.read(f"/x/{name}") == (yard.context / name).read_text()
    same = built.tree.lstat("/x/a").ino == built.tree.lstat("/x/c").ino
    assert same == ((yard.context / "a").stat().st_ino == (yard.context / "c").stat().st_ino)
    assert built.tree.lstat("/x/b").nlink == 1


def test_a_hard_link_to_what_another_archive_has(yard: Yard) -> None:
    with tarfile.open(yard.context / "a.tar", "w") as tar:
        tar.addfile(_entry("a", 3), io.BytesIO(b"old"))
    with tarfile.open(yard.context / "b.tar", "w") as tar:
        tar.addfile(_entry("b", 0, link="a"))
    built = yard.build("FROM scratch\nADD a.tar b.tar /\n")
    assert built.read("/b") == "old"
    assert built.tree.lstat("/a").nlink == 2


def test_add_with_chown_unpack_false_and_copy(yard: Yard) -> None:
    (yard.context / "a.tar").write_bytes(_archive(""))
    (yard.context / "plain.tar.gz").write_bytes(gzip.compress(b"no tar"))
    built = yard.build(
        "FROM base\nADD --chown=user a.tar /a/\nADD --unpack=false a.tar /b/\nCOPY a.tar /c/\nADD plain.tar.gz /d/\n"
    )
    assert built.mode("/a/top/file")[1:] == (1234, 1235)
    assert [built.ls(path) for path in ("/b", "/c", "/d")] == [["a.tar"], ["a.tar"], ["plain.tar.gz"]]


@pytest.mark.parametrize("name", ["../escape", "/../escape", "a/../../escape"])
def test_an_archive_that_leads_out_stays_in_the_target(yard: Yard, name: str) -> None:
    with tarfile.open(yard.context / "bad.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo(name))
    built = yard.build("FROM base\nADD bad.tar /x/\n")
    assert built.ls("/x") == ["escape"]


def test_links_in_an_archive_are_followed_inside_the_target_only(yard: Yard) -> None:
    with tarfile.open(yard.context / "a.tar", "w") as tar:
        directory, link = tarfile.TarInfo("etc"), tarfile.TarInfo("out")
        directory.type, link.type, link.linkname = tarfile.DIRTYPE, tarfile.SYMTYPE, "/../../../etc"
        for member in (directory, link, tarfile.TarInfo("out/inside")):
            tar.addfile(member)
    built = yard.build("FROM base\nADD a.tar /x/\n")
    assert built.ls("/x/etc") == ["inside"]
    assert "inside" not in built.ls("/etc")


def test_add_replaces_a_link_to_a_directory_by_the_archives_directory(yard: Yard) -> None:
    with tarfile.open(yard.context / "a.tar", "w") as tar:
        directory = tarfile.TarInfo("lib")
        directory.type, directory.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(directory)
        tar.addfile(tarfile.TarInfo("lib/f"))
    built = yard.build("FROM base\nRUN mkdir -p /t/usr/lib; ln -s usr/lib /t/lib\nADD a.tar /t/\n")
    assert built.ls("/t/lib") == ["f"]
    assert built.tree.lstat("/t/lib").is_dir


def test_extended_attributes_of_the_user_come_along(yard: Yard) -> None:
    file = yard.write("f")
    try:
        os.setxattr(file, "user.note", b"value")
    except OSError:
        pytest.skip("the file system has no extended attributes")
    built = yard.build("FROM base\nCOPY f /f\n")
    assert built.tree.getxattr("/f", b"user.note") == b"value"


def test_many_files_in_one_copy(yard: Yard) -> None:
    for number in range(300):
        yard.write(f"d/{number % 7}/{number}", str(number))
    built = yard.build("FROM base\nCOPY d /d\n")
    assert sum(len(built.ls(f"/d/{part}")) for part in range(7)) == 300
    assert built.read("/d/5/299") == "299"


def _write_deep(yard: Yard) -> None:
    place = str(yard.context)
    for _ in range(1000):
        place += "/d"
        os.mkdir(place)
    Path(place, "deep").write_text("found\n")


@pytest.mark.parametrize(
    ("ignore", "instruction", "expected"),
    [
        ("", "COPY d /new", True),
        ("", "COPY --parents d/**/deep /new/", True),
        ("", f"COPY --parents {'**/d/' * 8}**/deep /new/", True),
        ("**/deep", "COPY d /new", False),
        ("d\n!**/deep", "COPY d /new", True),
    ],
)
def test_deep_trees(yard: Yard, ignore: str, instruction: str, expected: bool) -> None:
    _write_deep(yard)
    tree = IgnoringTree(HostTree(yard.context), parse_ignore(ignore))
    image = build(yard.store, parse(f"FROM scratch\n{instruction}\n"), tree, BuildOptions(), Notes()).image
    assert any(name.endswith("/deep") for name in yard.layer_names(image)) == expected


@pytest.mark.skipif(not os.environ.get("ROOTLAY_TEST_LONG"), reason="20 s: set ROOTLAY_TEST_LONG")
def test_deep_trees_from_a_stage_into_a_bind(yard: Yard) -> None:
    _write_deep(yard)
    text = "FROM scratch AS one\nCOPY d /d\nFROM base\nCOPY --from=one /d /e\n"
    text += "RUN --mount=from=one,target=/m ls /m > /out\n"
    built = yard.build(text)
    assert built.read("/out") == "d\n"
