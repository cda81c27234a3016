"""Where COPY and ADD write if links, `..` and archives are on the way: as docker 26.1.5 does; its answers are recorded.

With a daemon (ROOTLAY_TEST_DOCKER) it is asked again.
"""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from rootlay.vfs.build.result.failure import BuildFailed
from tests.support.archives.links import write_archives
from tests.vfs.build.conftest import Yard

BASE = "FROM scratch\nADD base.tar /\n"
ANSWERS: dict[str, dict[str, str] | None] = json.loads(
    Path(__file__).with_name("docker_paths.json").read_text(encoding="utf-8")
)
"""By instruction: the objects that the image has; None: the build fails."""
DOCKER = os.environ.get("ROOTLAY_TEST_DOCKER", "")


def fill(directory: Path) -> None:
    """Write the context."""
    (directory / "d/sub").mkdir(parents=True)
    for name, text in (("f", "new"), ("d/f", "d/f"), ("d/sub/x", "x")):
        (directory / name).write_text(text)
    write_archives(directory)


def objects(archive: Path) -> dict[str, str]:
    """Return what a tar has: by path, the text of a file, the target of a link, or `/` for a directory."""
    with tarfile.open(archive) as tar:
        found = {}
        for member in tar:
            content = tar.extractfile(member) if member.isreg() else None
            text = "/" if member.isdir() else f"-> {member.linkname}" if content is None else content.read().decode()
            found[member.name.strip("/")] = f"= {member.linkname}" if member.islnk() else text
    return {name: text for name, text in found.items() if name not in ("", ".")}


@pytest.mark.parametrize("instruction", ANSWERS)
def test_the_image_is_dockers(yard: Yard, tmp_path: Path, instruction: str) -> None:
    from rootlay.vfs.changes.export import export_tree

    fill(yard.context)
    expected = ANSWERS[instruction]
    if expected is None:
        with pytest.raises(BuildFailed):
            yard.build(BASE + instruction)
        return
    built = yard.build(BASE + instruction)
    with open(tmp_path / "out.tar", "wb") as out:
        export_tree(built.tree, out)
    assert objects(tmp_path / "out.tar") == expected


def dockers(instruction: str, context: Path, out: Path) -> dict[str, str] | None:
    """Return docker's answer."""
    command = ["docker", "--host", DOCKER, "build", "--file=-", f"--output=type=tar,dest={out}", str(context)]
    done = subprocess.run(command, input=(BASE + instruction).encode(), capture_output=True, timeout=60, check=False)
    if done.returncode:
        print(instruction, done.stderr.decode(errors="replace"))  # pytest shows it if an answer differs
        return None
    return objects(out)


@pytest.mark.oracles
@pytest.mark.needs_root("to use a docker daemon")
@pytest.mark.skipif(not DOCKER, reason="ROOTLAY_TEST_DOCKER does not name a docker daemon")
def test_the_recorded_answers_are_dockers(tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    fill(context)
    assert {text: dockers(text, context, tmp_path / "out.tar") for text in ANSWERS} == ANSWERS


@pytest.mark.parametrize(("instruction", "path"), [("ENV PATH=/x:$PATH", "/x:"), ("LABEL a=b", "")])
def test_an_image_without_a_path_gets_the_systems(yard: Yard, instruction: str, path: str) -> None:
    built = yard.build(f"FROM base\n{instruction}\n")
    usual = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert built.image.config.config.env == (f"PATH={path}{usual}",)
