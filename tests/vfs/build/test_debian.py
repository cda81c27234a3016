"""The Dockerfiles that Debian's packages ship all parse, or there is a reason why not.

    ROOTLAY_TEST_NETWORK=1 tests/run tests/vfs/build/test_debian.py                        # four binary packages
    ROOTLAY_TEST_NETWORK=1 ROOTLAY_TEST_LONG=1 tests/run tests/vfs/build/test_debian.py    # all, and some sources

With ROOTLAY_TEST_BUILDKIT (test_buildkit.py) BuildKit is asked about each of them, too: what is refused here, it
refuses, and what it refuses is refused here. Needs apt with its lists; no root.
"""

from __future__ import annotations

import gzip
import lzma
import os
import re
import shutil
import subprocess
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from rootlay.vfs.build.language.errors import BadDockerfile
from rootlay.vfs.build.language.parser import parse
from tests.vfs.build.buildkit_oracle import BuildKit

pytestmark = [pytest.mark.long_form, pytest.mark.oracles]

ORACLE = os.environ.get("ROOTLAY_TEST_BUILDKIT", "")
LONG = bool(os.environ.get("ROOTLAY_TEST_LONG"))
PACKAGES = [
    "golang-github-openshift-imagebuilder-dev",
    "golang-github-containers-buildah-dev",
    "golang-github-docker-docker-dev",
    "charliecloud-doc",
]
SOURCES = """
    charliecloud containerd docker.io golang-github-containers-buildah golang-github-openshift-imagebuilder libpod
    podman prometheus redis runc skopeo
""".split()
_DOCKERFILE = re.compile(r"(^|/)([^/]+\.)?(Docker|Container)file(\.[^/]+)?$", re.IGNORECASE)
_OTHER = re.compile(  # files about Dockerfiles: grammars, highlighters, templates of other languages, archives
    r"\.(tt|erb|j2|tmpl|tera|in|hrc|jsf|kak|bats|pm|hi|p_hi|dyn_hi|bz2|tar|vim|lua|snippets|js|cjs|mjs|py|pyc|xml|so|rb|"
    r"json|md|html|scm|el|elc|ex|go|yml|yaml|txt|ts|png|svg|lang|properties|nanorc|sublime-syntax|h|c|dockerignore|gz|css|"
    r"toml|rs|hs|page|1|qml|cfg|sh|rst|tmLanguage|snap|golden)$"
)
_NO_DOCKERFILE = {
    r"/parser/testfiles-negative/": "meant to be refused",
    r"/parser/testfiles/(json|jeztah-[^/]*)/": "a line for the lexer, without FROM",
    r"/parser/testfiles/(health|flags|escape-nonewline)/": "lexes, but its instructions are refused",
    r"/testdata/Dockerfile\.(badhealthcheck|unknown|target)$": "meant to be refused",
    r"/tests/bud/.*\.(bad|invalid_from)$|/tests/bud/unrecognized/": "meant to be refused",
    r"/tests/bud/(buildkit-mount|verify-cleanup)/": "the mount option `z` is buildah's own",
    r"/tests/bud/base-with-arg/Containerfile$": "a stage named platform-arm/v7: BuildKit refuses it, too",
    r"/charliecloud/.*/seccomp/Dockerfile$": "RSYNC is charliecloud's own",
    r"/share/due/templates/.*/Dockerfile\.config$": "a piece without FROM",
}

_SEEN_OTHERWISE = r"/long-text/|/tests/bud/(buildkit-mount|verify-cleanup)/"
"""A line of more than 65,535 bytes, which BuildKit refuses and which can be read here; mounts, which BuildKit reads,
and refuses, only when it builds."""


def _run(*words: str, cwd: Path) -> None:
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"{' '.join(words)}: {done.stderr}")


def _mirror() -> str:
    """Where apt gets its packages from, and of which release."""
    words = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages", "Component: main"]
    lines = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split("\n")
    site, release = next(line.split() for line in lines if "security" not in line and line)
    return f"{site.rstrip('/')}/dists/{release}/main"


