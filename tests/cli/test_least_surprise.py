"""Nothing that nobody asked for: no open directories, no other result under another umask, no network, no secrets."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Rootlay

pytestmark = pytest.mark.once

ROOTLAY = [sys.executable, "-m", "rootlay.cli.main"]
IMAGES_OWN = ("tree", "upper", "resolv.conf", "hosts", "hostname")  # shown inside, with these modes
SECRET = "correct-horse-battery-staple"


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A build context with times and modes of its own, whatever the umask."""
    place = tmp_path / "context"
    (place / "files" / "deep").mkdir(parents=True)
    (place / "files" / "deep" / "script").write_text("#!/bin/sh\n")
    (place / "Dockerfile").write_text("FROM small\nCOPY files /files\nRUN umask; echo hi > /made; mkdir /dir\n")
    for path, mode in (("files/deep/script", 0o755), ("files/deep", 0o751), ("files", 0o755), ("Dockerfile", 0o644)):
        (place / path).chmod(mode)
        os.utime(place / path, ns=(10**18, 10**18))
    return place


def tree_of(rootlay: Rootlay, container: str) -> str:
    """A digest of all names, modes and contents of a container (times aside), by its export."""
    import io
    import tarfile

    whole = hashlib.sha256()
    with tarfile.open(fileobj=io.BytesIO(rootlay("export", container).stdout)) as tar:
        for member in sorted(tar, key=lambda one: one.name):
            whole.update(repr((member.name, oct(member.mode), member.uid, member.gid, member.linkname)).encode())
            if member.isreg():
                content = tar.extractfile(member)
                assert content is not None
                whole.update(content.read())
    return whole.hexdigest()


def open_places(root: Path) -> list[str]:
    """What others than the owner could read or change, if they came past the root directory."""
    found = []
    for directory, names, files in os.walk(root):
        inside = Path(directory).relative_to(root).parts
        if (inside[:1] == ("layers",) and "tree" in inside) or (inside[:1] == ("containers",) and len(inside) > 2):
            continue  # hydrated files and uppers have the modes of the image; the directories above them are closed
        for name in [".", *names, *files]:
            path = Path(directory, name)
            if name in IMAGES_OWN or path.is_symlink() or path.is_socket():
                continue  # a socket's mode is for its directory to keep
            if stat.S_IMODE(path.lstat().st_mode) & 0o077:
                found.append(f"{path.relative_to(root)} {path.lstat().st_mode:o}")
    return found


