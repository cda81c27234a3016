"""What rootlay makes, other tools read, and the other way round: trees compared entry by entry.

Oracles: skopeo, umoci, podman where they are installed; a missing one is named by the skip.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.cli.conftest import Rootlay

pytestmark = pytest.mark.oracles

CHANGE = (
    "echo new > /etc/motd; rm -r /usr/share/doc/one; mv /usr/share/doc/two /usr/share/doc/three;"
    "rm -r /var/empty; mkdir /var/empty; chown 12:34 /etc/passwd; chmod 4755 /script; ln -s a /symlink;"
    "echo h > /h1; ln /h1 /h2; mkfifo /fifo; touch -d @1000000000 /etc/group;"
    "mkdir -p /deep/er; chmod 700 /deep; chown 5 /deep/er"
)


def need(tool: str) -> None:
    if not shutil.which(tool):
        pytest.skip(f"{tool} is not installed")


def tar_tree(path: Path) -> dict[str, tuple[object, ...]]:
    """Path -> (type, mode, uid, gid, size, link target, content hash, mtime of files) of a tar."""
    found: dict[str, tuple[object, ...]] = {}
    inodes: dict[str, str] = {}
    with tarfile.open(path) as tar:
        for entry in tar:
            name = "/" + entry.name.removeprefix("./").strip("/.") if entry.name not in (".", "./", "") else "/"
            name = "/" + os.path.normpath(entry.name).lstrip("/") if name != "/" else name
            content = tar.extractfile(entry) if entry.isreg() else None
            digest = hashlib.sha256(content.read()).hexdigest() if content else ""
            if entry.islnk():
                target = "/" + os.path.normpath(entry.linkname).lstrip("/")
                found[name] = found[target]
                inodes[name] = target
                continue
            kind = entry.type if not entry.isreg() else tarfile.REGTYPE
            mtime = int(entry.mtime) if entry.isreg() else None
            size = entry.size if entry.isreg() else 0
            found[name] = (kind, entry.mode & 0o7777, entry.uid, entry.gid, size, entry.linkname, digest, mtime)
    return found


def bundle_tree(root: Path) -> dict[str, tuple[object, ...]]:
    """The same of an unpacked root, as root."""
    kinds = {
        stat.S_IFREG: tarfile.REGTYPE,
        stat.S_IFDIR: tarfile.DIRTYPE,
        stat.S_IFLNK: tarfile.SYMTYPE,
        stat.S_IFIFO: tarfile.FIFOTYPE,
    }
    found: dict[str, tuple[object, ...]] = {}
    for directory, directories, files in os.walk(root):
        for path in [Path(directory), *(Path(directory) / name for name in (*directories, *files))]:
            info = path.lstat()
            regular = stat.S_ISREG(info.st_mode)
            link = os.readlink(path) if path.is_symlink() else ""
            digest = hashlib.sha256(path.read_bytes()).hexdigest() if regular else ""
            mode = 0o777 if path.is_symlink() else stat.S_IMODE(info.st_mode)
            name = "/" + str(path.relative_to(root)).removeprefix(".")
            found[name] = (
                kinds[stat.S_IFMT(info.st_mode)],
                mode,
                info.st_uid,
                info.st_gid,
                info.st_size if regular else 0,
                link,
                digest,
                int(info.st_mtime) if regular else None,
            )
    return found


@pytest.fixture
def changed(small: Rootlay, tmp_path: Path) -> tuple[Rootlay, dict[str, tuple[object, ...]]]:
    """A committed image with every kind of change, and the tree that `export` of the container says it has."""
    small("run", "--name", "c", "small", "sh", "-c", CHANGE)
    small("export", "-o", str(tmp_path / "c.tar"), "c")
    small("commit", "-m", "changed", "-c", "CMD sh", "c", "changed")
    return small, tar_tree(tmp_path / "c.tar")


def test_commit_applies_the_instructions_that_docker_applies(small: Rootlay) -> None:
    small("create", "--name", "c", "-e", "A=1", "small", "true")
    changes = (
        "HEALTHCHECK --interval=5s --retries=2 CMD echo a", "onbuild RUN echo b", 'CMD ["d"]', 'ENTRYPOINT ["e", "f"]',
        "ENV B=$A C='x y'", "EXPOSE 8000-8001", "LABEL l=m", "STOPSIGNAL 2", "USER u", 'VOLUME ["/v", "/w"]',
        "WORKDIR r",
    )  # fmt: skip
    small("commit", *(word for change in changes for word in ("-c", change)), "c", "made")
    config = json.loads(small.out("inspect", "-f", "{{json .Config}}", "made"))
    assert config["Healthcheck"] == {"Test": ["CMD-SHELL", "echo a"], "Interval": 5 * 10**9, "Retries": 2}
    assert config["OnBuild"] == ["RUN echo b"]
    assert (config["Entrypoint"], config["Cmd"]) == (["e", "f"], ["d"])
    assert {"A=1", "B=1", "C=x y"} <= set(config["Env"])
    assert config["ExposedPorts"] == {"8000/tcp": {}, "8001/tcp": {}}
    assert config["Labels"]["l"] == "m"
    assert (config["StopSignal"], config["User"], config["WorkingDir"]) == ("2", "u", "/r")
    assert set(config["Volumes"]) == {"/v", "/w"}
    for change in ('SHELL ["a"]', "RUN x", "MAINTAINER x", "ARG a=b", "COPY a b"):
        assert f"{change.split()[0]}: is not a valid change" in small.fails("commit", "-c", change, "c", code=25)
    for change in ("FOO a", "ONBUILD ONBUILD RUN a", "EXPOSE 80/xx", "LABEL a", ""):
        assert repr(change) in small.fails("commit", "-c", change, "c", code=25)


def test_export_equals_the_export_of_the_committed_image(
    changed: tuple[Rootlay, dict[str, tuple[object, ...]]], tmp_path: Path
) -> None:
    rootlay, tree = changed
    rootlay("create", "--name", "d", "changed", "true")
    rootlay("export", "-o", str(tmp_path / "d.tar"), "d")
    assert tar_tree(tmp_path / "d.tar") == tree
    assert tree["/etc/passwd"][2:4] == (12, 34)
    assert tree["/script"][1] == 0o4755
    assert "/usr/share/doc/one" not in tree
    assert "/usr/share/doc/two" not in tree
    assert tree["/usr/share/doc/three/readme"][4] == 4


def test_hard_links_carry_the_files_attributes(
    changed: tuple[Rootlay, dict[str, tuple[object, ...]]], tmp_path: Path
) -> None:
    """containers/storage applies what a hard link's header says to the file: podman showed mode 0 here once."""
    rootlay, tree = changed
    rootlay("save", "-o", str(tmp_path / "saved.tar"), "changed")
    links = []
    with tarfile.open(tmp_path / "saved.tar") as archive:
        for layer in (member for member in archive if member.name.endswith(".tar")):
            content = archive.extractfile(layer)
            assert content is not None
            with tarfile.open(fileobj=content) as tar:
                links += [entry for entry in tar if entry.islnk() and entry.name == "h2"]
    assert [(entry.mode, int(entry.mtime)) for entry in links] == [(tree["/h1"][1], tree["/h1"][7])]


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive", "oci-dir"])
def test_what_is_saved_loads_again_with_the_same_image(
    changed: tuple[Rootlay, dict[str, tuple[object, ...]]], tmp_path: Path, form: str
) -> None:
    rootlay, tree = changed
    rootlay("save", "--format", form, "-o", str(tmp_path / "saved"), "changed")
    other = Rootlay(tmp_path / "other")
    other("load", "-i", str(tmp_path / "saved"))
    other("create", "--name", "d", "changed", "true")
    other("export", "-o", str(tmp_path / "d.tar"), "d")
    assert tar_tree(tmp_path / "d.tar") == tree
    assert (
        json.loads(other.out("inspect", "--json", "changed"))[0]["id"]
        == json.loads(rootlay.out("inspect", "--json", "changed"))[0]["id"]
    )


