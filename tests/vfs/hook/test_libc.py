"""What reaches files by other ways than Python's own functions: libc by ctypes, sockets, users, watches."""

from __future__ import annotations

import ctypes
import grp
import os
import pwd
import socket
import struct
from pathlib import Path

import pytest

from rootlay.vfs import Container


class Found(ctypes.Structure):
    """glob_t"""

    _fields_ = (
        ("count", ctypes.c_size_t),
        ("paths", ctypes.POINTER(ctypes.c_char_p)),
        ("more", ctypes.c_char * 100),
    )


def libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def test_functions_that_are_looked_up_by_name_are_hooked(container: Container) -> None:
    names = ctypes.POINTER(ctypes.c_char_p)()
    with container.activate():
        fd = libc().open(b"/etc/motd", os.O_RDONLY)
        assert os.read(fd, 100) == b"welcome\n"
        os.close(fd)
        openat = 257 if os.uname().machine == "x86_64" else 56
        assert libc().syscall(openat, -100, b"/made-by-syscall", os.O_CREAT | os.O_WRONLY, 0o600) >= 0
        assert os.path.exists("/made-by-syscall")
        assert libc().scandir(b"/usr/share/doc", ctypes.byref(names), None, None) == 4
        found = Found()
        assert libc().glob(b"/usr/share/doc/*/read*", 0, None, ctypes.byref(found)) == 0
        assert found.paths[: found.count] == [b"/usr/share/doc/one/readme", b"/usr/share/doc/two/readme"]
        libc().globfree(ctypes.byref(found))


@pytest.mark.parametrize("where", ["/tmp", "/usr/share/doc/" + "long/" * 30])
def test_sockets_are_files_inside(container: Container, where: str) -> None:
    with container.activate():
        os.makedirs(where, exist_ok=True)
        os.chdir(where)
        name = os.path.join(os.getcwd(), "s") if len(where) < 60 else "s"
        with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
            server.bind(name)
            server.listen()
            if name != "s":
                assert server.getsockname() == name
            with socket.socket(socket.AF_UNIX) as second, pytest.raises(OSError, match="in use"):
                second.bind(name)
            client.connect(name)
            connection, _ = server.accept()
            client.sendall(b"x")
            assert connection.recv(1) == b"x"
            connection.close()
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server,
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client,
        ):
            server.bind("datagrams")
            client.sendto(b"one", "datagrams")
            client.sendmsg([b"two"], [], 0, "datagrams")
            assert [server.recv(9), server.recv(9)] == [b"one", b"two"]
            client.bind("answers")
            client.sendto(b"three", "datagrams")
            data, real = server.recvfrom(9)  # not hooked: the name outside
            server.sendto(data, real if name != "s" else "answers")  # that of a long path leads nowhere
            assert client.recv(9) == b"three"
        with socket.socket(socket.AF_UNIX) as client, pytest.raises(FileNotFoundError):
            client.connect("/nobody")
    assert not os.path.exists(os.path.join(where, "datagrams"))


def test_users_and_groups_are_the_images(container: Container) -> None:
    with container.activate():
        assert pwd.getpwnam("user").pw_uid == 1234
        assert pwd.getpwuid(1234).pw_dir == "/home/user"
        assert [entry.pw_name for entry in pwd.getpwall()] == ["root", "user"]
        assert grp.getgrnam("extra").gr_mem == ["user"]
        assert grp.getgrgid(1235).gr_name == "user"
        assert sorted(os.getgrouplist("user", 1235)) == [77, 1235]
        assert os.path.expanduser("~user/x") == "/home/user/x"
        with pytest.raises(KeyError):
            pwd.getpwnam("nobody-has-this-name")
        os.unlink("/etc/passwd")
        with pytest.raises(KeyError):
            pwd.getpwuid(0)
    assert pwd.getpwuid(0).pw_name == "root"


def test_watches_are_of_files_inside(container: Container) -> None:
    with container.activate():
        fd = libc().inotify_init1(os.O_NONBLOCK)
        os.mkdir("/watched")
        assert libc().inotify_add_watch(fd, b"/watched", 0x100) >= 0  # IN_CREATE
        Path("/watched/new").write_text("")
        assert b"new" in os.read(fd, 4096)
        os.close(fd)


