"""The builders, each with its store, and what they built as a tree and a config to compare.

The trees are unpacked by umoci, so no builder judges its own layers.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest

from tests.buildah.cases import Case

ORDINARY_USER = 65534
BUILT = "localhost/built"


@dataclass(frozen=True)
class Outcome:
    """An image: path -> what lstat and a read tell, and the config's fields that are set."""

    tree: dict[str, tuple[object, ...]]
    config: dict[str, object]


class Buildah:
    """buildah, with chroot isolation and a storage of its own."""

    name = "buildah"

    def __init__(self, program: str, place: Path, base: Path) -> None:
        self._place = place
        place.mkdir()
        self._words = [
            program,
            "--root",
            str(place / "root"),
            "--runroot",
            str(place / "run"),
            "--storage-driver",
            "vfs",
        ]
        if not os.access("/run/lock", os.W_OK):  # locks are there and nowhere else
            self._words = [
                "bwrap",
                "--cap-add",
                "ALL",
                "--dev-bind",
                "/",
                "/",
                "--tmpfs",
                "/run/lock",
                "--tmpfs",
                "/var/cache",
                *self._words,
            ]
        for name in ("base", "onbuild"):
            self._run("pull", "-q", f"docker-archive:{base}:{name}:latest")

    def build(self, case: Case, context: Path, layout: Path) -> dict[str, Any]:
        """Build to an OCI layout; the config."""
        self._run(
            "bud", "--isolation=chroot", "--ulimit=nofile=1024:1024", "--ulimit=nproc=4096:4096",
            "--format=docker", "--layers=false",
            *case.options_at(self._place.parent), "-t", BUILT, "-f", str(context / "Dockerfile"), ".", cwd=context,
        )  # fmt: skip
        self._run("push", "-q", BUILT, f"oci:{layout}:built")
        image: dict[str, Any] = json.loads(self._run("inspect", "--type=image", BUILT))["Docker"]
        self._run("rmi", BUILT)
        return image

    def _run(self, *words: str, cwd: Path | None = None) -> str:
        home = str(self._place)
        return _run([*self._words, *words], cwd=cwd, env={"HOME": home, "TMPDIR": home, "PATH": os.environ["PATH"]})


class Docker:
    """BuildKit in a docker daemon."""

    name = "docker"

    def __init__(self, address: str, place: Path, base: Path) -> None:
        self._place = place
        place.mkdir()
        self._words = ["docker", "--host", address]
        self._run("load", "-q", "-i", str(base))

    def build(self, case: Case, context: Path, layout: Path) -> dict[str, Any]:
        """Build to an OCI layout; the config."""
        self._run(
            "build", "-q", "--network=none", "--no-cache", "--provenance=false",
            *case.options_at(self._place.parent), "-t", BUILT, "-f", str(context / "Dockerfile"), ".", cwd=context,
        )  # fmt: skip
        archive = layout.with_suffix(".tar")
        self._run("save", "-o", str(archive), BUILT)
        self._run("rmi", "--force", BUILT)
        _run(["skopeo", "copy", "-q", f"docker-archive:{archive}", f"oci:{layout}:built"], cwd=context)
        with tarfile.open(archive) as tar:
            (item,) = json.load(_member(tar, "manifest.json"))
            config: dict[str, Any] = json.load(_member(tar, item["Config"]))
        return config

    def _run(self, *words: str, cwd: Path | None = None) -> str:
        return _run([*self._words, *words], cwd=cwd, env={**os.environ, "HOME": str(self._place)})


def _member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    found = tar.extractfile(name)
    assert found is not None, name
    return found


