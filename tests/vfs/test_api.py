"""The Python API: images, containers, programs, changes, without the command line."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from rootlay.store.containers.record import Bind
from rootlay.store.model.errors import NameInUse, UnknownContainer, UnknownImage
from rootlay.vfs import Container, Image, Store
from rootlay.vfs.run.user import UnknownUser


def test_the_example_of_the_readme_works(store: Store, image: Image) -> None:
    with image.container() as c:
        c.fs.writetext("/etc/motd", "hi")
        done = c.run(["cat", "/etc/motd"], capture_output=True, text=True, check=True)
        assert done.stdout == "hi"
        assert [str(change) for change in c.diff()] == ["C /etc", "C /etc/motd"]
        second = c.commit("app:2")
        identity = c.id
    with pytest.raises(UnknownContainer):
        store.container(identity)
    with store.image("app:2").container() as c:
        assert c.fs.readtext("/etc/motd") == "hi"
    assert second.references == ("app:2",)
    with second.container() as c:
        assert c.fs.readtext("/etc/motd") == "hi"
    with image.container() as c:
        assert c.fs.readtext("/etc/motd") == "welcome\n"


def test_run_follows_subprocess(image: Image) -> None:
    with image.container() as c:
        assert c.run(["sh", "-c", "exit 3"]).returncode == 3
        assert c.run(["cat"], input=b"in", stdout=subprocess.PIPE).stdout == b"in"
        assert c.run(["sh", "-c", "kill -TERM $$"]).returncode == -15
        with pytest.raises(subprocess.CalledProcessError) as caught:
            c.run(["sh", "-c", "echo no >&2; exit 4"], capture_output=True, check=True)
        assert (caught.value.returncode, caught.value.stderr) == (4, b"no\n")
        with pytest.raises(subprocess.TimeoutExpired) as late:
            c.run(["sleep", "60"], timeout=0.3)
        assert late.value.cmd == ["sleep", "60"]  # the caller's command, not how it is started
        assert caught.value.cmd == ["sh", "-c", "echo no >&2; exit 4"]
        with c.popen(["true"]) as process:
            assert process.args == ["true"]
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(60)
        done = c.run(["sh", "-c", "echo $A; pwd; id -u"], env={"A": "b"}, cwd="/usr", user="user", capture_output=True)
        assert done.stdout == b"b\n/usr\n1234\n"
        with pytest.raises(UnknownUser):
            c.run(["true"], user="stranger")
        with pytest.raises(TypeError, match="args is a sequence"):
            c.run("true")
        with pytest.raises(ValueError, match="empty"):
            c.run([])


def test_programs_and_python_see_each_others_changes(image: Image) -> None:
    with image.container() as c:
        c.run(["sh", "-c", "mv /usr/share/doc/one /usr/share/doc/first; rm /etc/link; echo x > /etc/new"], check=True)
        assert c.fs.readtext("/usr/share/doc/first/readme") == "one\n"
        assert not c.fs.exists("/usr/share/doc/one")
        c.fs.removetree("/usr/share/doc/first")
        c.fs.makedirs("/deep/er")
        c.fs.writebytes("/deep/er/f", b"py")
        out = c.run(["sh", "-c", "ls /usr/share/doc; cat /deep/er/f; ls /etc"], capture_output=True, text=True).stdout
        words = out.split()
        assert words[:1] == ["two"]
        assert {"pygroup", "motd", "new", "out", "passwd"} <= set(words)
        assert "link" not in words


def test_programs_started_from_threads_at_once(image: Image) -> None:
    with image.container() as c:
        results: list[bytes] = []

        def work(number: int) -> None:
            results.append(
                c.run(["sh", "-c", f"echo {number} > /f{number}; cat /f{number}"], capture_output=True).stdout
            )

        c.run(["true"])
        threads = [threading.Thread(target=work, args=(i,)) for i in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(map(int, results)) == list(range(12))


def test_named_containers_stay_and_are_found(store: Store, image: Image) -> None:
    with image.container("kept", env={"X": "1"}) as c:
        c.run(["sh", "-c", "echo $X > /x"], check=True)
    found = store.container("kept")
    assert isinstance(found, Container)
    assert found.fs.readtext("/x") == "1\n"
    with pytest.raises(NameInUse):
        image.container("kept")
    found.remove()
    with pytest.raises(UnknownContainer):
        store.container("kept")


def test_binds_directories_and_host(store: Store, image: Image, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_text("host")
    with image.container(binds=[Bind(str(tmp_path / "d"), "/mnt/d", read_only=True)]) as c:
        assert c.run(["cat", "/mnt/d/f"], capture_output=True).stdout == b"host"
        assert c.run(["sh", "-c", "echo x > /mnt/d/f"], capture_output=True).returncode != 0
    with store.overlay(tmp_path / "d") as c:
        c.fs.writetext("/f", "changed")
        assert (tmp_path / "d" / "f").read_text() == "host"
    with store.image("host").container() as c:
        assert c.fs.readtext(str(tmp_path / "d" / "f")) == "host"


def test_unknown_things_are_typed_errors(store: Store) -> None:
    with pytest.raises(UnknownImage):
        store.image("nope")
    with pytest.raises(UnknownContainer):
        store.container("nope")


def test_closing_leaves_no_process_and_no_session(image: Image, tmp_path: Path) -> None:
    c = image.container("c")
    c.run(["true"])
    c.close()
    c.close()
    deadline = time.monotonic() + 20
    while list((tmp_path / "store" / "containers").glob("*/launch-*")):
        assert time.monotonic() < deadline, "the hydrator stays"
        time.sleep(0.05)


def test_importing_the_package_is_cheap() -> None:
    script = "import sys, rootlay.vfs; print([m for m in ('fs', 'lmdb', 'zstandard', 'typer') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
