"""`rootlay images`: what it shows, and what one damaged image does to it."""

from __future__ import annotations

import json

from tests.cli.conftest import Rootlay
from tests.support.errorclasses import CODES


def test_whole_and_short_ids(small: Rootlay) -> None:
    [row] = json.loads(small.out("images", "--json"))
    assert small.out("images", "-q", "--no-trunc") == f"{row['id']}\n"
    assert small.out("images", "-q") == f"{row['id'].removeprefix('sha256:')[:12]}\n"
    assert row["id"] in small.out("images", "--no-trunc")
    assert row["id"] not in small.out("images")


def test_one_damaged_image_does_not_hide_the_others(small: Rootlay) -> None:
    small("create", "--name", "c", "small", "true")
    small("commit", "c", "broken")
    [row] = json.loads(small.out("images", "--json", "broken"))
    (small.root / "blobs" / "sha256" / row["digest"].removeprefix("sha256:")).write_text("{}")
    done = small("images", code=CODES["CorruptStore"])
    assert [line.split()[0] for line in done.stdout.decode().splitlines()] == ["REPOSITORY", "small"]
    [line] = done.stderr.decode().splitlines()
    assert line.startswith("rootlay: note: broken:latest is left out: ")
    assert "rootlay fsck" in line
    small("inspect", "--json", "small")
    small("run", "--rm", "small", "true")
