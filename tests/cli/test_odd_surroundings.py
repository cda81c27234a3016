"""Odd arguments, names and surroundings, and signals at odd moments: one clear error, no traceback, nothing broken."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Rootlay
from tests.support.errorclasses import CODES


def start(root: Path | str, *words: str, **environ: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "rootlay.cli.entry", *words],
        env={**os.environ, "ROOTLAY_ROOT": str(root), **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_a_store_whose_path_is_no_utf8(small_tar: Path, tmp_path: Path) -> None:
    odd = Rootlay(tmp_path / os.fsdecode(b"st\xffore"))
    odd("import", str(small_tar), "small")
    assert odd.out("run", "--name", "c", "small", "cat", "/etc/motd") == "welcome\n"
    for words in (
        ("images",),
        ("ps", "-a"),
        ("inspect", "--json", "small", "c"),
        ("diff", "c"),
        ("fsck", "--deep"),
        ("doctor",),
    ):
        odd(*words)
    odd("save", "-o", str(tmp_path / os.fsdecode(b"\xfe.tar")), "small")
    odd("rmi", "-f", "small")
    odd("load", "-i", str(tmp_path / os.fsdecode(b"\xfe.tar")))


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("run", "-h", "a b", "small", "true"), 125, "-h a b: a host name"),
        (("run", "-h", "a\n127.0.0.1 bank", "small", "true"), 125, "a host name"),
        (("run", "-h", "x" * 65, "small", "true"), 125, "a host name"),
        (("create", "-h", os.fsdecode(b"\xff"), "small", "true"), 125, "a host name"),
        (("exec", "c", "--"), 125, "a program is needed"),
        (("cp", "c:/etc/motd", ""), 2, "cannot be empty"),
        (("cp", "", "c:/"), 2, "cannot be empty"),
        (("snapshot", "create", "c", "../x"), 18, "invalid snapshot name"),
        (("load", "--link", "-i", "/no/such"), 1, "/no/such: No such file"),
        (("save", "-o", "/dev/full", "small"), 31, "/dev/full: no space left"),
        (("export", "-o", "/dev/full", "c"), 31, "/dev/full: no space left"),
    ],
)
def test_odd_arguments(small: Rootlay, words: tuple[str, ...], code: int, says: str) -> None:
    small("create", "--name", "c", "small", "true")
    assert says in small.fails(*words, code=code)
    assert len(small.out("ps", "-aq").split()) == 1


def test_cp_does_not_replace_a_device(small: Rootlay) -> None:
    """As root it could: /dev/null would be a file from then on."""
    small("create", "--name", "c", "small", "true")
    before = os.stat("/dev/null").st_rdev
    assert "a device" in small.fails("cp", "c:/etc/motd", "/dev/null", code=1)
    assert os.stat("/dev/null").st_rdev == before


@pytest.mark.parametrize("home", [None, "/proc", "/no/such/home"])
def test_a_home_that_is_not_there_or_cannot_be_written(home: str | None, tmp_path: Path) -> None:
    environ = {key: value for key, value in os.environ.items() if key not in ("HOME", "ROOTLAY_ROOT", "XDG_DATA_HOME")}
    if home is not None:
        environ["HOME"] = home
    done = subprocess.run(
        [sys.executable, "-m", "rootlay.cli.entry", "--root", str(tmp_path / "store"), "images"],
        env=environ,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    if home is None or (home != "/proc" and os.geteuid() == 0):
        return
    done = subprocess.run(
        [sys.executable, "-m", "rootlay.cli.entry", "images"], env=environ, capture_output=True, check=False
    )
    assert done.returncode == CODES["StoreNotWritable"]
    assert len(done.stderr.splitlines()) == 1


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)
VERBS = (
    ("images",),
    ("run", "--rm", "small", "sleep", "0.1"),
    ("run", "-d", "small", "true"),
    ("import", "/nonexistent", "x"),
    ("save", "-o", "{tmp}/saved.tar", "small"),
    ("export", "-o", "{tmp}/exported.tar", "c"),
    ("commit", "c", "made"),
    ("cp", "c:/etc", "{tmp}/out"),
    ("cp", "{tmp}/big", "c:/big"),
    ("snapshot", "create", "c"),
    ("history", "--help"),
    ("prune",),
    ("build", "-q", "{tmp}/context"),
)


def test_signals_at_odd_moments(small: Rootlay, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * 3_000_000)
    (tmp_path / "context").mkdir()
    (tmp_path / "context/Dockerfile").write_text("FROM small\nRUN sleep 0.1\nCOPY . /\n")
    small("create", "--name", "c", "small", "true")
    chance = random.Random(12)
    for number in range(60 if os.environ.get("ROOTLAY_TEST_LONG") else 20):
        words = tuple(word.format(tmp=tmp_path) for word in VERBS[number % len(VERBS)])
        sent = chance.choice(SIGNALS)
        process = start(small.root, *words)
        time.sleep(chance.uniform(0.02, 0.5))
        process.send_signal(sent)
        out, err = process.communicate(timeout=60)
        # The interpreter's own start is out of our hands; the lines of a traceback in our files are not.
        assert b"rootlay/" not in err, (words, sent, err)
        assert b"Exception ignored" not in err, (words, sent, err)
        if sent == signal.SIGINT:
            assert process.returncode in (-2, 0, 1, 127, 130) or out, (words, process.returncode, err)
    for name in ("saved.tar", "exported.tar"):
        if (tmp_path / name).exists():
            subprocess.run(["tar", "-tf", str(tmp_path / name)], check=True, stdout=subprocess.DEVNULL)
    assert not [path.name for path in tmp_path.iterdir() if path.name.endswith(".partial")]
    small("fsck", "--deep", "--repair", code=None)
    small("fsck", "--deep")
    assert small.out("run", "--rm", "small", "cat", "/etc/motd") == "welcome\n"
