"""`-u` and USER: Docker's rules, from the image's own files."""

from __future__ import annotations

import pytest

from rootlay.vfs.run.user import UnknownUser, find_identity

FILES = {
    b"/etc/passwd": b"root:x:0:0:root:/root:/bin/sh\nwww:x:33:34::/var/www:/bin/sh\nbroken\nbad:x:y:z::/:\n",
    b"/etc/group": b"root:x:0:\nwww:x:34:\nstaff:x:50:www,other\nvideo:x:44:www\n",
}


def read(path: bytes) -> bytes | None:
    return FILES.get(path)


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", (0, 0, (0,), "/root")),
        ("root", (0, 0, (0,), "/root")),
        ("www", (33, 34, (34, 44, 50), "/var/www")),
        ("33", (33, 34, (34, 44, 50), "/var/www")),
        ("www:staff", (33, 50, (50,), "/var/www")),
        ("www:7", (33, 7, (7,), "/var/www")),
        ("1234", (1234, 0, (0,), "/")),
        ("1234:5678", (1234, 5678, (5678,), "/")),
        (":staff", (0, 50, (50,), "/root")),
    ],
)
def test_identity_follows_the_images_files(user: str, expected: tuple[int, int, tuple[int, ...], str]) -> None:
    found = find_identity(user, read)
    assert (found.uid, found.gid, found.groups, found.home) == expected


@pytest.mark.parametrize(("user", "kind"), [("nobodyknows", "user"), ("www:nogroup", "group")])
def test_an_unknown_name_is_an_error(user: str, kind: str) -> None:
    with pytest.raises(UnknownUser, match=f"unable to find {kind}"):
        find_identity(user, read)


def test_root_needs_no_file() -> None:
    def fail(path: bytes) -> bytes:
        raise AssertionError(path)

    assert find_identity("0", fail).uid == 0


def test_a_number_works_in_an_image_without_passwd() -> None:
    assert find_identity("12:34", lambda path: None).gid == 34
