"""Bad input gets one clear line and a code of its own, and leaves the store as it was."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.cli.conftest import Rootlay
from tests.support.errorclasses import CODES


def snapshot(root: Path) -> dict[str, str]:
    """Everything in a store but locks, views (rebuilt at will) and events: path -> digest, link target or type."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if name.split("/")[0] in ("locks", "views") or name in ("containers/names", "containers/lock", "events.log"):
            continue
        if path.is_symlink():
            found[name] = os.readlink(path)
        else:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "directory"
    return found


def tar_of(*entries: tuple[str, bytes | None, dict[str, object]]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content, fields in entries:
            entry = tarfile.TarInfo(name)
            entry.size = len(content or b"")
            for key, value in fields.items():
                setattr(entry, key, value)
            tar.addfile(entry, io.BytesIO(content or b""))
    return out.getvalue()


GOOD = tar_of(("etc/", None, {"type": tarfile.DIRTYPE, "mode": 0o755}), ("etc/motd", b"x" * 100_000, {}))


def docker_archive(layer: bytes, *, diff_id: str | None = None) -> bytes:
    real = "sha256:" + hashlib.sha256(layer).hexdigest()
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [diff_id or real]},
        }
    ).encode()
    manifest = json.dumps([{"Config": "config.json", "RepoTags": ["bad:1"], "Layers": ["layer.tar"]}]).encode()
    return tar_of(("config.json", config, {}), ("layer.tar", layer, {}), ("manifest.json", manifest, {}))


@pytest.mark.parametrize(
    ("name", "content", "error", "says"),
    [
        ("truncated.tar", GOOD[:60_000], "TruncatedArchive", "truncated.tar"),
        ("truncated.tar.gz", gzip.compress(GOOD)[:-40], "TruncatedArchive", "truncated.tar.gz"),
        ("text.tar", b"this is no archive, whatever its name says\n" * 50, "NotAnArchive", "text.tar"),
        ("empty.tar", b"", "NotAnArchive", "empty.tar"),
        ("dots.tar", tar_of(("../../escape", b"x", {})), "UnsafePath", "../../escape"),
        (
            "hardlink.tar",
            tar_of(("a", b"", {"type": tarfile.LNKTYPE, "linkname": "../../etc/passwd"})),
            "UnsafePath",
            "etc/passwd",
        ),
    ],
)
def test_a_bad_archive_is_named_and_nothing_is_kept(
    small: Rootlay, tmp_path: Path, name: str, content: bytes, error: str, says: str
) -> None:
    (tmp_path / name).write_bytes(content)
    before = snapshot(small.root)
    assert says in small.fails("import", str(tmp_path / name), "bad", code=CODES[error])
    assert snapshot(small.root) == before


def test_an_absolute_link_is_kept_as_text_and_leads_nowhere_outside(rootlay: Rootlay, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("outside")
    (tmp_path / "a.tar").write_bytes(
        tar_of(
            ("out", None, {"type": tarfile.SYMTYPE, "linkname": str(tmp_path)}),
            ("out/secret", b"inside", {}),
            ("/abs", b"abs", {}),
        )
    )
    rootlay("import", str(tmp_path / "a.tar"), "a")
    rootlay("create", "--name", "c", "a", "x")
    rootlay("cp", "c:/out/secret", str(tmp_path / "got"))
    assert (tmp_path / "got").read_text() == "inside"
    assert secret.read_text() == "outside"


def test_wrong_diff_id(small: Rootlay, tmp_path: Path) -> None:
    path = tmp_path / "wrong.tar"
    path.write_bytes(docker_archive(GOOD, diff_id="sha256:" + "0" * 64))
    before = snapshot(small.root)
    line = small.fails("load", "-i", str(path), code=CODES["DigestMismatch"])
    assert "0000000000" in line
    assert snapshot(small.root) == before
    path.write_bytes(docker_archive(GOOD))
    assert "bad:1" in small.out("load", "-i", str(path))


def test_wrong_digest_in_an_oci_layout(small: Rootlay, tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    small("save", "--format", "oci-dir", "-o", str(layout), "small")
    other = Rootlay(tmp_path / "other")
    blobs = sorted((layout / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
    data = bytearray(blobs[-1].read_bytes())
    data[len(data) // 2] ^= 1
    blobs[-1].chmod(0o644)
    blobs[-1].write_bytes(data)
    other.fails("load", "-i", str(layout), code=CODES["DigestMismatch"])
    assert other.out("images", "-q") == ""


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["run", "nope", "true"], 125),
        (["create", "nope", "true"], 125),
        (["start", "nope"], 125),
        (["exec", "nope", "true"], 125),
        (["run", "--rm", "-u", "stranger", "small", "true"], 125),
        (["run", "--rm", "-v", "/no/such/thing:/x", "small", "true"], 125),
        (["run", "--rm", "-v", "x", "small", "true"], 125),
        (["run", "--rm", "--lower", "/no/such", "--", "true"], 125),
        (["run", "--rm", "small"], 125),
        (["run", "--rm", "BAD:::ref", "true"], 125),
        (["history", "nope"], CODES["UnknownImage"]),
        (["rmi", "nope"], CODES["UnknownImage"]),
        (["tag", "small", "UPPER CASE"], CODES["BadReference"]),
        (["rm", "nope"], CODES["UnknownContainer"]),
        (["diff", "nope"], CODES["UnknownContainer"]),
        (["load", "-i", "/no/such/file"], 1),
        (["import", "/no/such/file", "x"], 1),
    ],
)
def test_what_is_not_there_is_named(small: Rootlay, words: list[str], code: int) -> None:
    before = snapshot(small.root)
    line = small.fails(*words, code=code)
    assert "Traceback" not in line
    assert snapshot(small.root) == before


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--nope"], 2, "--nope"),
        (["images", "--nope"], 2, "--nope"),
        (["frobnicate"], 2, "frobnicate"),
        (["run", "--nope", "small"], 125, "--nope"),
        (["exec"], 125, "CONTAINER"),
    ],
)
def test_a_wrong_command_line_says_what_is_wrong(small: Rootlay, words: list[str], code: int, says: str) -> None:
    done = small(*words, code=code)
    assert says in done.stderr.decode()
    assert b"Traceback" not in done.stderr


