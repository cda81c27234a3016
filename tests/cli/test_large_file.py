"""A file of more than 4 GiB in a layer: import, run, commit, save, load, push, pull, lazy pull, bundle.

The short form's file is nearly all holes, in the tar as well; the long form (ROOTLAY_TEST_LONG) has all its content
there, and takes some minutes and 30 GB.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.cli.conftest import Rootlay
from tests.support.archives.lazy import copy
from tests.support.registry.real import RealRegistry, running

pytestmark = [pytest.mark.slow, pytest.mark.long_form, pytest.mark.once]

SIZE = (4 << 30) + 10
END, MORE = "the end\n", "more\n"
KINDS = ["holes", *(["content"] if os.environ.get("ROOTLAY_TEST_LONG") else [])]
CHUNKED = ("--dest-compress-format", "zstd:chunked", "--dest-compress-level", "1")
TIMEOUT_S = 1200


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RealRegistry]:
    with running(tmp_path / "registry") as found:
        yield found


def source(tmp_path: Path, small_tar: Path, kind: str) -> Path:
    """The small root file system and `/large`."""
    large = tmp_path / "large"
    with open(large, "wb") as stream:
        # Not only zeros: what shrinks a thousandfold is taken for a bomb.
        for at in range(0, SIZE if kind == "content" else 1, 1 << 20):
            stream.seek(at)
            stream.write(os.urandom(8192))
        stream.seek(SIZE - len(END))
        stream.write(END.encode())
        stream.truncate(SIZE)
    tar, more = tmp_path / "image.tar", tmp_path / "more.tar"
    shutil.copyfile(small_tar, tar)
    sparse = ["-S"] if kind == "holes" else []
    subprocess.run(["tar", "-C", tmp_path, *sparse, "-cf", more, "large"], check=True)
    subprocess.run(["tar", "-Af", tar, more], check=True)  # GNU tar does not append sparse files
    for path in (large, more):
        path.unlink()
    return tar


def check(rootlay: Rootlay, image: str, size: int, end: str) -> None:
    """The file as a program inside sees it, which reads all of it once; the store is of no more use afterwards."""
    lines = end.count("\n")
    said = rootlay.out(
        "run", "--rm", image, "sh", "-c", f"stat -c %s /large; tail -n {lines} /large | tail -c {len(end)}",
        timeout_s=TIMEOUT_S,
    )  # fmt: skip
    assert said == f"{size}\n{end}"
    shutil.rmtree(rootlay.root)


@pytest.mark.timeout(3000)
@pytest.mark.parametrize("kind", KINDS)
def test_a_large_file(small_tar: Path, registry: RealRegistry, tmp_path: Path, kind: str) -> None:
    one, two, three, four = (Rootlay(tmp_path / name) for name in ("1", "2", "3", "4"))
    do = partial(one, timeout_s=TIMEOUT_S)
    do("import", str(source(tmp_path, small_tar, kind)), "app")
    # A copy-up of the holes would write them all: the short form leaves the file alone.
    changed = "large" if kind == "content" else "more"
    do("run", "--name", "c", "app", "sh", "-c", f"test $(stat -c %s /large) = {SIZE} && echo more >> /{changed}")
    assert one.out("diff", "c").endswith(f" /{changed}\n")
    do("commit", "c", "app:2")
    docker, bundle, place = tmp_path / "docker.tar", tmp_path / "app.rlay", f"{registry.host}/large"
    do("push", "app:2", f"{place}:2")
    do("save", "app:2", "-o", str(docker))
    do("bundle", "app:2", "-o", str(bundle))
    [image] = json.loads(one.out("inspect", "--json", "app:2"))
    check(one, "app", SIZE, END)

    size, end = (SIZE + len(MORE), END + MORE) if changed == "large" else (SIZE, END)
    two("load", "-i", str(docker), timeout_s=TIMEOUT_S)
    three("pull", f"{place}:2", timeout_s=TIMEOUT_S)
    for other, name in ((two, "app:2"), (three, f"{place}:2")):
        assert json.loads(other.out("inspect", "--json", name))[0]["id"] == image["id"]
        if kind == "content":  # it takes its time, and the digests have been verified
            check(other, name, size, end)
    check(four, str(bundle), size, end)
    if kind == "content":  # by skopeo, which would make content of the holes
        copy(tmp_path, f"docker-archive:{docker}", f"docker://{place}:lazy", *CHUNKED)
        assert "layers come as used" in four.out("pull", "--lazy", f"{place}:lazy", timeout_s=TIMEOUT_S)
        check(four, f"{place}:lazy", size, end)
