"""What others wrote never reaches the terminal as it is: each field of an image, of a container and of a file's name
holds what could move the cursor or turn the text round, every verb is run on it, and all bytes are looked at."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from tests.cli.conftest import Rootlay

EVIL = "E\x1b[31m\x07\x9b2J\r\n\x7f\u202e\u2066\u200f\x85\u2028"
EVIL_BYTES = EVIL.encode() + b"\xff\xfe\x9b"
FORBIDDEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\udc80-\udcff]")


def clean(done: subprocess.CompletedProcess[bytes]) -> None:
    for name, data in (("stdout", done.stdout), ("stderr", done.stderr)):
        text = data.decode("utf-8", "surrogateescape")
        found = FORBIDDEN.search(text)
        assert found is None, (done.args, name, text[max(0, found.start() - 80) : found.end() + 20])
        assert "Traceback" not in text, text
    for line in done.stderr.splitlines():
        assert not line.startswith(b"\xe2"), done.stderr  # a newline out of EVIL


def blob(root: Path, data: bytes) -> dict[str, object]:
    digest = hashlib.sha256(data).hexdigest()
    (root / "blobs/sha256").mkdir(parents=True, exist_ok=True)
    (root / "blobs/sha256" / digest).write_bytes(data)
    return {"digest": f"sha256:{digest}", "size": len(data)}


def layer() -> bytes:
    out = BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in ("etc/passwd", "bin/" + EVIL.replace("\n", ""), "tmp/" + EVIL):
            entry = tarfile.TarInfo(name)
            data = b"root:x:0:0::/:/bin/sh\n"
            entry.size, entry.mode = len(data), 0o755
            entry.uname = EVIL[:8]
            tar.addfile(entry, BytesIO(data))
    return out.getvalue()


def evil_layout(root: Path, *, platform: str = "amd64", name: str = "evil:1") -> Path:
    tar = layer()
    config = {
        "architecture": platform,
        "os": "linux",
        "variant": "",
        "author": EVIL,
        "created": EVIL,
        "config": {
            "Cmd": [EVIL],
            "Entrypoint": [f"/{EVIL}"],
            "Env": [f"{EVIL}={EVIL}", f"A={EVIL}"],
            "WorkingDir": f"/w{EVIL}",
            "User": f"u{EVIL}",
            "Labels": {EVIL: EVIL},
            "ExposedPorts": {EVIL: {}},
            "Volumes": {f"/{EVIL}": {}},
            "StopSignal": EVIL,
        },
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(tar).hexdigest()]},
        "history": [{"created": EVIL, "created_by": EVIL, "comment": EVIL, "author": EVIL}],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **blob(root, json.dumps(config).encode())},
        "layers": [
            {"mediaType": "application/vnd.oci.image.layer.v1.tar", **blob(root, tar), "annotations": {EVIL: EVIL}}
        ],
        "annotations": {EVIL: EVIL},
    }
    described = {
        "mediaType": manifest["mediaType"],
        **blob(root, json.dumps(manifest).encode()),
        "annotations": {"org.opencontainers.image.ref.name": name, EVIL: EVIL},
    }
    other = {
        "mediaType": f"application/{EVIL}",
        **blob(root, b"{}"),
        "platform": {"os": EVIL, "architecture": EVIL, "variant": EVIL},
        "annotations": {"org.opencontainers.image.ref.name": EVIL},
    }
    (root / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [described, other]}))
    (root / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return root


@pytest.fixture
def evil(rootlay: Rootlay, tmp_path: Path) -> Rootlay:
    (tmp_path / "oci").mkdir()
    clean(rootlay("load", "-i", str(evil_layout(tmp_path / "oci"))))
    return rootlay


IMAGE_VERBS = (
    ("images",),
    ("images", "--json"),
    ("history", "evil:1"),
    ("history", "--no-trunc", "evil:1"),
    ("history", "--json", "evil:1"),
    ("inspect", "--json", "evil:1"),
    ("run", "evil:1"),
    ("run", "-u", "0", "evil:1"),
    ("run", "-u", "0", "-w", "/", "evil:1"),
    ("run", "-u", "0", "-w", "/", "--entrypoint", "/bin/" + EVIL.replace("\n", ""), "evil:1"),
    ("run", "-u", "0", "-w", "/", "--trace", "-", "--entrypoint", EVIL, "evil:1"),
    ("run", "--name", EVIL, "evil:1"),
    ("run", "-u", EVIL, "evil:1"),
    ("run", "-w", EVIL, "evil:1"),
    ("run", "-e", EVIL, "--label", EVIL, "-v", EVIL, "evil:1"),
    ("run", "-v", f"/{EVIL}:/x", "evil:1"),
    ("run", "-p", EVIL, "evil:1"),
    ("run", "--platform", EVIL, "evil:1"),
    ("run", EVIL),
    ("run", f"./{EVIL}"),
    ("run", "-d", "-u", "0", "-w", "/", "evil:1"),
    ("create", "-l", f"{EVIL}={EVIL}", "-e", f"A={EVIL}", "evil:1", EVIL),
    ("ps", "-a"),
    ("ps", "-a", "--json"),
    ("rmi", EVIL),
    ("tag", "evil:1", EVIL),
    ("save", EVIL),
    ("save", "evil:1", "--format", EVIL),
    ("save", "evil:1", "--compression", EVIL),
    ("bundle", EVIL),
    ("optimize", "evil:1"),
    ("load", "-i", EVIL),
    ("import", EVIL, EVIL),
    ("import", "/dev/null", EVIL),
    ("build", EVIL),
    ("builder", EVIL),
    ("diff", EVIL),
    ("diff", EVIL, EVIL),
    ("cp", f"{EVIL}:/x", "."),
    ("logs", EVIL),
    ("start", EVIL, EVIL),
    ("stop", EVIL, EVIL),
    ("rm", EVIL, EVIL),
    ("rename", EVIL, EVIL),
    ("commit", EVIL, EVIL),
    ("snapshot", EVIL, EVIL),
    ("rollback", EVIL, EVIL),
    ("fork", EVIL),
    ("export", EVIL),
    ("python", EVIL, EVIL),
    ("python", "evil:1", "-c", "print(1)"),
    ("pull", EVIL),
    ("push", EVIL),
    ("login", EVIL),
    ("logout", EVIL),
    ("manifest", EVIL, EVIL),
    ("manifest", "inspect", EVIL),
    ("prune", "--dry-run"),
    ("fsck", "--deep"),
    (EVIL,),
    (f"--{EVIL}",),
    ("images", f"--{EVIL}"),
    ("logs", "-n", EVIL, "c"),
    ("--root", f"/dev/null/{EVIL}", "images"),
)


def test_no_verb_prints_what_an_image_says_as_it_is(evil: Rootlay) -> None:
    for words in IMAGE_VERBS:
        clean(evil(*words, code=None, input=b""))


def test_json_is_exact(evil: Rootlay) -> None:
    rows = json.loads(evil.out("history", "--json", "evil:1"))
    assert rows[0]["created_by"] == EVIL
    config = json.loads(evil.out("inspect", "--json", "evil:1"))[0]["config"]["config"]
    assert config["Labels"] == {EVIL: EVIL}


def test_names_of_files_in_diff_cp_and_fsck(small: Rootlay, tmp_path: Path) -> None:
    small("create", "--name", "c", "small", "true")
    source = tmp_path / "source"
    source.mkdir()
    (source / os.fsdecode(EVIL_BYTES)).touch()
    small("cp", str(source), "c:/evil")
    listing = small("diff", "c")
    clean(listing)
    assert rb"\x1b[31m\x07\x9b2J\r\n\x7f\u202e" in listing.stdout
    assert rb"\xff\xfe" in listing.stdout
    names = [row["path"] for row in json.loads(small.out("diff", "--json", "c"))]
    assert any(os.fsencode(name) == b"/evil/" + EVIL_BYTES for name in names)
    name = os.fsdecode(EVIL_BYTES)
    clean(small("cp", f"c:/nosuch{name}", str(tmp_path / "x"), code=None))
    clean(small("cp", f"c:/evil/{name}", f"/dev/null/{name}", code=None))
    clean(small("cp", f"{tmp_path}/{name}", "c:/x", code=None))
    clean(small("exec", "c", name, code=127))
    clean(small("exec", "-w", f"/etc/motd/{name}", "c", "true", code=None))
    clean(small("run", "small", name, code=127))
    clean(small("run", "small", f"./{name}", code=127))
    (small.root / os.fsdecode(EVIL_BYTES)).touch()
    (small.root / "blobs/sha256" / os.fsdecode(EVIL_BYTES)).touch()
    (small.root / "layers" / os.fsdecode(EVIL_BYTES)).mkdir()
    clean(small("fsck", code=None))
    clean(small("fsck", "--json", code=None))
    clean(small("prune", "--dry-run", code=None))
    clean(small("prune", code=None))


def test_a_trace_on_standard_error_has_no_escapes_of_the_programs_choice(small: Rootlay) -> None:
    done = small("run", "--rm", "--trace", "-", "small", "stat", "/" + EVIL, code=None)
    traced = [line for line in done.stderr.splitlines() if b"(/E" in line]
    assert traced, done.stderr
    assert all(byte >= 0x20 and byte != 0x7F for line in traced for byte in line)


DOCKERFILE = f"FROM small AS {EVIL[:1]}\nRUN true # {EVIL[1:9]}\nCOPY {EVIL[1:6]} /\n"


@pytest.mark.parametrize("text", [
    DOCKERFILE,
    f"FROM {EVIL[:9]}\n",
    f"FR{EVIL[1:9]}OM x\n",
    f"FROM small\nLABEL a{EVIL[1:9]}=b\nENV x{EVIL[1:9]}=1\nWORKDIR /{EVIL[1:9]}\n",
    f"FROM small\nCOPY --from={EVIL[1:9]} a b\n",
    f"FROM small\nRUN --mount=type={EVIL[1:9]} true\n",
    "FROM small\nCOPY a\0b /\n",
    "FROM small\nRUN true \0\n",
    'FROM small\nCOPY ["a\\u0000b", "/"]\n',
    'FROM small\nRUN ["true", "\\u0000"]\n',
    "FROM small\nRUN <<E\ntrue \0\nE\n",
    "FROM small\nONBUILD COPY a\0b /\n",
    "FROM small\nWORKDIR /a\0b\nCOPY --chown=\0 . .\n",
    "\0",
])  # fmt: skip
def test_builds_do_not_print_what_a_dockerfile_says_as_it_is(small: Rootlay, tmp_path: Path, text: str) -> None:
    (tmp_path / "Dockerfile").write_text(text)
    for progress in ("plain", "quiet"):
        clean(small("build", "--progress", progress, str(tmp_path), code=None))
    clean(small("build", "-f", f"{tmp_path}/{EVIL}", str(tmp_path), code=None))
    clean(small("build", "-t", EVIL, "--target", EVIL, "--build-arg", EVIL, str(tmp_path), code=None))
    clean(small("builder", "du"))
    clean(small("builder", "prune"))


def test_a_table_has_one_line_for_each_row(evil: Rootlay) -> None:
    for words in (("history", "--no-trunc", "evil:1"), ("history", "--format", "table {{.CreatedBy}}", "evil:1")):
        assert len(evil.out(*words).splitlines()) == 2
    evil("create", "-l", f"a={EVIL}", "--name", "c", "-u", "0", "-w", "/", "evil:1", "x")
    for form in ('table {{.Label "a"}}\t{{.ID}}', "table {{.Labels}}\t{{.ID}}"):
        assert len(evil.out("ps", "-a", "--format", form).splitlines()) == 2


def test_a_locale_that_cannot_say_it_is_no_traceback(evil: Rootlay) -> None:
    environ = {**os.environ, "ROOTLAY_ROOT": str(evil.root), "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    for words in (
        ("nosuch",),
        ("images",),
        ("run",),
        ("history", "evil:1"),
        ("inspect", "--json", "größe"),
        ("--help",),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "rootlay.cli.main", *words], env=environ, capture_output=True, check=False
        )
        assert b"Traceback" not in done.stderr, done.stderr
