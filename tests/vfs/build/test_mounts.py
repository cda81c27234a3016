"""RUN --mount and --network: what one command sees, and that nothing of it stays in the image."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from rootlay.vfs.build.context.ignore import parse_ignore
from rootlay.vfs.build.context.ignoredtree import IgnoringTree
from rootlay.vfs.build.context.source import HostTree
from rootlay.vfs.build.result.failure import BuildFailed, RunFailed
from rootlay.vfs.build.run.cachemount import CacheMounts
from tests.vfs.build.conftest import Yard


def test_a_bind_of_the_context_is_read_only_and_in_no_layer(yard: Yard) -> None:
    yard.write("src/f", "content\n")
    built = yard.build(
        "FROM base\nWORKDIR /w\nRUN --mount=target=/ctx,source=src --mount=target=here "
        "cat /ctx/f here/src/f; touch /ctx/x 2>/dev/null || echo read-only; mkdir out; cp /ctx/f out\n"
    )
    assert built.notes.text == "content\ncontent\nread-only\n"
    assert yard.layer_names(built.image) == ["w", "w/out", "w/out/f"]
    assert not (yard.context / "src/x").exists()


def test_what_is_written_to_a_bind_is_thrown_away(yard: Yard) -> None:
    yard.write("src/f", "content\n")
    built = yard.build(
        "FROM base\nRUN --mount=target=/ctx,rw echo new > /ctx/src/f; cat /ctx/src/f\n"
        "RUN --mount=target=/ctx cat /ctx/src/f\n"
    )
    assert built.notes.text == "new\ncontent\n"
    assert (yard.context / "src/f").read_text() == "content\n"


def test_a_bind_from_a_stage_and_from_an_image(yard: Yard) -> None:
    built = yard.build(
        "FROM base AS made\nRUN mkdir /out && echo made > /out/f && ln /out/f /out/g && ln -s f /out/l\n"
        "FROM base\nRUN --mount=from=made,source=/out,target=/in cat /in/f /in/g /in/l\n"
        "RUN --mount=from=base,source=/etc/motd,target=/motd cat /motd\n"
    )
    assert built.notes.text == "made\nmade\nmade\nwelcome\n"


def test_the_content_of_a_bind_is_in_the_cache_key(yard: Yard) -> None:
    file = yard.write("src/f", "one\n")
    text = "FROM base\nRUN --mount=target=/ctx cat /ctx/src/f > /bind-key\n"
    yard.build(text)
    os.utime(file, (1, 1))
    assert yard.build(text).notes.cached == ["RUN"]
    yard.write("src/f", "two\n")
    assert yard.build(text).read("/bind-key") == "two\n"


def test_a_bind_leaves_out_what_dockerignore_names(yard: Yard) -> None:
    yard.write("keep")
    yard.write("secret/key")
    real = HostTree(yard.context)
    ignoring = IgnoringTree(real, parse_ignore("secret\n"))
    built = yard.build("FROM base\nRUN --mount=from=ctx,target=/ctx ls /ctx\n", contexts={"ctx": ignoring})
    assert built.notes.text == "keep\n"


def test_a_cache_is_kept_from_build_to_build_and_is_in_no_layer(yard: Yard) -> None:
    run = "RUN --mount=type=cache,target=/var/cache/x,id=test-kept echo {} >> /var/cache/x/log; cat /var/cache/x/log\n"
    assert yard.build(f"FROM base\n{run.format(1)}").notes.text == "1\n"
    built = yard.build(f"FROM base\n{run.format(2)}")
    assert built.notes.text == "1\n2\n"
    assert "cache" not in built.ls("/var")
    assert yard.build(f"FROM base\n{run.format(2)}").notes.cached == ["RUN"]


def test_a_new_cache_starts_with_what_from_gives_it(yard: Yard) -> None:
    yard.write("seed/f", "seed\n")
    mount = "--mount=type=cache,id=test-seeded,target=/c,from=base,source=/usr/share/doc"
    assert yard.build(f"FROM base\nRUN {mount} cat /c/one/readme; echo x > /c/one/readme\n").notes.text == "one\n"
    assert yard.build(f"FROM base\nRUN {mount} cat /c/one/readme # again\n").notes.text == "x\n"


def test_owner_and_mode_of_a_cache_show_and_count(yard: Yard) -> None:
    """With others it is another cache, as with BuildKit."""
    cache = "RUN --mount=type=cache,id=test-owned,target=/c"
    built = yard.build(
        "FROM base\n"
        f"{cache},uid=1000,gid=1001,mode=0750 stat -c '%u %g %a' /c - < /c; echo hers > /c/f; mkdir /c/d\n"
        f"{cache},uid=7,gid=8,mode=0711 stat -c '%u %g %a' /c; ls /c; echo his > /c/f\n"
        f"{cache},mode=0775 stat -c '%u %g %a' /c; ls /c\n"
        "USER 1000:1001\n"
        f"{cache},uid=1000,gid=1001,mode=0750 cat /c/f; touch /c/g /c/d/g && rm /c/f && mv /c/g /c/f; ls /c\n"
        f"{cache},uid=7,gid=8,mode=0711 ls /c; cat /c/f; touch /c/g; mkdir /c/d; rm /c/f; mv /c/f /c/g; "
        "cd /c; test -w . || echo no\n"
        f"{cache},uid=7,gid=8,mode=0700 cat /c/f || cd /c 2>/dev/null || echo no\n"
        f"{cache},uid=7,gid=1001,mode=0770 touch /c/new && ls /c\n"
    )
    said = built.notes.text.splitlines()
    assert said[:4] == ["1000 1001 750", "1000 1001 750", "7 8 711", "0 0 775"]
    assert said[4:7] == ["hers", "d", "f"]
    assert [line.rpartition(": ")[2] for line in said[7:]] == [
        "Permission denied",
        "his",
        *["Permission denied"] * 4,
        "no",
        "Permission denied",
        "no",
        "new",
    ]


def test_sharing_of_caches(tmp_path: Path) -> None:
    caches = CacheMounts(tmp_path)
    with caches.use("a", "shared") as one, caches.use("a", "shared") as two, caches.use("b", "shared") as other:
        assert one == two
        assert one != other
    with caches.use("a", "private") as one, caches.use("a", "private") as two:
        assert one != two
    order: list[str] = []

    def second() -> None:
        with caches.use("a", "locked"):
            order.append("second")

    with caches.use("a", "locked"):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.1)
        order.append("first")
        assert not caches.remove(one)
        assert one.exists()
    thread.join()
    assert order == ["first", "second"]
    (one / "file").write_text("x" * 10000)
    (one / "read-only").mkdir(mode=0o555)
    assert one in dict(caches.iter_all())
    assert caches.remove(one)
    assert not one.exists()


def test_tmpfs_is_empty_and_gone_afterwards(yard: Yard) -> None:
    built = yard.build(
        "FROM base\nRUN --mount=type=tmpfs,target=/tmp echo x > /tmp/x; ls /tmp\nRUN ls -a /tmp | wc -l\n"
    )
    assert built.notes.text == "x\n2\n"


def test_a_secret_is_in_a_file_or_a_variable_and_in_no_layer_history_or_key(yard: Yard) -> None:
    text = (
        "FROM base\nRUN --mount=type=secret,id=pw cat /run/secrets/pw; stat -c %a /run/secrets/pw\n"
        "RUN --mount=type=secret,id=pw,target=/etc/pw,mode=0444 cat /etc/pw; echo done > /etc/done\n"
        "RUN --mount=type=secret,id=pw,env=PW echo $PW; test ! -e /run/secrets/pw\n"
    )
    built = yard.build(text, secrets={"pw": b"hush-hush"})
    assert built.notes.text == "hush-hush400\nhush-hushhush-hush\n"
    for number in range(1, len(built.image.diff_ids)):
        layer = yard.store.layer(built.image.diff_ids[number])
        assert b"hush" not in b"".join(layer.iter_tar())
        layer.close()
    assert yard.layer_names(built.image, 2) == ["etc", "etc/done"]
    assert b"hush" not in built.image.config.to_bytes()
    assert yard.build(text, secrets={"pw": b"another"}).notes.cached == ["RUN"] * 3
    assert not list(Path("/dev/shm").glob("rootlay-secret-*"))


def test_owner_and_mode_of_a_secret_show_and_count(yard: Yard) -> None:
    """As BuildKit: root's and 0400 unless told; the user of the RUN may read it if the mode lets him."""
    show = "stat -c '%u %g %a' {0}; stat -c '%u %g' - < {0}"
    built = yard.build(
        "FROM base\n"
        f"RUN --mount=type=secret,id=pw {show.format('/run/secrets/pw')}\n"
        f"RUN --mount=type=secret,id=pw,target=/s,uid=3,gid=4,mode=0440 {show.format('/s')}\n"
        "USER 1000:1000\n"
        "RUN --mount=type=secret,id=pw,target=/s,uid=1000 cat /s; test -r /s && echo yes\n"
        "RUN --mount=type=secret,id=pw,target=/s,gid=1000,mode=0440 cat /s; test -r /s && echo yes\n"
        "RUN --mount=type=secret,id=pw,target=/s cat /s; test -r /s || echo no\n",
        secrets={"pw": b"hush "},
    )
    assert built.notes.text == ("0 0 400\n0 0\n3 4 440\n3 4\nhush yes\nhush yes\ncat: /s: Permission denied\nno\n")


