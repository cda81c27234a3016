"""What --output means, and what it writes."""

from __future__ import annotations

import io
import json
import os
import stat
import tarfile
from pathlib import Path

import pytest

from rootlay.store.registry.settings import Settings
from rootlay.store.store import ImageStore
from rootlay.vfs.build.language.errors import BadValue
from rootlay.vfs.build.options.output import Output, parse_output
from rootlay.vfs.build.result.export import write_output
from tests.vfs.build.conftest import Yard

TREE = (
    "FROM base AS made\nRUN mkdir -p /out/sub && echo hi > /out/sub/f && chown 7:8 /out/sub/f && chmod 4750 /out/sub/f"
    " && ln -s /etc/passwd /out/link && mkfifo /out/pipe && mkdir -m 500 /out/closed && touch /out/closed/in\n"
    "FROM scratch\nCOPY --from=made /out /\n"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("out", Output("local", "out")),
        ("-", Output("tar", "-")),
        ("type=local,dest=a b", Output("local", "a b")),
        ('type=tar,"dest=a,b"', Output("tar", "a,b")),
        ("type=tar", Output("tar", "-")),
        ("type=oci,dest=x,tar=false", Output("oci", "x", unpacked=True)),
        ("type=oci,dest=x,compression=gzip", Output("oci", "x", compression="gzip")),
        ("type=docker,dest=x,name=a:1", Output("docker", "x", ("a:1",))),
        ("type=image,name=a,push=true", Output("image", "", ("a",), push=True)),
        ("type=registry,name=a", Output("image", "", ("a",), push=True)),
        ("type=image", Output("image")),
    ],
)
def test_outputs_are_read_as_docker_reads_them(text: str, expected: Output) -> None:
    assert parse_output(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("type=lokal,dest=x", "type=local"),
        ("dest=x", "type=local"),
        ("type=local", "dest=DIRECTORY is missing"),
        ("type=tar,dets=x", "did you mean dest"),
        ("type=oci,dest=x,compression=rar", "gzip"),
        ("type=oci,tar=false", "dest=DIRECTORY"),
        ("type=oci,dest=x,tar=maybe", "true or false"),
        ("type=tar,dest=a,dest=b", "twice"),
        ("", "needs a directory"),
    ],
)
def test_what_is_no_output_is_refused(text: str, message: str) -> None:
    with pytest.raises(BadValue, match=message):
        parse_output(text)


def write(yard: Yard, output: str, text: str = TREE) -> tuple[bytes, list[str]]:
    """Build, and write it out; what went to standard output, and the notes."""
    stream = io.BytesIO()
    notes: list[str] = []
    image = yard.build(text, tags=("written:1",)).image
    write_output(yard.store, image, image.references, parse_output(output), stream, Settings(), notes.append)
    return stream.getvalue(), notes


def test_local_writes_the_files_into_a_directory_and_leaves_others_alone(yard: Yard, tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir(mode=0o750)
    (target / "other").write_text("mine")
    (target / "sub").mkdir()
    (target / "sub/f").write_text("old")
    write(yard, f"type=local,dest={target}")
    assert sorted(path.name for path in target.iterdir()) == ["closed", "link", "other", "pipe", "sub"]
    assert (target / "sub/f").read_text() == "hi\n"
    assert stat.S_IMODE((target / "sub/f").stat().st_mode) == 0o750  # no set-id bits
    assert (target / "sub/f").stat().st_uid == os.geteuid()
    assert os.readlink(target / "link") == "/etc/passwd"
    assert stat.S_IMODE(target.stat().st_mode) == 0o750
    assert (target / "other").read_text() == "mine"
    (target / "closed").chmod(0o700)


def test_local_does_not_leave_the_directory_through_a_link_that_is_there(yard: Yard, tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (target / "sub").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        write(yard, f"type=local,dest={target}")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_tar_has_owners_and_modes(yard: Yard, tmp_path: Path) -> None:
    data, _ = write(yard, "-")
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        entry = tar.getmember("sub/f")
        assert (entry.mode, entry.uid, entry.gid) == (0o4750, 7, 8)
        assert tar.getmember("link").linkname == "/etc/passwd"
    write(yard, f"type=tar,dest={tmp_path / 'a.tar'}")
    assert (tmp_path / "a.tar").read_bytes() == data
    assert [path.name for path in tmp_path.glob("*.tar*")] == ["a.tar"]


@pytest.mark.parametrize("kind", ["docker", "oci", "oci,compression=gzip", "oci,tar=false"])
def test_an_archive_is_the_image(yard: Yard, tmp_path: Path, kind: str) -> None:
    write(yard, f"type={kind},dest={tmp_path / 'image'}")
    loaded = ImageStore.open(tmp_path / "store").load(tmp_path / "image")
    assert [image.id for image in loaded] == [yard.store.image("written:1").id]
    assert loaded[0].references == ("written:1",)
    if kind == "oci,tar=false":
        assert json.loads((tmp_path / "image/oci-layout").read_text())["imageLayoutVersion"] == "1.0.0"


def test_an_image_without_layers_is_an_empty_directory(yard: Yard, tmp_path: Path) -> None:
    write(yard, f"type=local,dest={tmp_path / 'out'}", "FROM scratch\nLABEL a=b\n")
    assert not list((tmp_path / "out").iterdir())
