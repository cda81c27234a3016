"""POSIX ACLs: the attributes `system.posix_acl_access` and `system.posix_acl_default`, and their text in tar archives.

The rules are those of the kernel (acl(5)); `vfs/csrc/core/layers/acl.c` has the same ones. Texts are as
GNU tar, bsdtar and star write them, in `SCHILY.acl.access` and `SCHILY.acl.default`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from struct import Struct

from rootlay.store.model.entry import Xattrs

ACCESS = b"system.posix_acl_access"
DEFAULT = b"system.posix_acl_default"
NAMES = frozenset({ACCESS, DEFAULT})

USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
NO_ID = 0xFFFFFFFF

Acl = tuple[tuple[int, int, int], ...]
"""Entries in the kernel's order: (tag, permissions 0 to 7, uid or gid of a USER or GROUP, else NO_ID)."""

_VERSION = b"\2\0\0\0"
_ENTRY = Struct("<HHI")
_NAMED = (USER, GROUP)
_FOLLOWS = {0: (USER_OBJ,), USER_OBJ: (USER, GROUP_OBJ), USER: (USER, GROUP_OBJ), GROUP_OBJ: (GROUP, MASK, OTHER),
            GROUP: (GROUP, MASK), MASK: (OTHER,)}  # fmt: skip
_TAGS = {b"user": (USER_OBJ, USER), b"u": (USER_OBJ, USER), b"group": (GROUP_OBJ, GROUP), b"g": (GROUP_OBJ, GROUP),
         b"mask": (MASK, MASK), b"m": (MASK, MASK), b"other": (OTHER, OTHER), b"o": (OTHER, OTHER)}  # fmt: skip
_WORDS = {USER_OBJ: b"user", USER: b"user", GROUP_OBJ: b"group", GROUP: b"group", MASK: b"mask", OTHER: b"other"}


class UnknownAclVersion(ValueError):
    """The value of an attribute has another version than the kernel's."""


def parse(value: bytes) -> Acl:
    """Return the entries of an attribute; none for a value without entries. Raises ValueError, UnknownAclVersion."""
    if len(value) < 4:
        raise ValueError("an ACL is at least 4 bytes")
    if value[:4] != _VERSION:
        raise UnknownAclVersion("not an ACL of version 2")
    if (len(value) - 4) % _ENTRY.size:
        raise ValueError("an ACL has entries of 8 bytes")
    found = []
    for tag, permissions, number in _ENTRY.iter_unpack(value[4:]):
        if tag not in _WORDS:
            raise ValueError(f"an ACL has no entries of type {tag}")
        found.append((tag, permissions, number if tag in _NAMED else NO_ID))
    return tuple(found)


def pack(acl: Acl) -> bytes:
    """Return the value of an attribute."""
    return _VERSION + b"".join(_ENTRY.pack(*entry) for entry in acl)


def is_valid(acl: Acl) -> bool:
    """Return whether the entries are complete and in the kernel's order (posix_acl_valid)."""
    before, named = 0, False
    for tag, permissions, number in acl:
        if tag not in _FOLLOWS.get(before, ()) or permissions > 7 or (tag in _NAMED and number == NO_ID):
            return False
        named |= tag in _NAMED
        if tag == OTHER and before == GROUP_OBJ and named:
            return False
        before = tag
    return before == OTHER


def valid_of(xattrs: Iterable[tuple[bytes, bytes]], name: bytes) -> Acl | None:
    """Return the ACL among the attributes of an object; None if it has none that is valid."""
    for key, data in xattrs:
        if key == name:
            try:
                acl = parse(data)
            except ValueError:
                return None
            return acl if is_valid(acl) else None
    return None


def acls_of(xattrs: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[bytes, bytes], ...]:
    """Return those of the attributes that are ACLs."""
    return tuple(pair for pair in xattrs if pair[0] in NAMES)


def is_mode(acl: Acl) -> bool:
    """Return whether the permission bits of a mode say the same as this valid ACL."""
    return len(acl) == 3


def group_tag(acl: Acl) -> int:
    """Return the type of the entry that the group's bits of the mode are."""
    return MASK if any(tag == MASK for tag, _, _ in acl) else GROUP_OBJ


def with_mode(acl: Acl, mode: int) -> Acl:
    """Return a valid ACL after a chmod(2)."""
    bits = {USER_OBJ: mode >> 6 & 7, group_tag(acl): mode >> 3 & 7, OTHER: mode & 7}
    return tuple((tag, bits.get(tag, permissions), number) for tag, permissions, number in acl)


