"""No space left, wherever a build writes: one line, no half image, no stray process or file; the next build works.

The limit on file sizes stands in for a full disk: the store's writes, the engine's and a program's fail alike. Where a
program meets a disk that is full, it is /dev/full. `tests/faults` makes each single write of the scenarios `build …`
fail with ENOSPC.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from rootlay.store.containers.containers import Containers
from rootlay.store.model.errors import FILE_LIMIT
from tests.vfs.build.conftest import Yard
from tests.vfs.build.test_interrupted import strays

pytestmark = pytest.mark.once

LIMIT_BYTES = 4 << 20  # a container of its own takes files of more than 1 MiB
LIMITED = (
    "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    f"resource.setrlimit(resource.RLIMIT_FSIZE, ({LIMIT_BYTES}, {LIMIT_BYTES})); "
    "from rootlay.cli.main import main; sys.exit(main())"
)
FULL, RUN_FAILED = 31, 61
PIECES = "for i in 1 2 3; do head -c 4000000 /dev/urandom > /piece$i; done"

CASES = {
    "copy": ("COPY big /\n", (), FULL),
    "add-a-tar": ("ADD big.tar /big/\n", (), FULL),
    "run-writes": ("RUN cat /dev/zero > /big\n", (), RUN_FAILED),
    "run-on-a-full-disk": ("RUN echo x > /dev/full\n", (), RUN_FAILED),
    "layer-of-a-run": (f"RUN {PIECES}\n", (), FULL),
    "cache-mount": ("RUN --mount=type=cache,target=/c,id=full cat /dev/zero > /c/big\n", (), RUN_FAILED),
    "bind-mount-that-is-copied": ("RUN --mount=target=/m,rw true\n", (), FULL),
    "output-tar": (f"RUN {PIECES}\n", ("-o", "type=tar,dest=out.tar"), FULL),
}


@pytest.mark.parametrize("name", CASES)
def test_no_space_left(yard: Yard, tmp_path: Path, name: str) -> None:
    text, options, code = CASES[name]
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (yard.context / "big").write_bytes(os.urandom(2 * LIMIT_BYTES))
    with tarfile.open(yard.context / "big.tar", "w") as tar:
        info = tarfile.TarInfo("inside")
        info.size = 2 * LIMIT_BYTES
        tar.addfile(info, io.BytesIO(os.urandom(info.size)))
    yard.write("Dockerfile", f"FROM base\nRUN echo {name} > /before\n{text}")
    before = {path for path in yard.store.root.rglob("*") if "staging" in path.parts}
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, "--root", str(yard.store.root), "build", "-t", "full", *options, "."],
        cwd=yard.context,
        env={**os.environ, "TMPDIR": str(scratch)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("rootlay: ")
    assert FILE_LIMIT in last if code == FULL else last.startswith("rootlay: Dockerfile:3: RUN"), done.stderr
    assert sum(line.startswith("rootlay:") for line in done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert "full:latest" not in {record.reference for record in yard.store.images()}
    assert not list(Containers(yard.store.root).iter_all())
    assert not list(scratch.iterdir())
    assert not (yard.context / "out.tar").exists()
    assert not strays(yard.store.root)
    assert {path for path in yard.store.root.rglob("*") if "staging" in path.parts} == before
    again = yard.build(f"FROM base\nRUN echo {name} > /before\nCOPY big /\n")
    assert again.notes.cached == ["RUN"]
