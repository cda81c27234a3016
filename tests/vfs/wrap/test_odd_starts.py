"""Wrapped commands that are started in odd surroundings, or were made of a hostile image."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from rootlay.store.containers.containers import Containers
from rootlay.vfs import CannotWrap, Image, Store, UnknownUser
from rootlay.vfs.wrap.options import WrapOptions
from rootlay.vfs.wrap.wrap import find_wrapped, wrap_programs

MANY = 9_000
"""Variables: more than a table of fixed size would hold."""


@pytest.fixture
def sh(store: Store, image: Image, tmp_path: Path) -> Path:
    """A command with a throw-away upper."""
    options = WrapOptions(image.reference, upper="throw-away")
    return wrap_programs(store.root, tmp_path / "bin", ["sh", "true"], options, {}).directory / "sh"


def _run(*words: object, **variables: str) -> subprocess.CompletedProcess[str]:
    texts = [str(word) for word in words]
    return subprocess.run(texts, capture_output=True, text=True, env={"HOME": "/", **variables}, check=False)


def test_many_arguments_and_variables_arrive(sh: Path, tmp_path: Path) -> None:
    variables = {f"V{number}": "1" for number in range(MANY)}
    done = _run(sh, "-c", 'echo "$# $LAST"', "-", *range(70_000), **variables, LAST="last", TMPDIR=str(tmp_path))
    assert (done.stdout, done.stderr) == ("70000 last\n", "")


def test_the_changes_stay_while_the_program_runs_without_standard_input(sh: Path, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    script = "echo a > /made; for i in 1 2 3 4 5 6 7 8; do sleep 0.05; done; echo b > /more; cat /made /more"
    outside = '"$0" -c "$1" <&-'
    done = _run("/bin/sh", "-c", outside, sh, script, TMPDIR=str(place))
    assert (done.stdout, done.stderr) == ("a\nb\n", "")
    until = time.monotonic() + 20
    while os.listdir(place) and time.monotonic() < until:
        time.sleep(0.02)
    assert os.listdir(place) == []


def test_a_start_that_fails_leaves_nothing(sh: Path, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    hidden = sh.parent / ".rootlay"
    (hidden / "template").rename(hidden / "away")
    done = _run(sh, "-c", ":", TMPDIR=str(place))
    assert (done.returncode, done.stderr.count("\n")) == (125, 1)
    assert os.listdir(place) == []


def test_messages_hold_no_control_characters(sh: Path, tmp_path: Path) -> None:
    place = tmp_path / "\x1b[31m\nrootlay: all is well"
    sh.parent.rename(place)
    (place / ".rootlay" / "settings").unlink()
    done = _run(place / "sh")
    assert done.returncode == 125
    assert done.stderr.count("\n") == 1
    assert "\x1b" not in done.stderr


def test_a_launch_file_that_was_cut_is_written_again(store: Store, image: Image, tmp_path: Path) -> None:
    made = wrap_programs(store.root, tmp_path / "bin", ["sh"], WrapOptions(image.reference), {})
    assert _run(made.directory / "sh", "-c", "echo 1").stdout == "1\n"
    record = Containers(store.root).find(find_wrapped(made.directory).container)
    (launch,) = record.path.glob("launch-w*")
    content = launch.read_bytes()
    launch.write_bytes(b"")
    assert _run(made.directory / "sh", "-c", "echo 2").stdout == "2\n"
    assert launch.read_bytes() == content
    assert not list(record.path.glob(".launch-*"))


def test_a_user_in_more_groups_than_a_program_can_have_is_refused(store: Store, image: Image, tmp_path: Path) -> None:
    groups = "".join(f"g{number}:x:{number}:many\n" for number in range(20_000, 24_000))
    rows = {"/etc/passwd": "many:x:7:7::/:/bin/sh\n", "/etc/group": groups}
    hostile = image.add_layer(rows, "many:1")
    with pytest.raises(UnknownUser, match="4001 groups, and 64 are possible"):
        wrap_programs(store.root, tmp_path / "bin", ["sh"], WrapOptions("many:1", user="many"), {})
    with hostile.container() as container, pytest.raises(UnknownUser, match="4001 groups"):
        container.run(["true"], user="many")


def test_variables_that_fill_the_settings_work_until_a_clear_limit(store: Store, image: Image, tmp_path: Path) -> None:
    env = tuple(f"A{number}={'x' * 1000}" for number in range(200))
    made = wrap_programs(store.root, tmp_path / "bin", ["sh"], WrapOptions(image.reference, env=env), {})
    assert _run(made.directory / "sh", "-c", "echo ${#A199}").stdout == "1000\n"
    with pytest.raises(CannotWrap, match="1048575 are possible"):
        wrap_programs(
            store.root,
            tmp_path / "more",
            ["sh"],
            WrapOptions(image.reference, env=(*env, *(f"{text[0]}{n}{text[1:]}" for n in range(6) for text in env))),
            {},
        )
