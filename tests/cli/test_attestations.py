"""Attestations and multi-platform images from the command line, against a real registry, skopeo and buildx."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Rootlay
from tests.support.registry.real import RealRegistry, need, running

pytestmark = [pytest.mark.oracles, pytest.mark.once]
PLUGIN = Path("/usr/libexec/docker/cli-plugins/docker-buildx")
OTHER = "linux/s390x"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RealRegistry]:
    with running(tmp_path / "registry") as found:
        yield found


@pytest.fixture
def context(tmp_path: Path) -> str:
    directory = tmp_path / "context"
    directory.mkdir()
    (directory / "f").write_text("file\n")
    (directory / "Dockerfile").write_text("FROM scratch\nARG TARGETARCH\nLABEL arch=$TARGETARCH\nCOPY f /f\n")
    return str(directory)


def raw(name: str) -> dict[str, Any]:
    """The document of a tag, as skopeo reads it."""
    command = [need("skopeo"), "inspect", "--tls-verify=false", "--raw", f"docker://{name}"]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def architectures(index: dict[str, Any]) -> list[str]:
    return [each["platform"]["architecture"] for each in index["manifests"]]


def test_attestations_are_pushed_saved_loaded_and_pulled_with_their_image(
    small: Rootlay, registry: RealRegistry, context: str, tmp_path: Path
) -> None:
    name = f"{registry.host}/app:1"
    small("build", "-q", "--provenance=mode=max", "--sbom=true", "--push", "-t", name, context)
    index = raw(name)
    assert architectures(index)[1:] == ["unknown"]
    small("save", "--format", "oci-archive", "-o", str(tmp_path / "app.tar"), name)
    small("rmi", name)
    small("load", "-q", "-i", str(tmp_path / "app.tar"))
    small("push", "-q", name, f"{registry.host}/app:2")
    assert raw(f"{registry.host}/app:2") == index
    small("rmi", name)
    small("pull", "-q", name)
    small("push", "-q", name, f"{registry.host}/app:3")
    assert raw(f"{registry.host}/app:3") == index
    assert small.out("fsck") == "nothing wrong was found\n"


def test_imagetools_inspect_prints_what_buildx_prints(small: Rootlay, registry: RealRegistry, context: str) -> None:
    if not PLUGIN.exists():
        pytest.skip("docker-buildx is not installed")
    name = f"{registry.host}/app:1"
    small(
        "build",
        "-q",
        "--provenance=true",
        "--sbom=true",
        "--push",
        "-t",
        name,
        "--platform",
        f"linux/amd64,{OTHER}",
        context,
    )

    def buildx(*words: str) -> str:
        command = [str(PLUGIN), "imagetools", "inspect", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def parts(text: str) -> list[list[list[str]]]:
        """The words of each line by paragraphs. buildx prints annotations in random order."""
        paragraphs = [[line.split() for line in part.splitlines()] for part in re.split(r"\n\s*\n", text.strip())]
        return [[*lines[:3], *sorted(lines[3:])] for lines in paragraphs]

    mine = small.out("buildx", "imagetools", "inspect", name)
    assert parts(mine) == parts(buildx(name))
    assert mine.count("attestation-manifest") == 2
    for template in ("{{json .SBOM}}", "{{json .Provenance}}"):
        given = json.loads(buildx(name, "--format", template))
        assert given.keys() == {"linux/amd64", OTHER}
        assert json.loads(small.out("buildx", "imagetools", "inspect", name, "--format", template)) == given
    assert raw(name) == json.loads(small.out("buildx", "imagetools", "inspect", "--raw", name))


def test_manifest_lists_are_made_annotated_and_pushed(small: Rootlay, registry: RealRegistry, context: str) -> None:
    parts = [f"{registry.host}/{part}:1" for part in ("one", "two")]
    for part, platform in zip(parts, ("linux/amd64", OTHER), strict=True):
        small("build", "-q", "--push", "-t", part, "--platform", platform, context)
    name = f"{registry.host}/all:1"
    small("manifest", "create", name, parts[0])
    small.fails("manifest", "create", name, parts[1], code=2)
    small("manifest", "create", "--amend", name, parts[1])
    small("manifest", "annotate", "--variant", "v1", "--os-version", "5", name, parts[1])
    small.fails("manifest", "annotate", name, f"{registry.host}/three:1", code=1)
    shown = json.loads(small.out("manifest", "inspect", name))
    assert shown["manifests"][1]["platform"] == {
        "architecture": "s390x", "os": "linux", "variant": "v1", "os.version": "5",
    }  # fmt: skip
    assert small.out("fsck") == "nothing wrong was found\n"
    small("manifest", "push", "--purge", name)
    assert raw(name) == shown
    small.fails("manifest", "rm", name, code=1)
    small("pull", "-q", name)
    assert small.out("inspect", "-f", "{{.Config.Labels.arch}}", name).strip() == "amd64"


def test_imagetools_create_merges_images(small: Rootlay, registry: RealRegistry, context: str) -> None:
    if shutil.which("docker-registry") is None:
        pytest.skip("docker-registry is not installed")
    first, second, name = (f"{registry.host}/{part}:1" for part in ("one", "two", "all"))
    small("build", "-q", "--push", "--provenance=true", "-t", first, "--platform", "linux/amd64", context)
    small("build", "-q", "--push", "-t", second, "--platform", OTHER, context)
    small("buildx", "imagetools", "create", "-t", name, first)
    small("buildx", "imagetools", "create", "-t", name, "--append", second)
    assert architectures(raw(name)) == ["amd64", "unknown", "s390x"]
    dry = json.loads(small.out("buildx", "imagetools", "create", "--dry-run", first, second))
    assert dry["manifests"] == raw(name)["manifests"]
    small("pull", "-q", "--all-platforms", name)