def test_skopeo_reads_the_store_itself_and_its_copies_load(
    changed: tuple[Rootlay, dict[str, tuple[object, ...]]], tmp_path: Path
) -> None:
    need("skopeo")
    rootlay, tree = changed
    for number, target in enumerate((f"oci:{tmp_path}/oci:changed", f"docker-archive:{tmp_path}/d.tar:changed:latest")):
        subprocess.run(
            [
                "skopeo",
                "--insecure-policy",
                "--tmpdir",
                str(tmp_path),
                "copy",
                "-q",
                f"oci:{rootlay.root}:changed:latest",
                target,
            ],
            check=True,
        )
        other = Rootlay(tmp_path / f"other{number}")
        other("load", "-i", target.split(":")[1])
        other("create", "--name", "d", "changed", "true")
        other("export", "-o", str(tmp_path / f"{number}.tar"), "d")
        assert tar_tree(tmp_path / f"{number}.tar") == tree


@pytest.mark.needs_root("umoci keeps owners only then")
def test_umoci_unpacks_the_same_tree(changed: tuple[Rootlay, dict[str, tuple[object, ...]]], tmp_path: Path) -> None:
    need("umoci")
    need("skopeo")
    rootlay, tree = changed
    # umoci of Debian 13 does not read zstd layers; by way of a docker-archive skopeo makes gzip of them.
    plain = f"docker-archive:{tmp_path}/plain.tar"
    for source, target in (
        (f"oci:{rootlay.root}:changed:latest", f"{plain}:x:1"),
        (plain, f"oci:{tmp_path}/oci:changed"),
    ):
        copy = ["skopeo", "--insecure-policy", "--tmpdir", str(tmp_path), "copy", "-q", source, target]
        subprocess.run(copy, check=True)
    subprocess.run(
        ["umoci", "unpack", "--image", f"{tmp_path}/oci:changed", str(tmp_path / "bundle")],
        check=True,
        capture_output=True,
    )
    assert bundle_tree(tmp_path / "bundle" / "rootfs") == tree


