"""The options of an empty directory, as in mount(8): `--tmpfs CTR:OPTION,…`, and `HostConfig.Tmpfs` of the API."""

from __future__ import annotations

import re

from rootlay.store.containers.record import Bind

_FLAGS = frozenset(
    "async atime bind defaults dev diratime dirsync exec mand noatime nodev nodiratime noexec nomand norelatime "
    "nostrictatime nosuid private rbind relatime remount ro rprivate rshared rslave runbindable rw shared slave "
    "strictatime suid sync unbindable".split()
)
"""Those that Docker knows. Only `ro` and `rw` have an effect: nothing is mounted."""
_NUMBER = r"\d{1,18}"
_VALUES = {
    "mode": r"[0-7]{1,5}",
    "uid": r"\d{1,10}",
    "gid": r"\d{1,10}",
    "size": rf"{_NUMBER}[kKmMgGtTpPeE]?|{_NUMBER}%",
    "nr_inodes": rf"{_NUMBER}[kKmMgGtTpPeE]?",
    "nr_blocks": rf"{_NUMBER}[kKmMgGtTpPeE]?",
    "mpol": r".+",
}
_ID_MAX = (1 << 32) - 2


def parse_tmpfs_options(target: str, text: str) -> Bind:
    """Return the empty directory at `target`; of repeated options the last counts. Raises ValueError."""
    read_only = False
    given: dict[str, str] = {}
    for word in text.split(",") if text else ():
        name, sign, amount = word.partition("=")
        if not sign and name in _FLAGS:
            read_only = {"ro": True, "rw": False}.get(name, read_only)
        elif not sign or name not in _VALUES:
            raise ValueError(f'invalid tmpfs option ["{word[:80]}"]')
        elif not re.fullmatch(_VALUES[name], amount, re.ASCII) or (name in ("uid", "gid") and int(amount) > _ID_MAX):
            raise ValueError(f'invalid value of the tmpfs option ["{word[:80]}"]')
        else:
            given[name] = amount
    return tmpfs(
        target, read_only, int(given.get("mode", "1777"), 8), int(given.get("uid", 0)), int(given.get("gid", 0))
    )


def tmpfs(target: str, read_only: bool, mode: int, user: int = 0, group: int = 0) -> Bind:
    """Return an empty directory with this owner and these permission bits."""
    return Bind("", target, read_only, owner=(user, group, mode & 0o7777), kind="tmpfs")
