"""The parts of the registry client that need no network."""

from __future__ import annotations

import base64
import json
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rootlay.store.model.errors import BadReference
from rootlay.store.registry.address import Origin, follow, is_loopback, registry_authority
from rootlay.store.registry.challenge import Challenge, parse_challenges
from rootlay.store.registry.credential import Credential
from rootlay.store.registry.dockerconfig import DockerConfig
from rootlay.store.registry.errors import BadRegistryAnswer, CredentialStoreFailed
from rootlay.store.registry.login import parse_domain
from rootlay.store.registry.proxies import Proxies
from rootlay.store.registry.retry import parse_retry_after


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", []),
        ('Basic realm="a, \\"b\\""', [Challenge("basic", {"realm": 'a, "b"'})]),
        (
            'Bearer realm="https://auth.docker.io/token",service=registry.docker.io,scope="repository:a:pull,push"',
            [
                Challenge(
                    "bearer",
                    {
                        "realm": "https://auth.docker.io/token",
                        "service": "registry.docker.io",
                        "scope": "repository:a:pull,push",
                    },
                )
            ],
        ),
        ('Negotiate, Basic realm="x"', [Challenge("negotiate", {}), Challenge("basic", {"realm": "x"})]),
        ('BASIC realm="x", Bearer Realm=y', [Challenge("basic", {"realm": "x"}), Challenge("bearer", {"realm": "y"})]),
        ('"', []),
    ],
)
def test_challenges(header: str, expected: list[Challenge]) -> None:
    assert parse_challenges(header) == expected


def test_retry_after() -> None:
    now = datetime(2026, 1, 1, 0, 0, 0, tzinfo=UTC)
    assert parse_retry_after(None) is None
    assert parse_retry_after("7") == 7
    assert parse_retry_after("Thu, 01 Jan 2026 00:00:30 GMT", now) == 30
    assert parse_retry_after("Thu, 01 Jan 2025 00:00:30 GMT", now) == 0
    assert parse_retry_after("soon") is None


def test_where_an_answer_may_lead() -> None:
    assert follow("https://a/v2/", "/x?y=1") == "https://a/x?y=1"
    assert follow("https://a/v2/", "https://b/x") == "https://b/x"
    assert follow("http://a/", "https://b/x") == "https://b/x"
    for location in ("http://a/x", "file:///etc/passwd", "ftp://a/", "", None):
        with pytest.raises(BadRegistryAnswer):
            follow("https://a/v2/", location)
    assert Origin.of("https://h/x") == Origin("https", "h", 443) != Origin.of("https://h:444/")
    for odd in ("https:///nobody", "https://a\\@b/", "https://u@a/", "https://a /", "https://a/\n", "https://a:b/"):
        with pytest.raises(BadRegistryAnswer):
            Origin.of(odd)
    assert [is_loopback(h) for h in ("localhost", "127.0.0.2", "::1", "10.0.0.1", "localhost.evil.org")] == [
        *(True, True, True, False, False)
    ]
    assert registry_authority("docker.io") == "registry-1.docker.io"


def test_proxies() -> None:
    found = Proxies.parse({"HTTPS_PROXY": "proxy:3128", "NO_PROXY": ".corp, 10.0.0.0/8,exact.org,with.port:444,*.star"})
    assert found.find(Origin("https", "ghcr.io", 443)) == "http://proxy:3128"
    assert found.find(Origin("http", "ghcr.io", 80)) is None
    for host in ("a.corp", "10.1.2.3", "exact.org", "sub.exact.org", "localhost", "127.0.0.1", "x.star"):
        assert found.find(Origin("https", host, 443)) is None, host
    assert found.find(Origin("https", "with.port", 444)) is None
    assert found.find(Origin("https", "with.port", 443)) is not None
    assert found.find(Origin("https", "notexact.org", 443)) is not None
    assert Proxies.parse({"https_proxy": "http://a", "HTTPS_PROXY": "http://b", "no_proxy": "*"}).https == "http://a"