def test_images_with_whiteouts_made_by_umoci_load(small: Rootlay, tmp_path: Path) -> None:
    """Three layers by another tool: a whiteout, and an opaque directory."""
    need("umoci")
    layout = tmp_path / "layout"

    def umoci(*words: str) -> None:
        subprocess.run(["umoci", *words], check=True, capture_output=True)

    umoci("init", "--layout", str(layout))
    umoci("new", "--image", f"{layout}:x")
    for number, content in enumerate(({"a/one": "1", "a/two": "2", "b/keep": "k", "b/drop": "d"}, {"a/three": "3"})):
        source = tmp_path / f"s{number}"
        for name, text in content.items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_text(text)
        options = ["--opaque"] if number else []
        for top in sorted(path.name for path in source.iterdir()):
            umoci("insert", "--rootless", *options, "--image", f"{layout}:x", str(source / top), f"/{top}")
    umoci("insert", "--rootless", "--whiteout", "--image", f"{layout}:x", "/b/drop")
    small("load", "-i", str(layout))
    small("create", "--name", "u", "x", "true")
    small("export", "-o", str(tmp_path / "u.tar"), "u")
    files = {name: entry[4] for name, entry in tar_tree(tmp_path / "u.tar").items() if entry[0] == tarfile.REGTYPE}
    assert files == {"/a/three": 1, "/b/keep": 1}
    assert len(json.loads(small.out("inspect", "--json", "x"))[0]["diff_ids"]) == 4
    need("skopeo")
    archive = f"docker-archive:{tmp_path}/x.tar:again:1"
    copy = ["skopeo", "--insecure-policy", "--tmpdir", str(tmp_path), "copy", "-q", f"oci:{layout}:x", archive]
    subprocess.run(copy, check=True)
    small("load", "-i", str(tmp_path / "x.tar"))
    small("create", "--name", "v", "again:1", "true")
    small("export", "-o", str(tmp_path / "v.tar"), "v")
    assert tar_tree(tmp_path / "v.tar") == tar_tree(tmp_path / "u.tar")
    assert (
        json.loads(small.out("inspect", "--json", "again:1"))[0]["chain_id"]
        == json.loads(small.out("inspect", "--json", "x"))[0]["chain_id"]
    )


def test_commit_stores_how_the_container_was_created(small: Rootlay) -> None:
    small(
        "run", "--name", "c", "-e", "A=b", "-w", "/tmp", "-u", "7:8", "--label", "k=v", "--expose", "80",
        "--stop-signal", "INT", "-v", "/v", "--health-cmd", "true", "--health-retries", "2", "small", "sh", "-c",
        "exit 0",
    )  # fmt: skip
    small("commit", "-c", "LABEL l=w", "c", "made")
    config = json.loads(small.out("image", "inspect", "made"))[0]["Config"]
    base = json.loads(small.out("image", "inspect", "small"))[0]["Config"]
    assert config["Env"] == [*(base["Env"] or []), "A=b"]
    assert (config["WorkingDir"], config["User"], config["Cmd"]) == ("/tmp", "7:8", ["sh", "-c", "exit 0"])
    assert (config["Labels"], config["ExposedPorts"]) == ({"k": "v", "l": "w"}, {"80/tcp": {}})
    assert (config["StopSignal"], config["Volumes"]) == ("INT", {"/v": {}})
    assert config["Healthcheck"] == {"Test": ["CMD-SHELL", "true"], "Retries": 2}
    small("rm", "-v", "c")
    small("run", "--name", "c", "--entrypoint", "echo", "made", "new")
    small("commit", "c", "again")
    assert small.out("run", "--rm", "again") == "new\n"
    small("rm", "c")
    small("rmi", "made", "again")


def test_commit_is_small_and_does_not_depend_on_the_image(debian: Rootlay) -> None:
    name = f"commit-{os.getpid()}"
    debian("run", "--name", name, "debian", "sh", "-c", "echo x > /etc/motd")
    debian("commit", name, name)
    manifest = json.loads(debian.out("inspect", "--json", "--type", "image", name))[0]["manifest"]
    assert manifest["layers"][-1]["size"] < 4096
    debian("rm", name)
    debian("rmi", name)