def mode_of(acl: Acl, mode: int) -> int:
    """Return `mode` with the permission bits of a valid ACL."""
    bits = {tag: permissions for tag, permissions, _ in acl}
    return mode & ~0o777 | bits[USER_OBJ] << 6 | bits[group_tag(acl)] << 3 | bits[OTHER]


def inherit(default: Acl, mode: int) -> tuple[Acl, int]:
    """Return the access ACL and the mode of a new object, made with `mode` in a directory with a default ACL."""
    mode &= mode_of(default, mode)
    return with_mode(default, mode), mode


def permits(acl: Acl, uid: int, groups: Iterable[int], owner_gid: int, wanted: int) -> bool:
    """Return whether a user who does not own the object may READ 4, WRITE 2, EXECUTE 1 it."""
    mine = set(groups)
    mask = next((permissions for tag, permissions, _ in acl if tag == MASK), 7)
    for tag, permissions, number in acl:
        if tag == USER and number == uid:
            return not wanted & ~(permissions & mask)
    matching = [permissions for tag, permissions, number in acl
                if (tag == GROUP_OBJ and owner_gid in mine) or (tag == GROUP and number in mine)]  # fmt: skip
    if matching:
        return any(not wanted & ~(permissions & mask) for permissions in matching)
    return not wanted & ~acl[-1][1]


def text_of(acl: Acl) -> bytes:
    """Return the text, with numbers for names: `user::rw-,user:1000:r--,…`."""
    return b",".join(
        b"%s:%s:%s" % (_WORDS[tag], b"" if number == NO_ID else b"%d" % number, _letters(permissions))
        for tag, permissions, number in acl
    )


def _letters(permissions: int) -> bytes:
    return b"".join(letter if permissions & bit else b"-" for letter, bit in ((b"r", 4), (b"w", 2), (b"x", 1)))


def of_text(text: bytes) -> Acl | None:
    """Return the ACL of a text; None for a malformed one.

    An entry of a name without a number is left out: the layer does not say which user it is. (The number of root is 0.
    star and bsdtar append numbers; GNU tar writes them with --numeric-owner.)
    """
    found: list[tuple[int, int, int]] = []
    for line in re.split(rb"[,\n]", text):
        words = [word.strip() for word in line.partition(b"#")[0].split(b":")]
        if words == [b""]:
            continue
        entry = _entry_of(words)
        if entry is None:
            return None
        found += entry
    acl = tuple(sorted(found, key=lambda entry: (entry[0], entry[2])))
    return acl if is_valid(acl) else None


def _entry_of(words: list[bytes]) -> list[tuple[int, int, int]] | None:
    """Return the entry of a line; an empty list for one that is left out; None for a malformed one."""
    tags = _TAGS.get(words[0])
    if tags is None or not 2 <= len(words) <= 4:
        return None
    if len(words) == 2:  # Solaris: `other:r-x`
        words = [words[0], b"", words[1]]
    name, letters = words[1], words[2]
    if set(letters) - set(b"rwx-"):
        return None
    permissions = sum(bit for letter, bit in ((b"r", 4), (b"w", 2), (b"x", 1)) if letter in letters)
    if tags[0] == tags[1] or not name:
        return [(tags[0], permissions, NO_ID)]
    number = words[3] if len(words) == 4 and words[3] else b"0" if name == b"root" else name
    if not number.isdigit() or len(number) > 10 or int(number) >= NO_ID:
        return []
    return [(tags[1], permissions, int(number))]


def settle(xattrs: Xattrs, mode: int, *, is_directory: bool, is_link: bool) -> tuple[Xattrs, int]:
    """Return the attributes and the mode of an object of a layer, as they are after setxattr(2) of its ACLs.

    An ACL that says no more than a mode becomes the mode. The kernel would refuse invalid ones: they are left out.
    """
    if NAMES.isdisjoint(name for name, _ in xattrs):
        return xattrs, mode
    kept = dict(xattrs)
    access, default = valid_of(xattrs, ACCESS), valid_of(xattrs, DEFAULT)
    if access is None or is_link:
        kept.pop(ACCESS, None)
    else:
        mode = mode_of(access, mode)
        if is_mode(access):
            del kept[ACCESS]
    if default is None or not is_directory:
        kept.pop(DEFAULT, None)
    return tuple(sorted(kept.items())), mode
