"""Programs that start at the same time and lack an image: one of them pulls it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.cli.conftest import Rootlay
from tests.support.registry.real import running

STARTS = 8


def test_many_starts_pull_an_image_once(small: Rootlay, tmp_path: Path) -> None:
    with running(tmp_path / "registry") as registry:
        name = f"{registry.host}/team/small:1"
        small("push", "small", name)
        before = registry.seen
        words = (sys.executable, "-m", "rootlay.cli.main", "--root", str(tmp_path / "node"), "run", "--rm", name)
        programs = [
            subprocess.Popen((*words, "cat", "/etc/motd"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(STARTS)
        ]
        said = [program.communicate(timeout=120) for program in programs]
        assert [out for out, _ in said] == ["welcome\n"] * STARTS, said
        assert sum("Pulled image" in err for _, err in said) == 1
        seen = registry.exchanges(before)
        assert len(registry.blobs_fetched(before)) == 2, seen  # the config and the layer
        assert sum("/manifests/" in exchange.path for exchange in seen) == 1, seen


def test_one_that_fails_leaves_the_pull_to_the_next(small: Rootlay, tmp_path: Path) -> None:
    with running(tmp_path / "registry") as registry:
        name = f"{registry.host}/team/none:1"
        node = Rootlay(tmp_path / "node")
        words = (sys.executable, "-m", "rootlay.cli.main", "--root", str(node.root), "run", "--rm", name, "true")
        programs = [subprocess.Popen(words, stderr=subprocess.PIPE, text=True) for _ in range(3)]
        for program in programs:
            assert "no such" in program.communicate(timeout=120)[1] or program.returncode == 125
        small("push", "small", name)
        assert node.out("run", "--rm", name, "cat", "/etc/motd") == "welcome\n"