def test_what_a_user_calls_a_registry() -> None:
    for text in (None, "", "docker.io", "https://index.docker.io/v1/"):
        assert parse_domain(text) == "docker.io"
    assert parse_domain("localhost:5000") == "localhost:5000"
    assert parse_domain("https://ghcr.io/") == "ghcr.io"
    for bad in ("justaname", "a b.c", "-x.y"):
        with pytest.raises(BadReference):
            parse_domain(bad)


def test_the_config_file_of_docker(tmp_path: Path) -> None:
    path = tmp_path / "docker" / "config.json"
    config = DockerConfig(path)
    assert config.find("ghcr.io") is None
    old = os.umask(0)
    try:
        config.save("ghcr.io", Credential("me", "pa:ss\u00e9"))
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert config.find("ghcr.io") == Credential("me", "pa:ss\u00e9")
    path.write_text(json.dumps({**json.loads(path.read_text()), "HttpHeaders": {"X": "y"}}))
    config.save("docker.io", Credential("hub", "x"))
    stored = json.loads(path.read_text())
    assert stored["HttpHeaders"] == {"X": "y"}
    assert set(stored["auths"]) == {"ghcr.io", "https://index.docker.io/v1/"}
    assert config.find("index.docker.io") == Credential("hub", "x")
    assert config.forget("docker.io")
    assert not config.forget("docker.io")
    assert config.find("docker.io") is None
    assert DockerConfig(None).find("x.y") is None


def test_old_keys_and_identity_tokens(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    auth = base64.b64encode(b"u:p").decode()
    login = {"https://old.example/v2/": {"auth": auth}, "t.example": {"auth": auth, "identitytoken": "tok"}, "e.x": {}}
    path.write_text(json.dumps({"auths": login}))
    config = DockerConfig(path)
    assert config.find("old.example") == Credential("u", "p")
    assert config.find("t.example") == Credential("u", "p", "tok")
    assert config.find("e.x") is None
    config.save("old.example", Credential("u2", "p2"))
    assert "https://old.example/v2/" not in json.loads(path.read_text())["auths"]


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"auths": [1]}', '{"auths": {"a.b": {"auth": "!"}}}', '{"auths": {"a.b": 1}}', '{"credHelpers": 1}'],
)
def test_a_damaged_config_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(CredentialStoreFailed, match=r"config\.json"):
        DockerConfig(path).find("a.b")


HELPER = """#!/bin/sh
echo "$1" >> "$0.log"
case "$1" in
get) read key; [ -e "$0.data" ] || { echo "credentials not found in native keychain"; exit 1; }; cat "$0.data" ;;
store) cat > "$0.data" ;;
erase) rm "$0.data" ;;
esac
"""


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "docker-credential-test"
    program.write_text(HELPER)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return program


@pytest.mark.parametrize("where", [{"credsStore": "test"}, {"credHelpers": {"ghcr.io": "test"}, "credsStore": "no"}])
def test_credential_helpers(tmp_path: Path, helper: Path, where: dict[str, object]) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(where))
    config = DockerConfig(path)
    assert config.find("ghcr.io") is None
    assert config.save("ghcr.io", Credential("me", "pw")) == "docker-credential-test"
    assert "pw" not in path.read_text()
    assert "pw" not in Path(f"{helper}.log").read_text()
    assert config.find("ghcr.io") == Credential("me", "pw")
    config.save("ghcr.io", Credential("me", "", "token"))
    assert config.find("ghcr.io") == Credential("", "", "token")
    assert config.forget("ghcr.io")
    assert config.find("ghcr.io") is None


@pytest.mark.parametrize("name", ["missing", "../test", "a b"])
def test_credential_helpers_that_are_not_there(tmp_path: Path, helper: Path, name: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"credsStore": name}))
    with pytest.raises(CredentialStoreFailed, match="docker-credential-"):
        DockerConfig(path).find("ghcr.io")


def test_secrets_do_not_show() -> None:
    assert "hush" not in repr(Credential("me", "hush", "hush-token"))
