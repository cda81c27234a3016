"""ACLs as values and as the texts that tar programs write."""

from __future__ import annotations

import pytest

from rootlay.store.model import posixacl
from rootlay.store.model.entry import Entry, EntryType
from rootlay.store.model.posixacl import ACCESS, DEFAULT, GROUP, GROUP_OBJ, MASK, NO_ID, OTHER, USER, USER_OBJ
from rootlay.store.tar.writer import END_OF_ARCHIVE, encode_entry
from tests.support.archives.make import make_tar, read_tar

pytestmark = pytest.mark.once

ACL = (
    (USER_OBJ, 6, NO_ID), (USER, 4, 1000), (GROUP_OBJ, 4, NO_ID), (GROUP, 7, 50), (MASK, 6, NO_ID), (OTHER, 0, NO_ID),
)  # fmt: skip

TEXTS = {
    "star": b"user::rw-,user:lisa:r--:1000,group::r--,group:staff:rwx:50,mask::rw-,other::---",
    "GNU tar": b"user::rw-\nuser:1000:r--\ngroup::r--\ngroup:50:rwx\t#effective:rw-\nmask::rw-\nother::---\n",
    "Solaris": b"user::rw-,user:1000:r--,group::r--,group:50:rwx,mask:rw-,other:---",
    "short": b"u::rw,u:1000:r,g::r,g:50:rwx,m::rw,o::",
    "another order": b"mask::rw-,other::---,group:50:rwx,group::r--,user:1000:r--,user::rw-",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_texts_of_all_programs_are_read(text: bytes) -> None:
    assert posixacl.of_text(text) == ACL


@pytest.mark.parametrize(
    "text", [b"", b"user::rw-", b"x::r,group::r,other::r", b"user::q,group::r,other::r", b":", b"user"]
)
def test_malformed_texts_are_no_acl(text: bytes) -> None:
    assert posixacl.of_text(text) is None


def test_a_name_without_a_number_loses_its_entry_alone() -> None:
    text = b"user::rw-,user:lisa:rwx,user:root:r--,group::r--,mask::rw-,other::---"
    expected = ((USER_OBJ, 6, NO_ID), (USER, 4, 0), (GROUP_OBJ, 4, NO_ID), (MASK, 6, NO_ID), (OTHER, 0, NO_ID))
    assert posixacl.of_text(text) == expected


def test_a_text_says_the_same_as_the_acl() -> None:
    assert posixacl.of_text(posixacl.text_of(ACL)) == ACL
    assert posixacl.parse(posixacl.pack(ACL)) == ACL


def test_an_archive_with_a_text_sets_the_mode() -> None:
    text = TEXTS["star"].decode()
    [(_, entry)] = read_tar(make_tar([("f", "f", b"x")], pax_headers={"SCHILY.acl.access": text}, mode=0o4777))
    assert (entry.mode, entry.xattrs) == (0o4660, ((ACCESS, posixacl.pack(ACL)),))


def test_an_archive_says_it_in_both_forms() -> None:
    entry = Entry(EntryType.DIRECTORY, mode=0o660, xattrs=((ACCESS, posixacl.pack(ACL)), (DEFAULT, posixacl.pack(ACL))))
    header, _ = encode_entry(b"d", entry)
    for word in (
        b"SCHILY.acl.access=user::rw-,user:1000:r--,",
        b"SCHILY.acl.default=user::",
        b"xattr.system.posix_acl_access=",
    ):
        assert word in header
    assert [again.xattrs for _, again in read_tar(header + END_OF_ARCHIVE)] == [entry.xattrs]


def test_settling_is_what_the_kernel_does() -> None:
    value, plain = posixacl.pack(ACL), posixacl.pack((ACL[0], ACL[2], ACL[5]))
    settle = posixacl.settle
    assert settle(((ACCESS, value),), 0o4777, is_directory=False, is_link=False) == (((ACCESS, value),), 0o4660)
    assert settle(((ACCESS, plain),), 0o777, is_directory=False, is_link=False) == ((), 0o640)
    for broken in (b"", b"x", value[:-1], value[:-8], b"\3" + value[1:]):
        assert settle(((ACCESS, broken),), 0o777, is_directory=True, is_link=False) == ((), 0o777)
    assert settle(((DEFAULT, value),), 0o777, is_directory=False, is_link=False) == ((), 0o777)
    assert settle(((DEFAULT, value),), 0o777, is_directory=True, is_link=False) == (((DEFAULT, value),), 0o777)
    assert settle(((ACCESS, value),), 0o777, is_directory=False, is_link=True) == ((), 0o777)
