"""Where a build comes from and where its result goes, end to end: real registries, readers of other projects."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Rootlay
from tests.programs.podman import Podman, PodmanUnusable
from tests.support.registry.real import RealRegistry, free_port, need, running

pytestmark = [pytest.mark.oracles, pytest.mark.once]

FILES = {"f": "file\n", "sub/g": "in a subdirectory\n", "sub/Dockerfile": "FROM small\nCOPY g /from-sub\n"}
TEXT = "FROM small\nCOPY --chown=7:8 --chmod=640 f /srv/\nRUN echo made > /made; ln -s made /link\nCMD cat /made\n"


@pytest.fixture
def context(tmp_path: Path) -> Path:
    directory = tmp_path / "context"
    for name, text in {**FILES, "Dockerfile": TEXT}.items():
        file = directory / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return directory


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RealRegistry]:
    with running(tmp_path / "registry") as found:
        yield found


def skopeo(*words: str) -> str:
    command = [need("skopeo"), "--tmpdir", os.environ.get("TMPDIR", "/tmp"), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def config_of(place: str) -> dict[str, Any]:
    """An image's config, as skopeo reads it."""
    found: dict[str, Any] = json.loads(skopeo("inspect", "--config", "--raw", place))
    return found


def config_in_registry(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(skopeo("inspect", "--tls-verify=false", "--config", "--raw", f"docker://{name}"))
    return found


def shown(root: Path) -> dict[str, str]:
    """What of the image is looked at."""
    found = {name: (root / name).read_text() for name in ("srv/f", "made", "etc/motd")}
    return {**found, "link": os.readlink(root / "link")}


EXPECTED = {"srv/f": "file\n", "made": "made\n", "etc/motd": "welcome\n", "link": "made"}


@pytest.mark.parametrize("how", [("--push",), ("-o", "type=registry"), ("-o", "type=image,push=true")])
def test_a_build_is_pushed(
    small: Rootlay, context: Path, registry: RealRegistry, tmp_path: Path, how: tuple[str, ...]
) -> None:
    name = f"{registry.host}/team/app:1"
    ids = tmp_path / "id"
    labels = ("--label", "a=1", "--label", "b=two words")
    small("build", *how, "-t", name, "--iidfile", str(ids), *labels, str(context))
    config = config_in_registry(name)
    assert config["config"]["Labels"] == {"a": "1", "b": "two words"}
    assert config["config"]["Cmd"] == ["/bin/sh", "-c", "cat /made"]
    told = json.loads(skopeo("inspect", "--tls-verify=false", "--raw", f"docker://{name}"))
    assert told["config"]["digest"] == ids.read_text()
    elsewhere = Rootlay(tmp_path / "elsewhere")
    elsewhere("pull", name)
    assert elsewhere.out("run", "--rm", name) == "made\n"
    assert json.loads(elsewhere.out("inspect", "--json", name))[0]["id"] == ids.read_text()


def test_a_build_is_pushed_under_names_of_the_output(small: Rootlay, context: Path, registry: RealRegistry) -> None:
    small("build", "-o", f"type=registry,name={registry.host}/other:2", "-t", "here", str(context))
    assert config_in_registry(f"{registry.host}/other:2")["config"]["Cmd"]
    assert "here" in small.out("images")


def test_a_base_comes_from_a_registry_and_a_cache_goes_there(
    small: Rootlay, context: Path, registry: RealRegistry, tmp_path: Path
) -> None:
    base, cache = f"{registry.host}/base:1", f"{registry.host}/cache:1"
    small("push", "small", base)
    (context / "Dockerfile").write_text(TEXT.replace("small", base))
    to = ("--cache-to", f"type=registry,ref={cache},mode=max")
    first = small("build", "-t", "app", "--source-date-epoch", "1", *to, str(context)).stdout
    elsewhere = Rootlay(tmp_path / "elsewhere")
    second = elsewhere("build", "-t", "app", "--source-date-epoch", "1", "--cache-from", cache, str(context))
    assert second.stdout == first
    assert "2 steps, 2 of them cached" in second.stderr.decode()


def test_the_platform_is_what_is_built_for(small: Rootlay, context: Path, registry: RealRegistry) -> None:
    (context / "Dockerfile").write_text("FROM scratch\nARG TARGETARCH\nCOPY f /$TARGETARCH\n")
    name = f"{registry.host}/arm:1"
    small("build", "--platform", "linux/arm64/v8", "--push", "-t", name, str(context))
    config = config_in_registry(name)
    assert (config["os"], config["architecture"]) == ("linux", "arm64")
    out = context.parent / "out"
    small("build", "--platform", "linux/arm64/v8", "-o", str(out), str(context))
    assert [path.name for path in out.iterdir()] == ["arm64"]


def test_each_output_is_what_others_read(small: Rootlay, context: Path, tmp_path: Path) -> None:
    kinds = {kind: tmp_path / f"out.{kind}" for kind in ("local", "tar", "oci", "docker")}
    options = [word for kind, dest in kinds.items() for word in ("-o", f"type={kind},dest={dest}")]
    options[5] += ",compression=gzip"  # umoci 0.4 reads no zstd
    ids = tmp_path / "id"
    small("build", "-t", "app:1", "--iidfile", str(ids), *options, str(context))
    assert shown(kinds["local"]) == EXPECTED
    with tarfile.open(kinds["tar"]) as tar:
        members = {member.name.removeprefix("./"): member for member in tar}
    (tmp_path / "tar").mkdir()
    subprocess.run(["tar", "-C", str(tmp_path / "tar"), "--no-same-owner", "-xf", str(kinds["tar"])], check=True)
    assert shown(tmp_path / "tar") == EXPECTED
    assert (members["srv/f"].uid, members["srv/f"].gid, members["srv/f"].mode) == (7, 8, 0o640)
    for kind, scheme in (("oci", "oci-archive"), ("docker", "docker-archive")):
        place = f"{scheme}:{kinds[kind]}"
        assert config_of(place)["config"]["Cmd"] == ["/bin/sh", "-c", "cat /made"]
        layout = tmp_path / f"{kind}-layout"
        skopeo("copy", "-q", "--insecure-policy", place, f"oci:{layout}:app")
        rootless = [] if os.geteuid() == 0 else ["--rootless"]
        target = tmp_path / f"{kind}-tree"
        command = [need("umoci"), "raw", "unpack", *rootless, "--image", f"{layout}:app", str(target)]
        subprocess.run(command, check=True, capture_output=True)
        if os.geteuid() != 0:
            subprocess.run(["chmod", "-R", "u+rwX", str(target)], check=True)
        assert shown(target) == EXPECTED


def test_only_the_names_of_the_build_go_out(
    small: Rootlay, context: Path, registry: RealRegistry, tmp_path: Path
) -> None:
    """The store may know the same image under others."""
    small("build", "-q", "-t", f"{registry.host}/private:1", str(context))
    small("build", "-q", "-t", f"{registry.host}/public:1", "--push", "-o", f"type=oci,dest={tmp_path}/o", str(context))
    written = [exchange.path for exchange in registry.exchanges() if exchange.method == "PUT"]
    assert any("public" in path for path in written)
    assert not any("/private/" in path for path in written)
    with tarfile.open(tmp_path / "o") as tar:
        index = tar.extractfile("index.json")
        assert index is not None
        assert len(json.load(index)["manifests"]) == 1


def test_podman_runs_each_archive(small: Rootlay, context: Path, tmp_path: Path) -> None:
    try:
        podman = Podman(tmp_path / "podman")
    except PodmanUnusable as error:
        pytest.skip(str(error))
    try:
        podman.probe()
        for kind in ("docker", "oci"):
            archive = tmp_path / f"out.{kind}"
            small("build", "-t", f"{kind}:1", "-o", f"type={kind},dest={archive}", str(context))
            assert podman.run(podman.load(archive)) == "made\n"
    except PodmanUnusable as error:
        pytest.skip(str(error))
    finally:
        podman.close()


# ---- contexts


def as_tar(context: Path) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        tar.add(context, ".")
    return out.getvalue()


@contextmanager
def git_daemon(repository: Path) -> Iterator[str]:
    """Serves one repository; its URL."""
    port = free_port()
    words = ["git", "daemon", "--reuseaddr", "--listen=127.0.0.1", f"--port={port}", "--export-all"]
    process = subprocess.Popen(
        [*words, f"--base-path={repository.parent}", str(repository.parent)], stderr=subprocess.DEVNULL,
        process_group=0,
    )  # fmt: skip
    try:
        url = f"git://127.0.0.1:{port}/{repository.name}"
        for _ in range(100):
            if subprocess.run(["git", "ls-remote", url], check=False, capture_output=True).returncode == 0:
                break
            time.sleep(0.05)
        yield url
    finally:
        os.killpg(process.pid, 15)
        process.wait()


def test_every_kind_of_context_gives_the_same_image(small: Rootlay, context: Path, tmp_path: Path) -> None:
    epoch = ("--source-date-epoch", "1", "-q")
    archive = tmp_path / "context.tar.gz"
    archive.write_bytes(as_tar(context))
    expected = small.out("build", *epoch, str(context))
    assert small.out("build", *epoch, str(archive)) == expected
    assert small.out("build", *epoch, "-", input=archive.read_bytes()) == expected
    assert small.out("build", *epoch, "-f", "-", str(context), input=TEXT.encode()) == expected
    assert small.out("build", *epoch, "-f", str(context / "Dockerfile"), str(context)) == expected


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
def test_a_context_from_a_git_server(small: Rootlay, context: Path) -> None:
    def git(*words: str) -> None:
        who = ("-c", "user.name=me", "-c", "user.email=me@host", "-c", "safe.directory=*")
        subprocess.run(["git", *who, "-C", str(context), *words], check=True, capture_output=True)

    git("init", "-q", "-b", "main")
    git("add", ".")
    git("commit", "-qm", "one")
    git("tag", "v1")
    (context / "f").write_text("changed\n")
    git("commit", "-qam", "two")
    with git_daemon(context) as url:
        small("build", "-q", "-t", "new", f"{url}#main")
        small("build", "-q", "-t", "old", f"{url}#v1")
        small("build", "-q", "-t", "sub", f"{url}#main:sub")
        (context / "Dockerfile").write_text(f"FROM small\nADD {url}#v1 /added\n")
        small("build", "-q", "-t", "added", str(context))
    assert small.out("run", "--rm", "new", "cat", "/srv/f") == "changed\n"
    assert small.out("run", "--rm", "old", "cat", "/srv/f") == "file\n"
    assert small.out("run", "--rm", "sub", "cat", "/from-sub") == "in a subdirectory\n"
    assert small.out("run", "--rm", "added", "cat", "/added/f") == "file\n"
