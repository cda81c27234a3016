"""`diff --stat`, `--summary` and `--patch`: between images, containers and snapshots."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Rootlay

CHANGE = "echo hello > /etc/motd; mv /etc/passwd /etc/people; mkdir /srv; printf 'a\\nb\\n' > /srv/new"


@pytest.fixture
def changed(small: Rootlay) -> Rootlay:
    """A container `c` with snapshots around its changes, and the image `small:2` of it."""
    small("create", "--name", "c", "small", "sh", "-c", CHANGE)
    small("snapshot", "create", "c", "before")
    small("start", "-a", "c")
    small("snapshot", "create", "c", "after")
    small("commit", "c", "small:2")
    return small


def test_the_forms_of_a_diff(changed: Rootlay, tmp_path: Path) -> None:
    patches = set()
    for states in (("c@before", "c"), ("small", "small:2"), ("c@before", "c@after"), ("small", "c")):
        shown = changed.out("diff", "--stat", "--summary", *states).splitlines()
        assert any(line.startswith(" /etc/motd") and line.endswith("2 +-") for line in shown)
        assert " 4 files changed, 5 insertions(+), 3 deletions(-)" in shown
        assert "renamed: /etc/passwd -> /etc/people" in shown
        patches.add(changed("diff", "-p", *states).stdout)
    (patch,) = patches
    assert b"-welcome\n+hello\n" in patch
    if not shutil.which("git"):
        pytest.skip("git is not installed: the patch is not applied")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/motd").write_text("welcome\n")
    (tmp_path / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nuser:x:1234:1235::/home/user:/bin/sh\n")
    subprocess.run(["git", "apply", "-"], input=patch, cwd=tmp_path, check=True)
    assert (tmp_path / "etc/motd").read_text() == "hello\n"
    assert (tmp_path / "srv/new").read_text() == "a\nb\n"
    assert not (tmp_path / "etc/passwd").exists()


def test_json_is_a_list_of_all_changes(changed: Rootlay) -> None:
    lines = changed.out("diff", "c").splitlines()
    rows = [{"kind": kind, "path": path} for kind, _, path in (line.partition(" ") for line in lines)]
    assert len(rows) > 3
    assert changed.out("diff", "--json", "c") == json.dumps(rows, indent=2) + "\n"
    assert changed.out("diff", "--json", "c@after", "c") == "[]\n"


def test_no_change_is_no_patch_and_json_is_another_form(changed: Rootlay) -> None:
    assert changed("diff", "-p", "c@after", "c").stdout == b""
    assert "only one of them" in changed.fails("diff", "--json", "--stat", "c", code=2)
