"""`pull --lazy` and what runs before its layers are here."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Rootlay
from tests.support.archives.lazy import KINDS, publish
from tests.support.errorclasses import CODES
from tests.support.registry.real import RealRegistry, running
from tests.support.registry.wire import Wire

PAYLOAD = 4_000_000


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, small_tar: Path) -> Iterator[RealRegistry]:
    """Has the small root file system and a big file, as `estargz:1` and `zstd-chunked:1`."""
    scratch = tmp_path_factory.mktemp("lazy")
    big = scratch / "big"
    big.mkdir()
    (big / "payload").write_bytes(os.urandom(PAYLOAD))
    subprocess.run(["tar", "-C", str(big), "-cf", str(scratch / "big.tar"), "payload"], check=True)
    with running(scratch / "r") as found:
        for kind in KINDS:
            tars = [small_tar.read_bytes(), (scratch / "big.tar").read_bytes()]
            publish(kind, tars, f"{found.host}/{kind.replace(':', '-')}:1", scratch / kind[:4])
        yield found


@pytest.mark.parametrize("kind", ["estargz", "zstd-chunked"])
def test_a_container_starts_before_the_layers_are_here(rootlay: Rootlay, registry: RealRegistry, kind: str) -> None:
    with Wire(("127.0.0.1", registry.port)) as wire:
        name = f"{wire.host}/{kind}:1"
        said = rootlay.out("pull", "--lazy", name)
        assert "2 of 2 layers come as used" in said
        assert wire.received < 200_000
        assert rootlay.out("run", "--rm", name, "sh", "-c", "echo inside; test -s /payload; ls -l /payload").startswith(
            "inside"
        )
        assert wire.received < PAYLOAD
        assert rootlay.out("run", "--rm", name, "sh", "-c", "wc -c < /payload").strip() == str(PAYLOAD)
        assert wire.received > PAYLOAD
        # Changes and commits work as ever, on layers that are not here.
        rootlay("run", "--name", "c", name, "sh", "-c", "echo more >> /payload; rm /etc/passwd")
        assert set(rootlay.out("diff", "c").split("\n")) >= {"C /payload", "D /etc/passwd"}
        rootlay("commit", "c", "changed")
        assert rootlay.out("run", "--rm", "changed", "tail", "-c5", "/payload") == "more\n"
        rootlay.fails("push", "changed", f"{wire.host}/changed:1", code=CODES["NotFetched"])
        rootlay.fails("save", "-o", str(rootlay.root / "x"), name, code=CODES["NotFetched"])
        rootlay("fsck")
        rootlay("fsck", "--deep")
        rootlay("pull", name)
        rootlay("push", "changed", f"{wire.host}/changed:1")
    assert rootlay.out("run", "--rm", name, "cat", "/etc/hostname")
    assert "lazy" not in json.dumps(json.loads(rootlay.out("inspect", "--json", name)))
    rootlay("fsck", "--deep")


def test_the_background_fill_makes_an_ordinary_image(rootlay: Rootlay, registry: RealRegistry) -> None:
    name = f"{registry.host}/estargz:1"
    rootlay("pull", "--lazy", name)
    blobs = rootlay.root / "blobs" / "sha256"
    few = len(list(blobs.iterdir()))
    rootlay("run", "-d", "--name", "long", name, "sleep", "60")
    for _ in range(300):
        if len(list(blobs.iterdir())) == few + 2:
            break
        time.sleep(0.1)
    registry.kill()
    try:
        assert rootlay.out("exec", "long", "sh", "-c", "wc -c < /payload").strip() == str(PAYLOAD)
        assert rootlay.out("run", "--rm", name, "sh", "-c", "wc -c < /payload").strip() == str(PAYLOAD)
    finally:
        registry.start()
        rootlay("rm", "-f", "long")
    rootlay("save", "-o", str(rootlay.root.parent / "x.tar"), name)


def test_offline_is_an_error_inside_and_one_line(rootlay: Rootlay, registry: RealRegistry) -> None:
    with Wire(("127.0.0.1", registry.port)) as wire:
        name = f"{wire.host}/estargz:1"
        rootlay("pull", "--lazy", name)
        rootlay("run", "--rm", name, "sh", "-c", "true")
    done = rootlay("run", "--rm", name, "sh", "-c", "cat /payload || exit 7", code=7)
    lines = done.stderr.decode().splitlines()
    assert any("Input/output error" in line or "I/O error" in line for line in lines)
    [said] = [line for line in lines if line.startswith("rootlay: ")]
    assert "not in the store yet" in said
    assert "rootlay pull" in said
    line = rootlay.fails("cp", "x:/payload", "/dev/null", code=CODES["UnknownContainer"])
    assert "no such container" in line