def test_results_do_not_depend_on_the_umask(small_tree: Path, context: Path, tmp_path: Path) -> None:
    seen = {}
    for mask in (0o000, 0o022, 0o077):
        rootlay = Rootlay(tmp_path / f"store{mask:o}")

        def run(*words: str, mask: int = mask, rootlay: Rootlay = rootlay) -> str:
            return rootlay.out(*words, preexec_fn=lambda: os.umask(mask))

        run("import", str(small_tree), "small")
        run("build", "-q", "-t", "built", str(context))
        run("create", "--name", "c", "built", "true")
        run("cp", str(context / "files"), "c:/copied")
        run("exec", "c", "sh", "-c", "umask; echo x > /new; mkdir /d; echo more >> /etc/motd")
        run("commit", "c", "committed")
        run("create", "--name", "d", "committed", "true")
        run("run", "-d", "--name", "log", "committed", "echo", "hi")
        run("bundle", "committed", "-o", str(tmp_path / "b.rlay"))
        [imported] = json.loads(rootlay.out("inspect", "--json", "small"))
        seen[mask] = (imported["diff_ids"], tree_of(rootlay, "d"), run("exec", "c", "sh", "-c", "umask"))
        assert (rootlay.root.stat().st_mode & 0o777) == 0o700
        assert "\n".join(open_places(rootlay.root)) == ""
        rootlay("rm", "-f", "log")
    assert seen[0o000] == seen[0o022] == seen[0o077]


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
def test_ordinary_commands_open_no_network_socket(small: Rootlay, context: Path, tmp_path: Path) -> None:
    commands = [
        ["import", str(context), "context"],
        ["build", "-q", "-t", "built", str(context)],
        ["run", "--rm", "built", "cat", "/made"],
        ["run", "-d", "built", "true"],
        ["run", "--name", "c", "built", "true"],
        ["commit", "c", "next"],
        ["save", "-o", str(tmp_path / "out.tar"), "built"],
        ["load", "-i", str(tmp_path / "out.tar")],
        ["bundle", "built", "-o", str(tmp_path / "b.rlay")],
        ["snapshot", "create", "c", "s"],
        ["fork", "c@s", "--name", "twin"],
        ["rollback", "c", "s"],
        ["snapshot", "rm", "c", "s"],
        ["create", "--name", "d", "built", "true"],
        ["start", "-a", "d"],
        ["exec", "d", "true"],
        ["rename", "d", "renamed"],
        ["cp", str(context / "Dockerfile"), "renamed:/copied"],
        ["cp", "renamed:/copied", str(tmp_path / "copied")],
        ["diff", "renamed"],
        ["export", "-o", str(tmp_path / "tree.tar"), "renamed"],
        ["logs", "renamed"],
        ["tag", "built", "other"],
        ["history", "built"],
        ["optimize", "context"],
        ["rmi", "other"],
        ["images"],
        ["ps", "-a"],
        ["inspect", "--json", "c"],
        ["rm", "-f", "c"],
        ["prune"],
        ["fsck", "--deep"],
    ]
    log = tmp_path / "calls"
    script = tmp_path / "script"
    script.write_text(
        "import sys, json, subprocess\nfor words in json.load(sys.stdin): subprocess.run(words, check=True)"
    )
    done = subprocess.run(
        ["strace", "-f", "-qq", "-e", "trace=socket,socketpair", "-o", str(log), sys.executable, str(script)],
        input=json.dumps([[*ROOTLAY, *words] for words in commands]).encode(),
        env={**os.environ, "ROOTLAY_ROOT": str(small.root)},
        capture_output=True,
        check=False,
    )
    if b"PTRACE" in done.stderr:
        pytest.skip("needs ptrace, for strace")
    assert done.returncode == 0, done.stderr.decode()
    calls = [line for line in log.read_text().splitlines() if "socket(" in line]
    assert any("AF_UNIX" in line for line in calls), "strace saw nothing"
    assert [line for line in calls if "AF_UNIX" not in line] == []


def test_a_build_secret_is_nowhere_afterwards(small: Rootlay, context: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    secret = ["--secret", f"id=key,src={tmp_path / 'secret'}"]
    use = "RUN --mount=type=secret,id=key read x < /run/secrets/key; echo ${#x} > /length"
    (context / "Dockerfile").write_text(f"FROM small\n{use}\n")
    small("build", "-t", "built", *secret, str(context))
    assert small.out("run", "--rm", "built", "cat", "/length") == f"{len(SECRET)}\n"
    (context / "Dockerfile").write_text(f"FROM small\n{use}; exit 3\n")
    failed = small("build", "-t", "failed", *secret, str(context), code=None)
    assert failed.returncode
    assert SECRET.encode() not in failed.stdout + failed.stderr
    told = [
        small(*words).stdout for words in (("history", "built"), ("inspect", "--json", "built"), ("images", "--json"))
    ]
    assert SECRET.encode() not in b"".join(told)
    small("create", "--name", "c", "built", "true")
    assert SECRET.encode() not in small("export", "c").stdout
    assert [path for path in small.root.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()] == []


def test_a_password_is_in_no_message_and_in_no_other_file(rootlay: Rootlay, tmp_path: Path) -> None:
    config = tmp_path / "docker"
    config.mkdir()
    environment = {**os.environ, "ROOTLAY_ROOT": str(rootlay.root), "DOCKER_CONFIG": str(config)}
    words = ["login", "-u", "me", "--password-stdin", "--plain-http", "127.0.0.1:1"]
    done = subprocess.run(
        [*ROOTLAY, *words], input=SECRET.encode(), env=environment, capture_output=True, check=False
    )  # fmt: skip
    assert done.returncode
    assert SECRET.encode() not in done.stdout + done.stderr
    assert not rootlay.root.exists() or not list(rootlay.root.rglob("config*"))
    assert list(config.iterdir()) == []
