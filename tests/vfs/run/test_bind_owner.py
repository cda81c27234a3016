"""Binds with an owner: what is mounted is shown as theirs, and its permission bits count."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rootlay.store.containers.record import Bind
from rootlay.vfs import Store

CONNECT = """
import os, socket
at = os.stat("/tmp/agent")
print(at.st_uid, at.st_gid, oct(at.st_mode & 0o777))
try:
    socket.socket(socket.AF_UNIX).connect("/tmp/agent")
except OSError as error:
    print(error.strerror)
else:
    print("connected")
try:
    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"", "/tmp/agent")
except OSError as error:
    print(error.strerror)
"""


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with socket.socket(socket.AF_UNIX) as listener:
        with monkeypatch.context() as here:
            here.chdir(tmp_path)  # a socket's name has 107 bytes
            listener.bind("agent")
        listener.listen(9)
        yield tmp_path / "agent"


@pytest.mark.parametrize(
    ("user", "owner", "said"),
    [
        ("0:0", (5, 6, 0o600), "5 6 0o600\nconnected\nProtocol wrong type for socket\n"),
        ("5:7", (5, 6, 0o600), "5 6 0o600\nconnected\nProtocol wrong type for socket\n"),
        ("7:6", (5, 6, 0o660), "5 6 0o660\nconnected\nProtocol wrong type for socket\n"),
        ("7:6", (5, 6, 0o600), "5 6 0o600\nPermission denied\nPermission denied\n"),
        ("7:8", (5, 6, 0o664), "5 6 0o664\nPermission denied\nPermission denied\n"),
    ],
    ids=["root", "owner", "group", "not the group", "others"],
)
def test_only_whom_its_owner_and_mode_allow_may_connect_to_a_socket(
    user: str, owner: tuple[int, ...], said: str, agent: Path, tmp_path: Path
) -> None:
    host = Store.open(tmp_path / "store").image("host")
    with host.container(user=user, binds=[Bind(str(agent), "/tmp/agent", owner=owner)]) as c:
        done = c.run([sys.executable, "-c", CONNECT], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (said, "")