def _fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=120) as answer:
        content: bytes = answer.read()
    return content


def _all_packages() -> list[str]:
    found = set()
    for architecture in ("all", "amd64"):
        text = gzip.decompress(_fetch(f"{_mirror()}/Contents-{architecture}.gz")).decode()
        for line in text.splitlines():
            path, _, places = line.rpartition(" ")
            if _wanted(path.rstrip()):
                found.add(places.split(",")[0].rpartition("/")[2])
    return sorted(found)


def _wanted(path: str) -> bool:
    return _DOCKERFILE.search(path) is not None and _OTHER.search(path) is None


def _dockerfiles(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Path and content of each Dockerfile in a tar."""
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isfile() and _wanted(member.name):
                file = tar.extractfile(member)
                assert file is not None
                yield f"{archive.name}:{member.name}", file.read()


def _shipped(tmp_path: Path) -> Iterator[tuple[str, bytes]]:
    for package in _all_packages() if LONG else PACKAGES:
        _run("apt-get", "download", "-q", package, cwd=tmp_path)
        (deb,) = tmp_path.glob("*.deb")
        tar = tmp_path / f"{package}.tar"
        with open(tar, "wb") as out:
            subprocess.run(["dpkg-deb", "--fsys-tarfile", deb], stdout=out, check=True)
        yield from _dockerfiles(tar)
        deb.unlink()
        tar.unlink()
    if not LONG:
        return
    top = _mirror().partition("/dists/")[0]
    for paragraph in lzma.decompress(_fetch(f"{_mirror()}/source/Sources.xz")).decode().split("\n\n"):
        fields = dict(re.findall(r"^(Package|Directory): (.*)$", paragraph, re.MULTILINE))
        if fields.get("Package") in SOURCES:
            name = re.findall(r"(\S+\.orig\.tar\.[xg]z|\S+\.tar\.[xg]z)$", paragraph, re.MULTILINE)[0]
            archive = tmp_path / name
            try:
                archive.write_bytes(_fetch(f"{top}/{fields['Directory']}/{name}"))
            except urllib.error.HTTPError as error:  # a mirror need not have all sources
                print(f"{name}: {error}")
                continue
            yield from _dockerfiles(archive)
            archive.unlink()


def _asked(buildkit: BuildKit | None, name: str, content: bytes) -> str | None:
    """What BuildKit says against a file, empty for nothing; None if it is not asked."""
    if buildkit is None or re.search(_SEEN_OTHERWISE, name):
        return None
    answer = buildkit.ask({"kind": "parse", "text": content.decode("utf-8", "replace")})
    return str(answer.get("error", ""))


@pytest.mark.skipif(not os.environ.get("ROOTLAY_TEST_NETWORK"), reason="set ROOTLAY_TEST_NETWORK to ask the servers")
@pytest.mark.skipif(shutil.which("apt-get") is None, reason="needs apt")
@pytest.mark.skipif(os.getuid() == 0, reason="needs no root: asked once, as an ordinary user")
@pytest.mark.timeout(1800 if LONG else 300)
def test_every_dockerfile_that_debian_ships_parses(tmp_path: Path) -> None:
    parsed, refused, unexpected = 0, 0, []
    buildkit = BuildKit(Path(ORACLE)) if ORACLE else None
    for name, content in _shipped(tmp_path):
        reason = next((why for pattern, why in _NO_DOCKERFILE.items() if re.search(pattern, name)), None)
        theirs = _asked(buildkit, name, content)
        try:
            parse(content.decode("utf-8", "surrogateescape"))
        except BadDockerfile as error:
            refused += 1
            if reason is None:
                unexpected.append(f"{name}: {error}")
            if theirs == "":
                unexpected.append(f"{name}: {error}; BuildKit takes it")
        else:
            parsed += 1
            if theirs:
                unexpected.append(f"{name}: BuildKit: {theirs}")
    if buildkit is not None:
        buildkit.close()
    print(f"{parsed} parsed, {refused} rightly refused")
    assert not unexpected, "\n".join(unexpected)
    assert parsed > 150