class Rootlay:
    """`rootlay build`, as an ordinary user."""

    name = "rootlay"

    def __init__(self, place: Path, base: Path) -> None:
        place.mkdir()
        self.user = ORDINARY_USER if os.getuid() == 0 else os.getuid()
        os.chown(place, self.user, self.user if os.getuid() == 0 else os.getgid())
        self._place = place
        self._run("load", "-i", str(base))

    def build(self, case: Case, context: Path, layout: Path) -> dict[str, Any]:
        """Build to an OCI layout; the config."""
        if os.getuid() == 0:
            for directory, names, files in os.walk(context.parent):
                for name in (*names, *files):
                    os.chown(os.path.join(directory, name), self.user, self.user, follow_symlinks=False)
            # an owner's set-id bits do not outlive chown(2)
            (context / "setuid").chmod(0o4755)
        self._run(
            "build",
            "-q",
            *case.options_at(self._place.parent),
            "-t",
            BUILT,
            "-f",
            str(context / "Dockerfile"),
            ".",
            cwd=context,
        )
        self._run("save", "--format=oci-dir", "--compression=gzip", "-o", str(layout), BUILT)
        return oci_config(layout)

    def _run(self, *words: str, cwd: Path | None = None) -> str:
        drop = {"user": self.user, "group": self.user, "extra_groups": []} if os.getuid() == 0 else {}
        program = [sys.executable, "-m", "rootlay.cli.main", "--root", str(self._place / "store")]
        environment = {"HOME": str(self._place), "PATH": os.environ["PATH"], "TMPDIR": str(self._place)}
        return _run([*program, *words], cwd=cwd or self._place, env=environment, **drop)


def _run(words: list[str], **how: Any) -> str:
    done: subprocess.CompletedProcess[str] = subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=280, **how
    )
    if done.returncode:
        pytest.fail(f"{words[-8:]}: {done.stdout[-300:]} {done.stderr}")
    return done.stdout


def oci_config(layout: Path) -> dict[str, Any]:
    """The config of the one image in an OCI layout."""

    def blob(digest: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((layout / "blobs" / digest.replace(":", "/")).read_bytes())
        return found

    index = json.loads((layout / "index.json").read_bytes())
    return blob(blob(index["manifests"][0]["digest"])["config"]["digest"])


def unpack(umoci: str, layout: Path, target: Path) -> dict[str, tuple[object, ...]]:
    """The merged tree of the one image in a layout."""
    (name,) = (
        item["annotations"]["org.opencontainers.image.ref.name"]
        for item in json.loads((layout / "index.json").read_bytes())["manifests"]
    )
    rootless = [] if os.getuid() == 0 else ["--rootless"]
    _run([umoci, "raw", "unpack", *rootless, "--image", f"{layout}:{name}", str(target)])
    return walk(target)


def walk(root: Path) -> dict[str, tuple[object, ...]]:
    """Path -> type and mode, owner, device, link target or content, extended attributes, first name of a hard link."""
    found: dict[str, tuple[object, ...]] = {}
    firsts: dict[int, str] = {}
    for directory, names, files in os.walk(os.fsencode(root)):
        names.sort()
        for name in sorted([*names, *files]):
            path = os.path.join(directory, name)
            shown = os.fsdecode(os.path.relpath(path, os.fsencode(root)))
            at = os.lstat(path)
            content: object = ""
            if stat.S_ISLNK(at.st_mode):
                content = os.fsdecode(os.readlink(path))
            elif stat.S_ISREG(at.st_mode):
                with open(path, "rb") as file:
                    data = file.read()
                content = data if len(data) < 200 else hashlib.sha256(data).hexdigest()
            first = firsts.setdefault(at.st_ino, shown) if not stat.S_ISDIR(at.st_mode) else shown
            extended = {} if stat.S_ISLNK(at.st_mode) else {key: os.getxattr(path, key) for key in os.listxattr(path)}
            found[shown] = (stat.filemode(at.st_mode), at.st_uid, at.st_gid, at.st_rdev, content, extended, first)
    return found


def config_fields(image: dict[str, Any]) -> dict[str, object]:
    """What of an image's config is compared: all that is set."""
    fields = {key: value for key, value in image["config"].items() if value not in (None, "", [], {}, False)}
    fields.update({key: image[key] for key in ("os", "architecture", "author") if image.get(key)})
    return fields