def test_changes_of_the_image_s_files_are_reported_and_nothing_else(container: Container) -> None:
    with container.activate():
        fd = libc().inotify_init1(os.O_NONBLOCK)
        assert libc().inotify_add_watch(fd, b"/etc", 0x3CE) == 1  # all changes
        assert libc().inotify_add_watch(fd, b"/etc/motd", 0x2) == 2  # IN_MODIFY
        with open("/etc/passwd", "ab", buffering=0) as file:
            file.write(b"more")
        os.rename("/etc/passwd", "/etc/moved")
        os.unlink("/etc/moved")
        with open("/etc/motd", "ab", buffering=0) as file:
            file.write(b"more")
        found = events(fd)
        os.close(fd)
    assert found == [
        (1, 0x2, b"passwd"), (1, 0x8, b"passwd"), (1, 0x40, b"passwd"), (1, 0x80, b"moved"), (1, 0x200, b"moved"),
        (1, 0x2, b"motd"), (2, 0x2, b""), (1, 0x8, b"motd"),
    ]  # fmt: skip


def events(fd: int) -> list[tuple[int, int, bytes]]:
    """Watch, mask and name of each event that is there."""
    data, found = os.read(fd, 65536), []
    while data:
        wd, mask, _, size = struct.unpack_from("iIII", data)
        found.append((wd, mask, data[16 : 16 + size].rstrip(b"\0")))
        data = data[16 + size :]
    return found


class Handle(ctypes.Structure):
    """struct file_handle, with room for the kernel's longest."""

    _fields_ = (("room", ctypes.c_uint), ("type", ctypes.c_int), ("text", ctypes.c_ubyte * 128))


def handle(path: bytes, dirfd: int = -100, flags: int = 0, room: int = 128) -> tuple[int, int, bytes, int]:
    """Bytes, type, content and mount."""
    found, mount = Handle(room), ctypes.c_int(-1)
    if libc().name_to_handle_at(dirfd, path, ctypes.byref(found), ctypes.byref(mount), flags) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{os.strerror(code)}: {found.room}")
    return found.room, found.type, bytes(found.text[: found.room]), mount.value


def test_handles_are_a_files_for_life(container: Container) -> None:
    follow, empty = 0x400, 0x1000
    with container.activate():
        os.symlink("share/doc/one/readme", "/usr/link")
        first = handle(b"/usr/share/doc/one/readme")
        assert handle(b"/usr/share/../share/doc/one/readme") == first == handle(b"/usr/link", flags=follow)
        assert handle(b"/usr/link") != first != handle(b"/usr/share/doc/two/readme")
        Path("/usr/share/doc/one/readme").write_text("copied up")
        assert handle(b"/usr/share/doc/one/readme") == first
        os.rename("/usr/share/doc", "/moved")
        os.chdir("/moved/one")
        assert handle(b"readme") == first
        fd = os.open("readme", os.O_RDONLY)
        assert handle(b"", fd, empty) == first
        os.close(fd)
        found, mount = Handle(128), ctypes.c_int()
        number = 303 if os.uname().machine == "x86_64" else 264
        libc().syscall(number, -100, b"readme", ctypes.byref(found), ctypes.byref(mount), 0)
        assert (found.room, found.type, bytes(found.text[: found.room]), mount.value) == first
        for name, more, says in (
            (b"none", {}, "No such file"),
            (b"readme", {"flags": 0x4000}, "Invalid"),
            (b"readme", {"room": 129}, "Invalid"),
            (b"readme", {"room": 1}, f"Value too large.*: {first[0]}"),
        ):
            with pytest.raises(OSError, match=says):
                handle(name, **more)


def test_handles_of_descriptors_from_outside_are_the_kernels(container: Container, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    fd, directory = os.open(tmp_path / "f", os.O_RDONLY), os.open(tmp_path, os.O_RDONLY)
    try:
        expected = handle(b"", fd, 0x1000)
    except OSError:
        expected = None  # a file system without
    with container.activate():
        if expected is None:
            with pytest.raises(OSError, match="not supported"):
                handle(b"", fd, 0x1000)
        else:
            assert handle(b"", fd, 0x1000) == handle(b"f", directory) == expected
    os.close(fd)
    os.close(directory)


def test_descriptors_of_the_engine_are_out_of_a_programs_way(container: Container) -> None:
    before = set(os.listdir("/proc/self/fd"))  # of other tests in this process
    with container.activate():
        for _ in range(20):  # from a layer that is read often, names are opened by way of a descriptor
            Path("/etc/motd").read_text()
        links = [f"/proc/self/fd/{fd}" for fd in set(os.listdir("/proc/self/fd")) - before if int(fd) < 256]
        assert not [link for link in links if os.path.islink(link) and "/views/" in os.readlink(link)]
        os.closerange(200, 4000)
        assert Path("/etc/motd").read_text() == "welcome\n"
        assert Path("/usr/share/doc/one/readme").read_text() == "one\n"
        assert os.getcwd() == "/"
        assert Path("/usr/share/doc/two/readme").read_text() == "two\n"
    assert container.fs.readtext("/etc/motd") == "welcome\n"
