"""Programs that flood the hydrator of their container, while another one needs files that are not there yet."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Rootlay

FLOODS = {
    "connections that come and stay": """
held = []
while True:
    try:
        held.append(connect())
        time.sleep(0.001)
    except OSError:
        held.clear()
    if len(held) > 800:
        held.clear()
""",
    "requests without reading": """
sock = connect()
sock.setblocking(False)
while True:
    try:
        sock.send(struct.pack("<II", 0x31594852, 1) * 1000)
    except BlockingIOError:
        time.sleep(0.01)
    except OSError:
        sock = connect()
        sock.setblocking(False)
""",
    "half requests": """
held = []
while True:
    try:
        held.append(connect())
        held[-1].send(b"RH")
        time.sleep(0.001)
    except OSError:
        held.clear()
""",
}
BEGIN = """
import os, socket, struct, sys, time
os.chdir(sys.argv[1])
def connect():
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(60)
    sock.connect(sys.argv[2])
    return sock
connect()
print("ready", flush=True)
"""


@pytest.mark.parametrize("name", FLOODS)
def test_files_are_made_all_the_same(small: Rootlay, tmp_path: Path, name: str) -> None:
    """All programs of the image are asked for by one shell, whose hydrator is flooded by three processes meanwhile."""
    (tmp_path / "signal").mkdir()
    script = (
        "until [ -e /signal/go ]; do sleep 0.1; done; "
        "for f in /bin/* /etc/* /usr/share/doc/*/*; do [ -d $f ] || read x < $f || [ $? = 1 ] || echo failed $f; done"
    )
    command = [sys.executable, "-m", "rootlay.cli.main", "--root", str(small.root), "run", "--rm"]
    command += ["-v", f"{tmp_path}/signal:/signal", "small", "sh", "-c", f"{script}; echo done"]
    reader = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    floods: list[subprocess.Popen[bytes]] = []
    try:
        until = time.monotonic() + 20
        while not (found := list(small.root.glob("containers/*/launch-*"))) and time.monotonic() < until:
            time.sleep(0.01)
        place: Path = found[0]
        # They are many on few processors: what is tested is the hydrator, not the scheduler.
        flood = [
            "nice",
            "-n",
            "10",
            sys.executable,
            "-c",
            BEGIN + FLOODS[name],
            str(place.parent),
            place.name.replace("launch", "hydrate"),
        ]
        floods = [subprocess.Popen(flood, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) for _ in range(3)]
        for process in floods:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
        (tmp_path / "signal" / "go").touch()
        out, err = reader.communicate(timeout=200)
    finally:
        for process in floods:
            process.kill()
            process.communicate()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(reader.pid, signal.SIGKILL)  # its program has the pipes, too
        reader.kill()
        reader.communicate()
    assert b"Input/output error" not in err
    assert out.splitlines() == [b"done"], err[-2000:]