def test_a_name_in_use_and_an_image_in_use(small: Rootlay) -> None:
    small("create", "--name", "c", "small", "true")
    small.fails("create", "--name", "c", "small", "true", code=125)
    small.fails("rmi", "small", code=CODES["ImageInUse"])
    small("rmi", "-f", "small")
    assert small.out("start", "-a", "c") == ""
    small("commit", "c", "again")
    assert small.out("run", "--rm", "again", "cat", "/etc/motd") == "welcome\n"


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write everywhere")
def test_a_store_that_cannot_be_written(small: Rootlay, small_tar: Path, tmp_path: Path) -> None:
    for path in (small.root, *(p for p in small.root.rglob("*") if p.is_dir() and not p.is_symlink())):
        path.chmod(0o500)
    before = snapshot(small.root)
    try:
        small.fails("import", str(small_tar), "x", code=CODES["StoreNotWritable"])
        small.fails("run", "--rm", "small", "true", code=125)
        assert snapshot(small.root) == before
        assert "small" in small.out("images"), "reading still works"
    finally:
        for path in (small.root, *(p for p in small.root.rglob("*") if p.is_dir() and not p.is_symlink())):
            path.chmod(0o700)
    nowhere = Rootlay(Path("/proc/rootlay-store"))
    nowhere.fails("import", str(small_tar), "x", code=CODES["StoreNotWritable"])


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Path:
    """A directory on a full-able file system: tmpfs mounted by root, or by bwrap in a namespace of its own."""
    if not shutil.which("bwrap"):
        pytest.skip("bubblewrap is not installed")
    if subprocess.run(["bwrap", "--bind", "/", "/", "true"], capture_output=True, check=False).returncode:
        pytest.skip("bubblewrap may not make namespaces here")
    target = tmp_path / "disk"
    target.mkdir()
    return target


def test_a_full_disk(small_tar: Path, tiny_disk: Path) -> None:
    import sys

    script = (
        f'set -u; r() {{ {sys.executable} -m rootlay.cli.main --root {tiny_disk}/store "$@"; }}; '
        f"r import {small_tar} first; echo $?; ls {tiny_disk}/store/tmp | wc -l; r images -q | wc -l"
    )
    done = subprocess.run(
        ["bwrap", "--dev-bind", "/", "/", "--size", str(600 * 1024), "--tmpfs", str(tiny_disk), "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == [str(CODES["DiskFull"]), "0", "0"], (done.stdout, done.stderr)
    assert len(done.stderr.splitlines()) == 1
    assert str(tiny_disk) in done.stderr


def test_an_unsupported_architecture(small: Rootlay, tmp_path: Path) -> None:
    """A program of another machine is refused by name; it is never handed to the kernel."""
    elf = bytearray(Path("/bin/true").read_bytes())
    elf[18:20] = (243).to_bytes(2, "little")  # e_machine: RISC-V
    (tmp_path / "foreign").write_bytes(elf)
    (tmp_path / "foreign").chmod(0o755)
    done = small("run", "--rm", "-v", f"{tmp_path}:/x", "small", "/x/foreign", code=126)
    assert b"foreign" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_multi_platform_image_without_ours(small: Rootlay, tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    small("save", "--format", "oci-dir", "-o", str(layout), "small")
    index = json.loads((layout / "index.json").read_text())
    inner = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [{**index["manifests"][0], "platform": {"os": "linux", "architecture": "s390x"}}],
        }
    ).encode()
    digest = hashlib.sha256(inner).hexdigest()
    (layout / "blobs" / "sha256" / digest).write_bytes(inner)
    index["manifests"] = [
        {"mediaType": "application/vnd.oci.image.index.v1+json", "digest": f"sha256:{digest}", "size": len(inner)}
    ]
    (layout / "index.json").write_text(json.dumps(index))
    assert "s390x" in small.fails("load", "-i", str(layout), code=CODES["WrongPlatform"])


def test_limits_are_options_and_have_a_code_of_their_own(rootlay: Rootlay, tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.tar.gz"
    bomb.write_bytes(gzip.compress(tar_of(("zeros", bytes(3 << 20), {}))))
    line = rootlay.fails("import", "--max-size", "2m", str(bomb), "bomb", code=CODES["TooLarge"])
    assert "--max-size" in line
    rootlay.fails("import", "--max-size", "lots", str(bomb), "bomb", code=2)
    rootlay.fails("import", "--max-entries", "0", str(bomb), "bomb", code=2)
    rootlay("import", "--max-size", "4m", "--max-entries", "2", "--max-ratio", "1", str(bomb), "bomb")
