"""Inside an activation this process sees the container; outside, and afterwards, what it saw before."""

from __future__ import annotations

import errno
import importlib.util
import os
import stat
import sys
from pathlib import Path

import pytest

from rootlay.vfs import Container, Image
from rootlay.vfs.hook.activation import ActivationMisused
from tests.vfs.hook.pointers import hooked_pointers


def test_files_of_the_image_are_read_and_changed(container: Container, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("of the machine")
    with container.activate():
        assert Path("/etc/motd").read_text() == "welcome\n"
        assert not mine.exists()
        assert sorted(os.listdir("/usr/share/doc")) == ["one", "two"]
        Path("/etc/motd").write_text("changed\n")
        os.rename("/usr/share/doc/one", "/usr/share/doc/first")
        os.mkdir("/made", 0o750)
        os.unlink("/etc/link")
        assert stat.S_IMODE(os.stat("/made").st_mode) == 0o750
        assert sorted(os.listdir("/usr/share/doc")) == ["first", "two"]
    assert mine.read_text() == "of the machine"
    assert not os.path.exists("/made")
    assert container.fs.readtext("/etc/motd") == "changed\n"
    assert not container.fs.exists("/etc/link")
    assert container.fs.readtext("/usr/share/doc/first/readme") == "one\n"


def test_what_the_container_changes_otherwise_is_seen_at_once(container: Container) -> None:
    with container.activate():
        assert not os.path.exists("/new")
        container.fs.writetext("/new", "x")
        assert Path("/new").read_text() == "x"


def test_relative_names_and_the_working_directory_are_the_activations_own(container: Container) -> None:
    before = os.getcwd()
    with container.activate(cwd="/usr/share"):
        assert os.getcwd() == "/usr/share"
        assert os.listdir("doc/one") == ["readme"]
        os.chdir("doc")
        assert os.path.realpath("one/../two/readme") == "/usr/share/doc/two/readme"
        assert os.readlink("/proc/self/cwd") == "/usr/share/doc"
        with container.activate():
            assert os.getcwd() == "/"
        assert os.getcwd() == "/usr/share/doc"
    assert os.getcwd() == before
    assert os.readlink("/proc/self/cwd") == before
    with pytest.raises(FileNotFoundError), container.activate(cwd="/missing"):
        pass
    assert os.getcwd() == before


def test_relative_names_are_never_those_of_the_machine(
    container: Container, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine's working directory has files of these names; inside, one is the image's, one copied up, one new."""
    for name in ("passwd", "motd", "new", "sub"):
        (tmp_path / name).write_text("of the machine")
    monkeypatch.chdir(tmp_path)
    with container.activate(cwd="/etc"):
        Path("motd").write_text("changed\n")
        Path("new").write_text("new\n")
        os.mkdir("sub")
        for _ in range(3):  # the quick ways, too
            assert Path("passwd").read_text().startswith("root:")
            assert Path("motd").read_text() == "changed\n"
            assert Path("new").read_text() == "new\n"
            assert os.stat("new").st_size == 4
            assert os.listdir("sub") == []
            assert not os.access("none", os.F_OK)
        directory = os.open(".", os.O_RDONLY)
        opened = os.open("new", os.O_RDONLY, dir_fd=directory)
        assert os.read(opened, 9) == b"new\n"
        os.close(opened)
        os.close(directory)
        os.chdir("sub")
        Path("motd").write_text("deeper\n")
        assert Path("motd").read_text() == "deeper\n"
        assert Path("../motd").read_text() == "changed\n"
        assert not Path("passwd").exists()
    assert Path("motd").read_text() == Path("new").read_text() == "of the machine"


def test_errors_name_what_the_program_named(container: Container) -> None:
    with container.activate():
        with pytest.raises(FileNotFoundError) as caught:
            Path("/nowhere/x").read_text()
        assert caught.value.filename == "/nowhere/x"
        with pytest.raises(NotADirectoryError):
            os.listdir(b"/etc/motd")
        with pytest.raises(ValueError, match="null"):
            os.stat("a\0b")


def test_descriptors_from_outside_stay_what_they_were(container: Container, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("outside")
    directory = os.open(tmp_path, os.O_RDONLY)
    try:
        with container.activate():
            with open(os.open("file", os.O_RDONLY, dir_fd=directory)) as file:
                assert file.read() == "outside"
            assert os.listdir(directory) == ["file"]
            assert os.stat("file", dir_fd=directory).st_size == 7
            os.mkdir("made", dir_fd=directory)
            assert os.fstat(directory).st_ino == os.stat(".", dir_fd=directory).st_ino
    finally:
        os.close(directory)
    assert (tmp_path / "made").is_dir()


def test_the_interpreters_own_files_are_there_and_read_only(container: Container) -> None:
    library = os.path.dirname(os.__file__)
    with container.activate():
        assert os.path.isfile(os.__file__)
        with pytest.raises(OSError, match=os.strerror(errno.EROFS)):
            Path(library, "mine.txt").write_text("")
        with pytest.raises(OSError, match=os.strerror(errno.EROFS)):
            os.mkdir(os.path.join(library, "mine"))
        assert not os.access(library, os.W_OK)
        assert importlib.util.find_spec("nobody_has_this_module") is None


def test_every_pointer_is_put_back(container: Container) -> None:
    assert hooked_pointers() == 0
    activation = container.activate()
    assert hooked_pointers() == 0
    with activation:
        assert hooked_pointers() > 0
        with container.activate():
            pass
        assert hooked_pointers() > 0
    assert hooked_pointers() == 0


def test_an_open_directory_keeps_what_it_needs(container: Container) -> None:
    with container.activate():
        entries = os.scandir("/usr/share/doc")
        first = next(entries)
    names = {first.name, *(entry.name for entry in entries)}
    assert names == {"one", "two"}
    entries.close()
    with container.activate():
        pass
    assert hooked_pointers() == 0


def test_two_containers_side_by_side_and_one_in_the_other(image: Image) -> None:
    with image.container() as one, image.container() as two:
        with one.activate():
            Path("/tag").write_text("one")
            with two.activate():
                assert not os.path.exists("/tag")
                Path("/tag").write_text("two")
            assert Path("/tag").read_text() == "one"
        with two.activate():
            assert Path("/tag").read_text() == "two"


def test_users_of_the_image(container: Container) -> None:
    with container.activate():
        assert os.stat("/etc").st_uid == container.overlay.stat("/etc").uid
        assert os.getcwd() == "/"
        os.chmod("/root", 0o700)
        Path("/root/secret").write_text("x")
        os.chown("/root/secret", 1234, 1235)
        assert os.stat("/root/secret").st_uid == 1234
    with container.activate(user="user"):
        with pytest.raises(PermissionError):
            os.listdir("/root")
        Path("/tmp/mine").write_text("x")
        assert (os.stat("/tmp/mine").st_uid, os.stat("/tmp/mine").st_gid) == (1234, 1235)


def test_the_umask_is_the_process_own(container: Container) -> None:
    before = os.umask(0o027)
    try:
        with container.activate():
            os.mkdir("/a")
            Path("/b").write_text("")
            os.umask(0o077)
            os.mkdir("/c", 0o777)
            Path("/etc/motd").read_text()
            os.chmod("/usr/share/doc", 0o777)  # a copy-up: exactly this mode, whatever the umask
            modes = {path: stat.S_IMODE(os.stat(path).st_mode) for path in ("/a", "/b", "/c", "/usr/share/doc")}
        assert modes == {"/a": 0o750, "/b": 0o640, "/c": 0o700, "/usr/share/doc": 0o777}
        assert os.umask(0o027) == 0o077
    finally:
        os.umask(before)


def test_misuse_has_errors_of_its_own(container: Container) -> None:
    activation = container.activate()
    with pytest.raises(ActivationMisused):
        activation.__exit__(None, None, None)
    with activation, pytest.raises(ActivationMisused), activation:
        pass
    with activation:
        assert Path("/etc/motd").exists()


def test_a_closed_container_is_an_error_and_not_the_machine(image: Image) -> None:
    container = image.container()
    activation = container.activate()
    with activation:
        container.close()
        with pytest.raises(OSError, match=os.strerror(errno.ESTALE)):
            Path("/etc/passwd").read_text()
        with pytest.raises(OSError, match=os.strerror(errno.ESTALE)):
            os.mkdir("/made-by-nobody")
    with pytest.raises(OSError, match=os.strerror(errno.ESTALE)), activation:
        pass
    assert hooked_pointers() == 0


def test_directories_on_the_way_to_the_interpreter_are_directories(container: Container) -> None:
    way = str(Path(sys.prefix).parent)
    with container.activate():
        assert os.path.isdir(way)
        assert os.access(way, os.R_OK)
        with pytest.raises(FileExistsError):
            os.mkdir(way)
        os.makedirs(way, exist_ok=True)
        Path(way, "made").write_text("x")
        assert "made" in os.listdir(way)
        os.chdir(way)
        assert Path("made").read_text() == "x"
    assert not Path(way, "made").exists()
