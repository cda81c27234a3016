"""Sources that are no paths: git repositories and downloads."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from rootlay.store.model.errors import DigestMismatch
from rootlay.store.registry.settings import Settings
from rootlay.vfs.build.context.download import DownloadFailed, download
from rootlay.vfs.build.context.git import GitFailed, fetch_git
from rootlay.vfs.build.context.remote import GitReference, file_name, kind_of, kind_of_context, parse_git
from rootlay.vfs.build.language.errors import BadValue

git_command = pytest.mark.skipif(shutil.which("git") is None, reason="no git command")
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("a/b", "path"),
        ("./git@host:a", "path"),
        ("https://host/a.tar.gz", "url"),
        ("HTTP://host/", "url"),
        ("https://host/a.git", "git"),
        ("https://host/a.git#v1:sub", "git"),
        ("https://host/a.git?x=1", "git"),
        ("https://host/a.github", "url"),
        ("git://host/a", "git"),
        ("ssh://git@host/a", "git"),
        ("git@host:a/b.git", "git"),
        ("git@host:a/b#main", "git"),
        ("github.com/a/b", "path"),
        ("ftp://host/a", "path"),
        ("C:a", "path"),
        ("a b@c:d", "path"),
    ],
)
def test_what_a_source_is_shows_in_its_form(source: str, kind: str) -> None:
    assert kind_of(source) == kind


def test_a_context_may_name_github_without_a_scheme() -> None:
    assert kind_of_context("github.com/a/b") == "git"
    assert parse_git("github.com/a/b#v1") == GitReference("https://github.com/a/b", "v1")


def test_the_fragment_is_ref_and_subdirectory() -> None:
    assert parse_git("git://h/a") == GitReference("git://h/a")
    assert parse_git("git://h/a#v1") == GitReference("git://h/a", "v1")
    assert parse_git("git://h/a#:b/c/") == GitReference("git://h/a", None, "b/c")
    assert parse_git("git://h/a#v1:../../b") == GitReference("git://h/a", "v1", "b")


def test_a_query_says_the_same_and_more() -> None:
    found = parse_git("https://h/a.git?branch=main&subdir=b/c&commit=abc&keep-git-dir=true&submodules=false")
    assert found == GitReference("https://h/a.git", "refs/heads/main", "b/c", "abc", True, False)
    assert parse_git("https://h/a.git?tag=v1") == GitReference("https://h/a.git", "refs/tags/v1")
    assert parse_git("https://h/a.git?subdir=b#v1") == GitReference("https://h/a.git", "v1", "b")
    assert parse_git("git@h:a?b") == GitReference("git@h:a?b")


@pytest.mark.parametrize("query", ["x=1", "branch=a&tag=b", "ref=a#b", "submodules=perhaps", "ref=-x", "ref=a%0ab"])
def test_a_wrong_query_is_refused(query: str) -> None:
    with pytest.raises(BadValue):
        parse_git(f"https://h/a.git?{query}")


@pytest.mark.parametrize("text", ["-oProxyCommand=x@h:a", "git://h/a#--upload-pack=x", "git://h/a#b\nc"])
def test_what_git_could_take_for_an_option_is_refused(text: str) -> None:
    with pytest.raises(BadValue):
        parse_git(text)


def test_a_download_is_named_for_its_path() -> None:
    assert file_name("https://h/a/b.tar.gz?x=1#y") == "b.tar.gz"
    assert file_name("https://h/a%20b") == "a b"
    assert file_name("https://h/a/") == file_name("https://h") == file_name("https://h/%2e%2e") == "__unnamed__"


def git(directory: Path, *arguments: str) -> str:
    identity = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    return subprocess.run(
        ("git", *arguments), cwd=directory, env={**ENVIRONMENT, **identity}, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two commits: the first tagged v1, the second with a directory `sub` and a script."""
    path = tmp_path / "repository"
    path.mkdir()
    git(path, "init", "--quiet", "--initial-branch=main")
    (path / "a").write_text("one")
    git(path, "add", ".")
    git(path, "commit", "--quiet", "-m", "one")
    git(path, "tag", "v1")
    (path / "a").write_text("two")
    (path / "sub").mkdir()
    (path / "sub" / "run").write_text("#!/bin/sh\n")
    (path / "sub" / "run").chmod(0o755)
    (path / "out").symlink_to("/etc")
    git(path, "add", ".")
    git(path, "commit", "--quiet", "-m", "two")
    return path


def checked_out(reference: GitReference, directory: Path, **options: object) -> Path:
    directory.mkdir()
    return fetch_git(reference, directory, ENVIRONMENT, **options)  # type: ignore[arg-type]


@git_command
def test_a_repository_is_checked_out_without_its_git_directory(repository: Path, tmp_path: Path) -> None:
    root = checked_out(GitReference(f"file://{repository}"), tmp_path / "c")
    assert sorted(path.name for path in root.iterdir()) == ["a", "out", "sub"]
    assert (root / "a").read_text() == "two"
    assert (root / "a").stat().st_mode & 0o777 == 0o644
    assert (root / "sub" / "run").stat().st_mode & 0o777 == 0o755


