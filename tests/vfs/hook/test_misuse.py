"""What goes wrong around an activation has an error or a documented end, and loses nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rootlay.store.model.errors import UnknownContainer
from rootlay.vfs import Container, Image, Store
from rootlay.vfs.hook.activation import ActivationMisused
from rootlay.vfs.hook.library import HookEngineMissing, hook_library
from rootlay.vfs.run.user import UnknownUser
from tests.vfs.hook.pointers import hooked_pointers


def run(image: Image, body: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own, with `image` and `kept`, a container that stays."""
    code = f"""
import atexit, os, sys, threading
from pathlib import Path
from rootlay.vfs import Store
image = Store.open({str(image.root)!r}).image("small")
kept = image.container("kept")
{body}
"""
    return subprocess.run([sys.executable, "-W", "always", "-c", code], capture_output=True, text=True, timeout=120)


@pytest.fixture
def kept(image: Image) -> object:
    yield
    Store(image.root).container("kept").remove(force=True)


def test_an_activation_that_is_open_at_exit(image: Image, kept: object) -> None:
    done = run(
        image,
        """
kept.activate().__enter__()
file = open("/half", "w")
file.write("written")
atexit.register(lambda: Path("/at-exit").write_text("x"))
""",
    )
    assert done.returncode == 0
    assert "ResourceWarning: an activation was still open when the interpreter exited" in done.stderr
    assert "Traceback" not in done.stderr
    files = Store(image.root).container("kept").fs
    assert files.readtext("/half") == "written"
    assert files.readtext("/at-exit") == "x"
    assert not os.path.exists("/at-exit")


def test_a_process_that_is_killed_inside_loses_nothing(image: Image, kept: object) -> None:
    done = run(
        image,
        """
import signal
kept.activate().__enter__()
Path("/made").write_text("x")
os.unlink("/etc/motd")
os.kill(os.getpid(), signal.SIGKILL)
""",
    )
    assert done.returncode == -signal.SIGKILL
    container = Store(image.root).container("kept")
    assert container.fs.readtext("/made") == "x"
    with container.activate():
        assert not os.path.exists("/etc/motd")
        assert os.path.exists("/made")


def test_children_of_fork_are_inside_with_a_directory_of_their_own(container: Container) -> None:
    with container.activate(cwd="/etc"):
        pid = os.fork()
        if pid == 0:
            try:
                os.chdir("/usr")
                Path("/by-the-child").write_text(os.getcwd() + Path("/usr/share/doc/one/readme").read_text())
                os._exit(0)
            finally:
                os._exit(9)
        assert os.waitpid(pid, 0)[1] == 0
        assert Path("/by-the-child").read_text() == "/usrone\n"
        assert os.getcwd() == "/etc"
    assert not os.path.exists("/by-the-child")


def test_a_fork_beside_threads_that_are_inside(image: Image, kept: object) -> None:
    done = run(
        image,
        """
import contextvars
stop = False
def work():
    while not stop:
        open("/etc/motd").close(); os.listdir("/usr/share/doc")
with kept.activate():
    contexts = [contextvars.copy_context() for _ in range(3)]
    threads = [threading.Thread(target=context.run, args=(work,), daemon=True) for context in contexts]
    for thread in threads: thread.start()
    for _ in range(30):
        pid = os.fork()
        if pid == 0:
            ok = Path("/etc/motd").read_text() == "welcome\\n" and os.umask(0o22) is not None
            with kept.activate(cwd="/tmp"):
                ok = ok and os.getcwd() == "/tmp"
            os._exit(0 if ok else 1)
        assert os.waitpid(pid, 0)[1] == 0
    stop = True
    for thread in threads: thread.join()
print("done")
""",
    )
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr


def test_a_container_that_is_removed_elsewhere(image: Image) -> None:
    container = image.container("removed")
    with container.activate():
        Path("/made").write_text("x")
        Store(image.root).container("removed").remove(force=True)
        with pytest.raises(OSError, match=r".*"):
            Path("/more").write_text("x")
        assert not os.path.exists(Path(__file__).parent.parent / "no such")
    assert not os.path.exists("/more")
    container.close()
    assert hooked_pointers() == 0


def test_a_removed_container_cannot_be_entered(image: Image) -> None:
    container = image.container("gone")
    Store(image.root).container("gone").remove()
    with pytest.raises(UnknownContainer, match="gone"):
        container.activate()
    container.close()
    assert hooked_pointers() == 0


def test_unknown_users_and_missing_directories(container: Container) -> None:
    with pytest.raises(UnknownUser):
        container.activate(user="stranger")
    with pytest.raises(NotADirectoryError), container.activate(cwd="/etc/motd"):
        pass
    assert hooked_pointers() == 0


def test_left_in_another_context(container: Container) -> None:
    import contextvars

    activation = container.activate()
    with activation:
        with pytest.raises(ActivationMisused, match="context in which it was entered"):
            contextvars.copy_context().run(activation.__exit__, None, None, None)
        assert Path("/etc/motd").exists()


def test_an_activation_in_the_one_it_closes(image: Image) -> None:
    with image.container() as outer, outer.activate():
        Path("/tag").write_text("outer")
        with image.container() as inner, inner.activate():
            assert not Path("/tag").exists()
        assert Path("/tag").read_text() == "outer"
        with image.container() as inner:
            inner.activate().__enter__().__exit__(None, None, None)
    assert hooked_pointers() == 0


@pytest.mark.parametrize("answer", [OSError(22, "Invalid argument"), ValueError("unrecognized configuration name")])
def test_another_c_library_is_named(monkeypatch: pytest.MonkeyPatch, answer: Exception) -> None:
    """As musl's confstr answers: it does not know CS_GNU_LIBC_VERSION."""

    def confstr(_: str) -> str:
        raise answer

    monkeypatch.setattr(os, "confstr", confstr)
    with pytest.raises(HookEngineMissing, match="the C library is not glibc"):
        hook_library.__wrapped__()
