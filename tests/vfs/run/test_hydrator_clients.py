"""Who may ask a hydrator: programs of the container, of others on the same image, and none of other images."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rootlay.vfs import Container, Image, Store
from rootlay.vfs.run.clients import CONTENT_MAGIC, MAGIC
from rootlay.vfs.run.livesession import LiveSession
from rootlay.vfs.run.processes import mark_for

ASK = """
import contextlib, os, resource, socket, struct, sys
mark, path, magic = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
if mark:
    resource.setrlimit(10, (mark, mark))
directory, _, name = path.rpartition("/")
directory = os.open(directory, os.O_PATH)
for entry in range(1, 80):
    with socket.socket(socket.AF_UNIX) as s, contextlib.suppress(ConnectionError):
        s.settimeout(20)
        s.connect(f"/proc/self/fd/{directory}/{name}")
        s.sendall(struct.pack("<II", magic, entry))
        sys.stdout.buffer.write(s.recv(4096))
"""
"""As a program that has left the engine, with the mark of a container."""


def ask(container: Container, mark: int, magic: int) -> bytes:
    """The answers for the first entries; empty if nothing is answered."""
    served = container._served
    assert isinstance(served, LiveSession)
    words = [sys.executable, "-c", ASK, str(mark), str(served.session.socket_path), str(magic)]
    return subprocess.run(words, capture_output=True, check=True).stdout


@pytest.fixture
def other(store: Store, tmp_path: Path) -> Image:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("other")
    return store.import_rootfs(tmp_path / "other", "other")


@pytest.mark.parametrize("magic", [MAGIC, CONTENT_MAGIC])
def test_a_program_of_another_image_gets_nothing(image: Image, other: Image, magic: int) -> None:
    with image.container() as c, image.container() as same, other.container() as foreign:
        with c.popen(["sleep", "60"]) as process:
            asked = {name: ask(c, mark_for(of.record.id), magic) for name, of in (("own", c), ("same", same))}
            assert all(asked.values())
            assert ask(c, 0, magic)  # the owner's, which has no mark
            assert ask(c, mark_for(foreign.record.id), magic) == b""
            assert ask(c, 0xABC, magic) == b""  # of no container, or of another store's
            process.kill()
        c.run(["cat", "/etc/motd"], check=True)


def test_the_answers_hold_content(image: Image) -> None:
    """The test would be void if there were nothing to get."""
    with image.container() as c, c.popen(["sleep", "60"]) as process:
        assert b"welcome" in ask(c, 0, CONTENT_MAGIC)
        process.kill()