@git_command
def test_the_git_directory_stays_if_it_is_wanted(repository: Path, tmp_path: Path) -> None:
    assert (checked_out(GitReference(f"file://{repository}"), tmp_path / "c", keep_git_dir=True) / ".git").is_dir()


@git_command
@pytest.mark.parametrize("kind", ["tag", "commit", "short commit", "branch"])
def test_a_ref_is_a_branch_a_tag_or_a_commit(repository: Path, tmp_path: Path, kind: str) -> None:
    commit = git(repository, "rev-parse", "v1^{commit}")
    ref = {"tag": "v1", "commit": commit, "short commit": commit[:8], "branch": "main"}[kind]
    root = checked_out(GitReference(f"file://{repository}", ref), tmp_path / "c")
    assert (root / "a").read_text() == ("two" if kind == "branch" else "one")


@git_command
@pytest.mark.parametrize("query", ["", "?branch=main", "?tag=v1&subdir=.", "?commit=COMMIT"])
def test_a_server_with_the_files_of_a_repository_is_enough(repository: Path, tmp_path: Path, query: str) -> None:
    """Dumb HTTP: it gives no single commit."""
    git(repository, "update-server-info")
    handler_class = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    handler = partial(handler_class, directory=str(repository.parent))
    (repository.parent / "r.git").symlink_to(repository / ".git")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            commit = git(repository, "rev-parse", "main")
            place = f"http://127.0.0.1:{http.server_port}/r.git{query.replace('COMMIT', commit)}"
            root = checked_out(parse_git(place), tmp_path / "c")
        finally:
            http.shutdown()
            thread.join()
    assert (root / "a").read_text() == ("one" if "v1" in query else "two")


@git_command
def test_a_subdirectory_is_the_root_and_no_link_leads_out(repository: Path, tmp_path: Path) -> None:
    root = checked_out(GitReference(f"file://{repository}", None, "sub"), tmp_path / "c")
    assert [path.name for path in root.iterdir()] == ["run"]
    with pytest.raises(GitFailed, match="leads out"):
        checked_out(GitReference(f"file://{repository}", None, "out"), tmp_path / "d")
    with pytest.raises(GitFailed, match="no directory 'missing'"):
        checked_out(GitReference(f"file://{repository}", None, "missing"), tmp_path / "e")


@git_command
def test_a_checksum_must_be_the_commit(repository: Path, tmp_path: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    checked_out(GitReference(f"file://{repository}"), tmp_path / "c", checksum=commit)
    with pytest.raises(GitFailed, match=f"expected commit {'0' * 40}, found {commit}"):
        checked_out(GitReference(f"file://{repository}"), tmp_path / "d", checksum="0" * 40)


@git_command
def test_what_is_not_there_is_one_clear_error(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(GitFailed, match="missing"):
        checked_out(GitReference(f"file://{tmp_path}/missing"), tmp_path / "c")
    with pytest.raises(GitFailed, match="nothing"):
        checked_out(GitReference(f"file://{repository}", "nothing"), tmp_path / "d")
    (tmp_path / "e").mkdir()
    with pytest.raises(GitFailed, match="not installed"):
        fetch_git(GitReference("git://h/a"), tmp_path / "e", {"PATH": "/nowhere"})


class Pages(BaseHTTPRequestHandler):
    """`/file`, `/short` (cut), `/away` (redirects to /file), `/loop`."""

    def do_GET(self) -> None:
        if self.path in ("/away", "/loop"):
            self.send_response(302)
            self.send_header("Location", "/file" if self.path == "/away" else "/loop")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        known = self.path in ("/file", "/short")
        self.send_response(200 if known else 404)
        self.send_header("Content-Length", "10" if self.path == "/short" else "5")
        self.send_header("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *arguments: object) -> None:
        """Be silent."""


@pytest.fixture
def server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Pages) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def test_a_download_has_the_time_of_the_server_and_mode_0600(server: str, tmp_path: Path) -> None:
    path = download(f"{server}/file", tmp_path, Settings())
    assert path.name == "file"
    assert path.read_bytes() == b"hello"
    assert path.stat().st_mtime == 784111777
    assert path.stat().st_mode & 0o777 == 0o600


def test_redirects_are_followed(server: str, tmp_path: Path) -> None:
    assert download(f"{server}/away", tmp_path, Settings()).name == "away"
    with pytest.raises(DownloadFailed, match="redirects"):
        download(f"{server}/loop", tmp_path, Settings())


def test_only_what_has_the_checksum_is_kept(server: str, tmp_path: Path) -> None:
    right = hashlib.sha256(b"hello").hexdigest()
    download(f"{server}/file", tmp_path, Settings(), f"sha256:{right}").unlink()
    with pytest.raises(DigestMismatch, match="expected sha256:0"):
        download(f"{server}/file", tmp_path, Settings(), f"sha256:{'0' * 64}")
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_fails_says_why(server: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match="404"):
        download(f"{server}/nothing", tmp_path, Settings())
    with pytest.raises(DownloadFailed, match=r"interrupted|ends after 5 of 10"):
        download(f"{server}/short", tmp_path, Settings())
    with pytest.raises(DownloadFailed, match="refused"):
        download("http://127.0.0.1:9/x", tmp_path, Settings())