def test_a_required_secret_that_is_not_given(yard: Yard) -> None:
    assert yard.build("FROM base\nRUN --mount=type=secret,id=no ls /run/secrets 2>&1 | wc -l\n").notes.text == "1\n"
    with pytest.raises(BuildFailed, match="no secret no: give it with --secret id=no"):
        yard.build("FROM base\nRUN --mount=type=secret,id=no,required true\n")


def test_an_ssh_agent_can_be_reached(yard: Yard, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as agent:
        path = tmp_path / "agent"
        with contextlib.chdir(tmp_path):  # the whole path may be too long for a socket
            agent.bind(path.name)
        built = yard.build(
            'FROM base\nRUN --mount=type=ssh test -S "$SSH_AUTH_SOCK" && echo $SSH_AUTH_SOCK\n',
            sockets={"default": path},
        )
    assert built.notes.text == "/run/buildkit/ssh_agent.0\n"
    assert "run" not in built.ls("/")


def test_owner_and_mode_of_an_ssh_agent_s_socket_show_and_count(yard: Yard, tmp_path: Path) -> None:
    show = "stat -c '%u %g %a' $SSH_AUTH_SOCK; test -w $SSH_AUTH_SOCK && echo yes || echo no"
    with socket.socket(socket.AF_UNIX) as agent:
        path = tmp_path / "agent"
        with contextlib.chdir(tmp_path):  # the whole path may be too long for a socket
            agent.bind(path.name)
        built = yard.build(
            f"FROM base\nRUN --mount=type=ssh {show}\nUSER 1000:1001\nRUN --mount=type=ssh {show}\n"
            f"RUN --mount=type=ssh,uid=1000 {show}\nRUN --mount=type=ssh,gid=1001,mode=0660 {show}\n",
            sockets={"default": path},
        )
    assert built.notes.text == "0 0 600\nyes\n0 0 600\nno\n1000 0 600\nyes\n0 1001 660\nyes\n"


def test_no_network(yard: Yard) -> None:
    with pytest.raises(RunFailed):
        yard.build("FROM base\nRUN --network=none exec 3<>/dev/tcp/127.0.0.1/1 || exit 1\n")
    assert yard.build("FROM base\nRUN --network=none echo ok\n", network="host").notes.text == "ok\n"


def test_a_heredoc_that_names_its_interpreter_is_run_as_a_program(yard: Yard) -> None:
    built = yard.build("FROM base\nRUN <<EOF\n#!/bin/sh -e\necho $0\nEOF\nRUN <<EOF\necho one\necho two > /two\nEOF\n")
    assert built.notes.text == "/run/rootlay/EOF\none\n"
    assert built.read("/two") == "two\n"
