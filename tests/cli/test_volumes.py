"""Volumes, and the other mounts that are not directories of the host."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from rootlay.cli.container.mountforms import parse_mount, parse_tmpfs
from rootlay.cli.container.mountoptions import parse_volume
from rootlay.cli.spec import UsageError
from rootlay.store.containers.record import Bind
from tests.cli.conftest import Rootlay

VOLUME_CONFIG = 'VOLUME ["/etc"]'


def data(store: Rootlay, name: str) -> Path:
    return store.root / "volumes" / name / "_data"


def test_an_empty_volume_gets_the_images_content_once(small: Rootlay) -> None:
    script = "cat /etc/passwd > /dev/null; echo mine > /etc/passwd; echo new > /etc/new"
    small("run", "--rm", "-v", "config:/etc", "small", "sh", "-ec", script)
    assert (data(small, "config") / "passwd").read_text() == "mine\n"
    out = small.out("run", "--rm", "-v", "config:/etc", "small", "cat", "/etc/passwd", "/etc/new")
    assert out == "mine\nnew\n", "what a volume has stays"
    assert small.out("run", "--rm", "small", "sh", "-c", "cat /etc/passwd | head -n 1").startswith("root:")


def test_a_missing_source_is_made_by_v_and_refused_by_mount(small: Rootlay, tmp_path: Path) -> None:
    small("run", "--rm", "-v", f"{tmp_path}/a/b:/x", "small", "sh", "-c", "echo x > /x/f")
    assert (tmp_path / "a/b/f").read_text() == "x\n"
    said = small.fails("run", "--rm", "--mount", f"type=bind,source={tmp_path}/c,target=/x", "small", "true", code=125)
    assert "bind source path does not exist" in said
    small("run", "--pull=never", "--rm", "-v", f"{tmp_path}/d:/x", "missing-image", "true", code=None)
    assert not (tmp_path / "c").exists()
    assert not (tmp_path / "d").exists()


def test_nocopy_leaves_a_new_volume_empty(small: Rootlay) -> None:
    assert small.out("run", "--rm", "-v", "a1:/etc:nocopy", "small", "ls", "/etc") in (
        "",
        "hostname\nhosts\nresolv.conf\n",
    )
    mount = "type=volume,source=b1,target=/etc,volume-nocopy"
    small("run", "--rm", "--mount", mount, "small", "true")
    assert not list(data(small, "b1").iterdir())


def test_links_modes_and_times_are_those_of_the_image(small: Rootlay) -> None:
    small(
        "run",
        "--name",
        "c",
        "small",
        "sh",
        "-c",
        "mkdir -p /d/s; ln -s s /d/l; echo x > /d/s/f; chmod 640 /d/s/f; chmod 1777 /d",
    )
    small("commit", "c", "made")
    small("run", "--rm", "-v", "vol:/d", "made", "true")
    place = data(small, "vol")
    assert os.readlink(place / "l") == "s"
    assert (place / "s/f").stat().st_mode & 0o777 == 0o640
    assert place.stat().st_mode & 0o7777 == 0o1777


def test_two_containers_share_a_volume_and_read_only_is_read_only(small: Rootlay) -> None:
    small("run", "--rm", "-v", "shared:/x", "small", "sh", "-c", "echo one > /x/f")
    done = small("run", "--rm", "-v", "shared:/y:ro", "small", "sh", "-c", "cat /y/f; echo two > /y/f", code=None)
    assert (done.stdout, done.returncode != 0) == (b"one\n", True)
    assert b"Read-only file system" in done.stderr


def test_anonymous_volumes_end_with_rm_v_and_with_a_run_that_is_removed(small: Rootlay) -> None:
    small("run", "--rm", "-v", "/etc", "-v", "kept:/x", "small", "true")
    assert small.out("volume", "ls", "-q") == "kept\n"
    small("create", "--name", "c", "-v", "/etc", "small", "true")
    small("rm", "c")
    assert len(small.out("volume", "ls", "-q").split()) == 2, "without -v it stays, as with docker"
    small("create", "--name", "c", "-v", "/etc", "-v", "kept:/x", "small", "true")
    small("rm", "-v", "c")
    assert len(small.out("volume", "ls", "-q").split()) == 2
    out = small.out("volume", "prune", "-f")
    assert out.startswith("Deleted Volumes:\n")
    assert small.out("volume", "ls", "-q") == "kept\n"


def test_a_volume_of_the_image_is_a_volume_of_the_container(small: Rootlay) -> None:
    small("create", "--name", "c", "small", "true")
    small("commit", "-c", VOLUME_CONFIG, "c", "declared")
    small("run", "--name", "d", "declared", "sh", "-c", "echo x > /etc/made; cat /etc/passwd > /dev/null")
    (name,) = small.out("volume", "ls", "-q").split()
    assert (data(small, name) / "made").exists()
    assert (data(small, name) / "passwd").exists()
    assert small.out("diff", "d") == "", "and not a change of the container"
    small("run", "--rm", "--volumes-from", "d:ro", "small", "cat", "/etc/made")
    small("rm", "-v", "d")
    assert small.out("volume", "ls", "-q") == ""


def test_a_volume_in_use_stays_and_says_by_whom(small: Rootlay) -> None:
    small("create", "--name", "c", "-v", "used:/x", "small", "true")
    said = small.fails("volume", "rm", "used", code=72)
    identity = small.out("ps", "-aq").strip()
    assert identity in said
    small("volume", "prune", "-a", "-f")
    assert small.out("volume", "ls", "-q", "-f", "dangling=false") == "used\n"
    small("rm", "c")
    assert small.out("volume", "rm", "used") == "used\n"
    assert small.fails("volume", "inspect", "used", code=71) == "rootlay: no such volume: used"


def test_a_failed_create_leaves_no_anonymous_volume(small: Rootlay) -> None:
    small("create", "--name", "c", "small", "true")
    small.fails("create", "--name", "c", "-v", "/etc", "small", "true", code=125)
    assert small.out("volume", "ls", "-q") == ""


def test_the_verbs_of_volumes(small: Rootlay, tmp_path: Path) -> None:
    assert small.out("volume", "create", "--label", "a=b", "first") == "first\n"
    assert small.out("volume", "create", "first") == "first\n", "the same again"
    (found,) = json.loads(small.out("volume", "inspect", "first"))
    assert found["Labels"] == {"a": "b"}
    assert found["Mountpoint"] == str(data(small, "first"))
    assert small.out("volume", "ls", "--filter", "label=a=c", "-q") == ""
    assert small.out("volume", "ls") == "DRIVER    VOLUME NAME\nlocal     first\n"
    place = tmp_path / "place"
    place.mkdir()
    small("volume", "create", "-o", "type=none", "-o", "o=bind", "-o", f"device={place}", "there")
    small("run", "--rm", "-v", "there:/x", "small", "sh", "-c", "echo hi > /x/f")
    assert (place / "f").read_text() == "hi\n"
    small.fails("volume", "create", "-o", "type=nfs", code=2)
    assert "swarm" in small.fails("volume", "create", "--scope", "multi", code=2)
    assert "volume foo" in small.fails("volume", "foo", code=2)
    assert small("fsck").stdout.endswith(b"nothing wrong was found\n")


def test_a_subpath_of_a_volume_and_no_way_out_of_it(small: Rootlay) -> None:
    small("run", "--rm", "-v", "tree:/x", "small", "sh", "-c", "mkdir /x/sub; echo in > /x/sub/f; ln -s /etc /x/out")
    mount = "type=volume,src=tree,dst=/y,volume-subpath="
    assert small.out("run", "--rm", "--mount", f"{mount}sub", "small", "cat", "/y/f") == "in\n"
    for bad in ("out", "../..", "none"):
        small.fails("run", "--rm", "--mount", mount + bad, "small", "true", code=125)


def test_tmpfs_is_empty_at_each_start_and_an_image_is_read_only(small: Rootlay) -> None:
    mounts = ("--tmpfs", "/scratch:mode=700", "--mount", "type=image,source=small,target=/img")
    script = "ls -A /scratch; echo x > /scratch/f; stat -c %a /scratch; head -n 1 /img/etc/passwd;"
    script += "echo y > /img/f || echo no"
    small("create", "--name", "c", *mounts, "small", "sh", "-c", script)
    for _ in range(2):
        out = small("start", "-a", "c").stdout.decode()
        assert out == "700\nroot:x:0:0:root:/root:/bin/sh\nno\n"


def test_a_read_only_root_can_be_written_to_only_at_its_mounts(small: Rootlay) -> None:
    script = "for f in /new /etc/passwd /tmp/f /v/f; do { echo x > $f; } 2> /dev/null && echo wrote $f; done;"
    script += "rm /etc/passwd; mkdir /d; chmod 0 /etc; ls /"
    done = small("run", "--name", "c", "--read-only", "--tmpfs", "/tmp", "-v", "v1:/v", "small", "sh", "-c", script)
    assert b"wrote /tmp/f\nwrote /v/f\n" in done.stdout
    assert b"wrote /new" not in done.stdout
    assert done.stderr.count(b"Read-only file system") == 3
    assert small.out("diff", "c") == ""


@pytest.mark.parametrize(
    ("text", "bind"),
    [
        ("/a:/b", Bind("/a", "/b")),
        ("/a:/b:ro,z", Bind("/a", "/b", True)),
        ("/a:/b:rw,Z,cached,rslave", Bind("/a", "/b")),
        ("name:/b:delegated", Bind("", "/b", kind="volume", source="name")),
        ("/b", Bind("", "/b", kind="volume", anonymous=True)),
    ],
)
def test_forms_of_v(text: str, bind: Bind) -> None:
    assert parse_volume(text) == bind


@pytest.mark.parametrize("text", ["", "a", "a:b", "/a:b", "/a:/b:xx", ":/b", "/a:/", "a b:/c", "x:/y", "/a:/b:ro:z"])
def test_bad_forms_of_v(text: str) -> None:
    with pytest.raises(UsageError):
        parse_volume(text)


@pytest.mark.parametrize(
    ("text", "bind"),
    [
        ("type=bind,src=/a,dst=/b,ro", Bind("/a", "/b", True)),
        ("type=bind,source=/a,destination=/b,readonly=false,bind-propagation=rslave", Bind("/a", "/b")),
        ("target=/b", Bind("", "/b", kind="volume", anonymous=True)),
        (
            'src=vol,target=/b,volume-label=x=y,"volume-opt=type=none",volume-opt=o=bind,volume-opt=device=/',
            Bind("", "/b", kind="volume", source="vol", labels=("x=y",), options=("type=none", "o=bind", "device=/")),
        ),
        ("type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=0700", Bind("", "/t", False, owner=(0, 0, 0o700), kind="tmpfs")),
        ("type=image,src=i,dst=/t,image-subpath=etc", Bind("", "/t", True, kind="image", source="i", subpath="etc")),
    ],
)
def test_forms_of_mount(text: str, bind: Bind) -> None:
    assert parse_mount(text) == bind


@pytest.mark.parametrize(
    "text",
    [
        *("", "type=bind", "type=bind,target=/b", "type=npipe,src=/a,dst=/b", "src=/a,dst=/b", "dst=b", "dst=/b,foo=1"),
        *("type=tmpfs,src=x,dst=/b", "type=bind,src=/a,dst=/b,volume-nocopy", "dst=/b,readonly=maybe", "dst=/"),
        *("dst=/b,volume-driver=nfs", 'dst="/b', "type=tmpfs,dst=/b,tmpfs-mode=9", "type=tmpfs,dst=/b,tmpfs-size=big"),
    ],
)
def test_bad_forms_of_mount(text: str) -> None:
    with pytest.raises(UsageError, match="--mount"):
        parse_mount(text)


def test_forms_of_tmpfs() -> None:
    assert parse_tmpfs("/t") == Bind("", "/t", False, owner=(0, 0, 0o1777), kind="tmpfs")
    assert parse_tmpfs("/t:ro,noexec,size=64m,mode=755") == Bind("", "/t", True, owner=(0, 0, 0o755), kind="tmpfs")
    assert parse_tmpfs("/t:ro,mode=700,rw,uid=1000,mode=1755,gid=5").owner == (1000, 5, 0o1755)
    assert not parse_tmpfs("/t:ro,rw").read_only
    for text in (
        "t",
        "/",
        "/t:foo",
        "/t:rw,",
        "/t:ro=1",
        "/t:mode=9",
        "/t:uid=abc",
        "/t:gid=-1",
        "/t:size=x",
        "/t:uid",
    ):
        with pytest.raises(UsageError, match=f"--tmpfs {text}"):
            parse_tmpfs(text)
    with pytest.raises(UsageError, match=r'invalid tmpfs option \["foo"\]'):
        parse_tmpfs("/t:foo")


def test_a_tmpfs_has_the_owner_of_its_options(small: Rootlay) -> None:
    out = small.out("run", "--rm", "--tmpfs", "/t:mode=0750,uid=7,gid=8", "small", "stat", "-c", "%a %u %g", "/t")
    assert out == "750 7 8\n"


def test_two_mounts_at_one_place_are_refused(small: Rootlay) -> None:
    said = small.fails("create", "-v", "/x", "--tmpfs", "/x/", "small", "true", code=125)
    assert "duplicate mount point: /x/" in said


def test_a_volume_may_be_in_a_directory_that_the_image_does_not_have(small: Rootlay) -> None:
    script = "echo x > /new/deep/v/f; ls -d /new/deep/v/f"
    out = small.out("run", "--rm", "-v", "vol:/new/deep/v", "-v", "/n/anonymous", "small", "sh", "-c", script)
    assert out == "/new/deep/v/f\n"
    assert data(small, "vol").joinpath("f").read_text() == "x\n"


def test_more_mounts_than_the_engine_has_are_refused_before_anything_is_made(small: Rootlay, tmp_path: Path) -> None:
    def mounts(count: int) -> list[str]:
        return [word for number in range(count) for word in ("-v", f"/m/{number}")]

    assert small.out("run", "--rm", *mounts(240), "small", "sh", "-c", "ls /m | wc -l").strip() == "240"
    (tmp_path / "Dockerfile").write_text(f"FROM small\nVOLUME {json.dumps([f'/v/{n}' for n in range(3000)])}\n")
    small("build", "-t", "many", str(tmp_path))
    for words in ((*mounts(241), "small"), ("many",)):
        said = small.fails("run", "--rm", *words, "true", code=125)
        assert "a container has at most 240" in said
    assert small.out("ps", "-aq") == small.out("volume", "ls", "-q") == ""
