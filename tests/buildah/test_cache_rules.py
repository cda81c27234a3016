"""Which changes find a step done before, and which do not: the rules of BuildKit, in one table.

Each rule builds twice, with a change in between, and says whether the last step is cached the second time. As root,
with ROOTLAY_TEST_LONG and a docker daemon at hand, docker is asked the same: the table is its, not ours.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.buildah.context import base_images

pytestmark = pytest.mark.long_form

DOCKER = os.environ.get("ROOTLAY_TEST_DOCKER", "")
Words = tuple[str, ...]


@dataclass(frozen=True)
class Rule:
    """One row.

    Args:
        hit: whether the last step is cached.
        text: behind `FROM base` and a RUN of its own.
        change: what happens to the context in between.
        later: the text of the second build; empty: the same.
        options, more: of the first build, and of the second where they differ.
        docker: why docker is not asked, or answers otherwise.
    """

    name: str
    hit: bool
    text: str
    change: Callable[[Path], object] = lambda context: None
    later: str = ""
    options: Words = ()
    more: Words | None = None
    docker: str = ""


def write(name: str, text: str) -> Callable[[Path], object]:
    return lambda context: (context / name).write_text(text)


def at(name: str, seconds: int) -> Callable[[Path], object]:
    return lambda context: os.utime(context / name, (seconds, seconds))


def chmod(name: str, mode: int) -> Callable[[Path], object]:
    return lambda context: (context / name).chmod(mode)


def moved(old: str, new: str) -> Callable[[Path], object]:
    return lambda context: (context / old).rename(context / new)


def linked(name: str, target: str) -> Callable[[Path], object]:
    def change(context: Path) -> None:
        (context / name).unlink()
        (context / name).symlink_to(target)

    return change


def same_size_and_time(context: Path) -> None:
    before = (context / "d/f").stat()
    (context / "d/f").write_text("FILE\n")
    os.utime(context / "d/f", ns=(before.st_atime_ns, before.st_mtime_ns))


RULES = [
    Rule("nothing", True, "COPY d /d\n"),
    Rule("time of a file", True, "COPY d /d\n", at("d/f", 1)),
    Rule("time of a directory", True, "COPY d /d\n", at("d", 1)),
    Rule("content", False, "COPY d /d\n", write("d/f", "changed\n")),
    Rule("content of equal size and time", False, "COPY d /d\n", same_size_and_time,
         docker="its client sends only files whose size or time has changed"),
    Rule("mode", False, "COPY d /d\n", chmod("d/f", 0o755)),
    Rule("mode of a directory", False, "COPY d /e\n", chmod("d/sub", 0o700),
         docker="docker 26 does not see it, though it copies the mode"),
    Rule("a new file", False, "COPY d /d\n", write("d/new", "")),
    Rule("another name", False, "COPY d /d\n", moved("d/f", "d/h")),
    Rule("target of a link", False, "COPY d /d\n", linked("d/link", "g")),
    Rule("a file elsewhere", True, "COPY d /d\n", write("elsewhere", "x")),
    Rule("a file that is ignored", True, "COPY . /d\n", write("ignored", "x")),
    Rule("new match of a wildcard", False, "COPY d/* /d/\n", write("d/new", "")),
    Rule("no match of a wildcard", True, "COPY d/*.txt /d/\n", write("d/new", "")),
    Rule("--chown", False, "COPY d /d\n", later="COPY --chown=1:1 d /d\n"),
    Rule("--chmod", False, "COPY d /d\n", later="COPY --chmod=700 d /d\n"),
    Rule("destination", False, "COPY d /d\n", later="COPY d /e\n"),
    Rule("the layer below", False, "RUN echo 1 > /1\nCOPY d /d\n", later="RUN echo 2 > /1\nCOPY d /d\n"),
    Rule("the layer below --link", True, "RUN echo 1 > /1\nCOPY --link d /d\n",
         later="RUN echo 2 > /1\nCOPY --link d /d\n", docker="a storage that cannot merge layers, as docker 26's"),
    Rule("heredoc", False, "COPY <<E /h\none\nE\n", later="COPY <<E /h\ntwo\nE\n"),
    Rule("archive", False, "ADD d/f /f\n", write("d/f", "changed\n")),
    Rule("from a stage that is the same", True, "FROM base AS s\nRUN echo s > /s\nFROM base\nCOPY --from=s /s /t\n"),
    Rule("from a stage that is not", False, "FROM base AS s\nRUN echo s > /s\nFROM base\nCOPY --from=s /s /t\n",
         later="FROM base AS s\nRUN echo t > /s\nFROM base\nCOPY --from=s /s /t\n"),
    Rule("from a stage of another name", True, "FROM base AS s\nRUN echo s > /s\nFROM base\nCOPY --from=s /s /t\n",
         later="FROM base AS z\nRUN echo s > /s\nFROM base\nCOPY --from=z /s /t\n"),
    Rule("RUN again", True, "RUN echo a > /a\n"),
    Rule("RUN of other words", False, "RUN echo a > /a\n", later="RUN echo  a > /a\n"),
    Rule("comments and lines", True, "RUN echo a > /a\n", later="# comment\n\nrun echo a > /a\n"),
    Rule("the context below RUN", True, "RUN echo a > /a\n", write("d/f", "changed\n")),
    Rule("a label before", True, "LABEL a=1\nRUN echo a > /a\n", later="LABEL a=2\nEXPOSE 1\nCMD x\nRUN echo a > /a\n"),
    Rule("a variable before", False, "ENV A=1\nRUN echo a > /a\n", later="ENV A=2\nRUN echo a > /a\n"),
    Rule("a variable before COPY", True, "ENV A=1\nCOPY d /d\n", later="ENV A=2\nCOPY d /d\n"),
    Rule("USER", False, "RUN echo a > /tmp/a\n", later="USER user\nRUN echo a > /tmp/a\n"),
    Rule("WORKDIR", False, "WORKDIR /srv\nRUN echo a > /a\n", later="WORKDIR /tmp\nRUN echo a > /a\n"),
    Rule("SHELL", False, "RUN echo a > /a\n", later='SHELL ["/bin/ash", "-c"]\nRUN echo a > /a\n'),
    Rule("an argument that is used", False, "ARG A=1\nRUN echo $A > /a\n", more=("--build-arg=A=2",)),
    Rule("an argument that is declared", False, "ARG A=1\nRUN echo a > /a\n", more=("--build-arg=A=2",)),
    Rule("an argument that is declared later", True, "RUN echo a > /a\nARG A=1\n", more=("--build-arg=A=2",)),
    Rule("an argument of its default", True, "ARG A=1\nRUN echo $A > /a\n", more=("--build-arg=A=1",)),
    Rule("a proxy", True, "RUN echo a > /a\n", more=("--build-arg=HTTP_PROXY=http://proxy.invalid",)),
    Rule("a proxy that is declared", False, "ARG HTTP_PROXY\nRUN echo a > /a\n",
         more=("--build-arg=HTTP_PROXY=http://proxy.invalid",)),
    Rule("content of a bind", False, "RUN --mount=target=/m,source=d cat /m/f > /f\n", write("d/f", "changed\n")),
    Rule("time of a bind", True, "RUN --mount=target=/m,source=d cat /m/f > /f\n", at("d/f", 1)),
    Rule("beside a bind", True, "RUN --mount=target=/m,source=d cat /m/f > /f\n", write("elsewhere", "x")),
    Rule("content of a secret", True, "RUN --mount=type=secret,id=s cat /run/secrets/s > /dev/null\n",
         write("ignored", "other"), options=("--secret=id=s,src=ignored",)),
    Rule("mode of a secret", False, "RUN --mount=type=secret,id=s true\n", options=("--secret=id=s,src=ignored",),
         later="RUN --mount=type=secret,id=s,mode=0444 true\n"),
    Rule("content of a cache", True, "RUN --mount=type=cache,target=/c,id=rules date >> /c/f\n"),
    Rule("id of a cache", False, "RUN --mount=type=cache,target=/c,id=rules1 true\n",
         later="RUN --mount=type=cache,target=/c,id=rules2 true\n", docker="docker leaves it out: it hits"),
    Rule("target of a tmpfs", False, "RUN --mount=type=tmpfs,target=/t true\n",
         later="RUN --mount=type=tmpfs,target=/u true\n"),
    Rule("--no-cache", False, "RUN echo a > /a\n", more=("--no-cache",)),
    Rule("hosts", False, "RUN echo a > /a\n", more=("--add-host=h:10.0.0.1",)),
]  # fmt: skip


class Builder:
    """Builds, and says which steps were cached."""

    def __init__(self, command: Sequence[str], options: Words = (), **environment: str) -> None:
        self._command = [*command]
        self._options = options
        self._environment = {**os.environ, **environment}

    def load(self, archive: Path) -> None:
        self._run("load", "-i", str(archive))

    def last_is_cached(self, context: Path, options: Words) -> bool:
        """Of the steps RUN, COPY and ADD the last one in the Dockerfile."""
        told = self._run("build", "--progress=plain", *self._options, *options, ".", cwd=context)
        steps = re.findall(r"^#(\d+) \[(?:[^]]* )?(\d+)/\d+\] (?:RUN|COPY|ADD)", told, re.MULTILINE)
        number, _ = max(steps, key=lambda step: int(step[1]))
        return re.search(rf"^#{number} CACHED$", told, re.MULTILINE) is not None

    def _run(self, *words: str, cwd: Path | None = None) -> str:
        done = subprocess.run(
            [*self._command, *words], cwd=cwd, env=self._environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not shutil.which("busybox"):
        pytest.skip("busybox is not installed")
    path = tmp_path_factory.mktemp("base") / "base.tar"
    path.write_bytes(base_images())
    return path


@pytest.fixture(scope="module")
def rootlay(base: Path) -> Builder:
    command = [sys.executable, "-m", "rootlay.cli.main", "--root", str(base.parent / "store")]
    found = Builder(command)
    found.load(base)
    return found


@pytest.fixture(scope="module")
def docker(base: Path) -> Builder:
    if not DOCKER or os.getuid() != 0:
        pytest.skip("ROOTLAY_TEST_DOCKER does not name a docker daemon, or we are not root")
    found = Builder(["docker", "--host", DOCKER], ("--network=none", "--provenance=false"), HOME=str(base.parent))
    found.load(base)
    return found


def check(rule: Rule, builder: Builder, context: Path) -> None:
    (context / "d" / "sub").mkdir(parents=True)
    for name, text in (
        ("d/f", "file\n"),
        ("d/g", "g\n"),
        ("d/a.txt", "a\n"),
        ("ignored", "secret\n"),
        ("elsewhere", ""),
    ):
        (context / name).write_text(text)
    (context / "d/link").symlink_to("f")
    (context / ".dockerignore").write_text("ignored\nDockerfile\n.dockerignore\n")
    own = f"RUN echo {rule.name} {os.getpid()} > /rule\n"

    def put(text: str) -> None:
        head, last = text.rsplit("FROM base\n", 1) if "FROM" in text else ("", text)
        (context / "Dockerfile").write_text(f"{head}FROM base\n{own}{last}")

    put(rule.text)
    builder.last_is_cached(context, rule.options)
    rule.change(context)
    put(rule.later or rule.text)
    assert builder.last_is_cached(context, rule.options if rule.more is None else rule.more) == rule.hit


@pytest.mark.skipif(os.getuid() == 0, reason="asked once, as an ordinary user")
@pytest.mark.parametrize("rule", RULES, ids=[rule.name for rule in RULES])
def test_rootlay(rule: Rule, rootlay: Builder, tmp_path: Path) -> None:
    check(rule, rootlay, tmp_path)


@pytest.mark.skipif(not os.environ.get("ROOTLAY_TEST_LONG"), reason="ROOTLAY_TEST_LONG is not set")
@pytest.mark.parametrize("rule", RULES, ids=[rule.name for rule in RULES])
def test_docker_says_the_same(rule: Rule, docker: Builder, tmp_path: Path) -> None:
    if rule.docker:
        pytest.skip(rule.docker)
    check(rule, docker, tmp_path)
