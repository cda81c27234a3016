"""`rootlay fsck` on the command line: exit codes of fsck(8), text and JSON, and stores that are in use."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.cli.conftest import Rootlay


def index_of(rootlay: Rootlay) -> Path:
    return next((rootlay.root / "layers").glob("*/index.lmdb"))


def test_exit_codes_tell_clean_repaired_and_damaged_apart(small: Rootlay) -> None:
    assert small.out("fsck", "--deep") == "nothing wrong was found\n"
    os.truncate(index_of(small), 5000)
    assert "layer-damaged: layers/" in small.out("fsck", code=4)
    assert "[rebuilt]" in small.out("fsck", "--repair", code=1)
    assert small.out("fsck", "--deep") == "nothing wrong was found\n"
    for blob in (small.root / "blobs" / "sha256").iterdir():
        if blob.stat().st_size > 100_000:
            blob.unlink()
    assert "image-incomplete: small:latest: " in small.out("fsck", "--repair", code=4)


def test_json_has_findings_and_quarantine(small: Rootlay) -> None:
    (small.root / "stray").write_text("mine")
    found = json.loads(small.out("fsck", "--repair", "--json", code=1))
    [row] = found["findings"]
    assert (row["code"], row["place"], row["status"], row["damage"]) == ("unknown-file", "stray", "quarantined", True)
    [kept] = found["quarantine"]
    assert Path(kept["kept"]).read_text() == "mine"
    assert json.loads(small.out("fsck", "--json"))["quarantine"] == [kept]
    assert kept["kept"] in small.out("fsck")


def test_a_store_that_is_not_there_is_not_made(rootlay: Rootlay) -> None:
    assert "no store at" in rootlay.fails("fsck", code=1)
    assert not rootlay.root.exists()


def test_all_that_the_verbs_leave_is_sound(small: Rootlay, tmp_path: Path) -> None:
    small(
        "run",
        "--name",
        "c",
        "small",
        "sh",
        "-c",
        "echo x > /new; rm -r /usr/share/doc; mkdir /usr/share/doc; ln /new /l",
    )
    small("run", "-d", "--name", "r", "small", "sh", "-c", "while :; do echo x > /f; mv /f /g; done")
    try:
        use_many_verbs(small, tmp_path)
    finally:
        small("rm", "-f", "r")
    small("rm", "-f", "c", "d", "b")
    small("prune")
    assert small.out("fsck", "--deep", "--repair") == "nothing wrong was found\n"


def use_many_verbs(small: Rootlay, tmp_path: Path) -> None:
    small("snapshot", "create", "c", "s")
    small("start", "c")
    small("fork", "c@s", "--name", "d")
    small("commit", "c", "next")
    small("run", "--rm", "next", "cat", "/new")
    small("optimize", "small")
    small("bundle", "next", "-o", str(tmp_path / "next.rlay"))
    small("run", "--name", "b", str(tmp_path / "next.rlay"), "cat", "/new")
    for _ in range(3):
        assert small.out("fsck", "--deep") == "nothing wrong was found\n"
