"""pull, push, login, logout and manifest on the command line, against docker-registry."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Rootlay
from tests.support.errorclasses import CODES
from tests.support.registry.real import PASSWORD, USER, RealRegistry, free_port, running

MEMORY_BYTES_MAX = 150 << 20


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    with running(tmp_path_factory.mktemp("registry") / "r", login=True, tls=True) as found:
        yield found


@pytest.fixture
def surroundings(registry: RealRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home and a CA file of our own; the home."""
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(registry.ca))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    return tmp_path


def test_from_login_to_logout(registry: RealRegistry, small: Rootlay, surroundings: Path) -> None:
    name = f"{registry.host}/team/small:1"
    line = small.fails("push", "small", name, code=CODES["AccessDenied"])
    assert f"rootlay login {registry.host}" in line
    wrong = small.fails(
        "login", "-u", USER, "--password-stdin", registry.host, input=b"wrong-secret\n", code=CODES["AccessDenied"]
    )
    assert "wrong-secret" not in wrong
    said = small.out("login", "-u", USER, "--password-stdin", registry.host, input=f"{PASSWORD}\n".encode())
    config = surroundings / "docker" / "config.json"
    assert said == f"Logged in to {registry.host}; kept in {config}\n"
    assert config.stat().st_mode & 0o777 == 0o600

    pushed = small.out("push", "small", name).splitlines()
    assert pushed[0].startswith("Sent 2 blobs, ")
    digest = pushed[1].removeprefix("Digest: ")
    assert small.out("push", "-q", "small", name) == f"{digest}\n"

    other = Rootlay(surroundings / "other")
    pulled = other.out("pull", name).splitlines()
    assert pulled[0] == f"Digest: {digest}"
    assert pulled[1].startswith("Fetched 1 of 1 layers, ")
    assert pulled[2] == f"Pulled image: {name}"
    assert other.out("pull", name).splitlines()[1] == "Fetched 0 of 1 layers, 0B"
    assert other.out("run", "--rm", name, "cat", "/etc/hostname") is not None
    image_id = json.loads(small.out("inspect", "--json", "small"))[0]["id"]
    assert other.out("pull", "-q", f"{registry.host}/team/small@{digest}") == f"{image_id}\n"
    rows = json.loads(other.out("images", "--json"))
    assert {(row["repository"], row["tag"]) for row in rows} == {
        (f"{registry.host}/team/small", "1"),
        (f"{registry.host}/team/small", ""),
    }

    manifest = json.loads(other.out("manifest", "inspect", name))
    assert manifest["config"]["digest"] == image_id
    assert json.loads(other.out("manifest", "inspect", "--raw", name)) == manifest
    assert other.out("manifest", "inspect", "--digest", name) == f"{digest}\n"

    assert small.out("logout", registry.host) == f"Removed the login for {registry.host}\n"
    assert small.out("logout", registry.host) == f"Not logged in to {registry.host}\n"
    other.fails("pull", name, code=CODES["AccessDenied"])


def test_each_kind_of_failure_has_its_code(registry: RealRegistry, small: Rootlay, surroundings: Path) -> None:
    small("login", "-u", USER, "--password-stdin", registry.host, input=PASSWORD.encode())
    small.fails("pull", f"{registry.host}/none:1", code=CODES["NotInRegistry"])
    small.fails("pull", "Not A Name", code=CODES["BadReference"])
    small.fails("push", "nothing", f"{registry.host}/x", code=CODES["UnknownImage"])
    small.fails("manifest", "create", "x", code=2)
    small.fails("login", "-u", "x", registry.host, code=2, input=b"")
    small.fails("pull", "--platform", "linux", f"{registry.host}/x", code=2)
    small.fails("pull", "--cacert", "/nowhere.pem", f"{registry.host}/x", code=2)
    (surroundings / "docker" / "config.json").write_text("{")
    line = small.fails("pull", f"{registry.host}/x", code=CODES["CredentialStoreFailed"])
    assert "config.json" in line


def test_a_certificate_that_nobody_vouches_for(
    registry: RealRegistry, small: Rootlay, surroundings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    line = small.fails("pull", f"{registry.host}/x", code=CODES["RegistryUnreachable"])
    assert "--cacert" in line
    small.fails("pull", "--cacert", str(registry.ca), f"{registry.host}/x", code=CODES["AccessDenied"])


def test_nobody_listens(small: Rootlay, surroundings: Path) -> None:
    line = small.fails("pull", f"127.0.0.1:{free_port()}/x", code=CODES["RegistryUnreachable"])
    assert "refused" in line


def test_run_does_not_import_the_client() -> None:
    code = (
        "import sys; import rootlay.cli.verbs.run, rootlay.cli.runcommand;"
        "import rootlay.store.store, rootlay.vfs.containers.create;"
        "sys.exit(any(m in sys.modules for m in ('urllib3', 'ssl', 'rootlay.store.registry')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_memory_stays_small(registry: RealRegistry, rootlay: Rootlay, surroundings: Path) -> None:
    """Four layers of 45 MB, both ways."""
    rootlay("login", "-u", USER, "--password-stdin", registry.host, input=PASSWORD.encode())
    name = f"{registry.host}/large:1"
    tree = surroundings / "tree"
    tree.mkdir()
    (tree / "0").write_bytes(os.urandom(45_000_000))
    rootlay("import", str(tree), "large")
    for number in range(1, 4):
        container = f"c{number}"
        rootlay("create", "--name", container, "large", "true")
        record = json.loads(rootlay.out("inspect", "--json", container))[0]
        (Path(record["upper"]) / str(number)).write_bytes(os.urandom(45_000_000))
        rootlay("commit", container, "large")
    for words in (["push", "large", name], ["pull", name]):
        program = (
            "import re, sys; from rootlay.cli.main import main; code = main(sys.argv[1:]);"
            "print(re.search(r'VmHWM:\\s*(\\d+) kB', open('/proc/self/status').read())[1]); sys.exit(code)"
        )
        root = rootlay.root if words[0] == "push" else surroundings / "other"
        done = subprocess.run(
            [sys.executable, "-c", program, *words],
            env={**os.environ, "ROOTLAY_ROOT": str(root)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert int(done.stdout.splitlines()[-1]) << 10 <= MEMORY_BYTES_MAX, words
