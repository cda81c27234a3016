"""Where the user's own store is: the one place outside the command line that reads the environment.

Rules:
1. `ROOTLAY_ROOT`, if it is set and not empty: that directory; a relative one counts from the working directory.
2. Else `rootlay` in the user's data directory: `XDG_DATA_HOME` if it is absolute (XDG base directory specification says
   that others are to be ignored), else `.local/share` in the home directory.
3. The home directory is `HOME` if it is absolute, else what the user database says; without either there is no answer.
4. Everybody asks here: the command line, `Store.open`, fsspec, PyFilesystem2, universal_pathlib, pytest's fixtures. So
   whoever sets a variable means all of them. PrefetchHints at the moment of use; nothing is remembered.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from rootlay.store.model.errors import RootlayError

VARIABLE = "ROOTLAY_ROOT"


class NoHome(RootlayError):
    """Nothing says where the user's own store is to be."""

    def __init__(self, uid: int) -> None:
        super().__init__(
            f"no place for images and containers: {VARIABLE} and HOME are not set, and user {uid} has no home "
            f"directory; set {VARIABLE}"
        )
        self.uid = uid


def user_root(environ: Mapping[str, str] | None = None) -> Path:
    """The root of the user's own store, absolute; it need not exist.

    Args:
        environ: the process's own environment by default.

    Raises:
        NoHome: nothing says where.
    """
    environ = os.environ if environ is None else environ
    if given := environ.get(VARIABLE):
        return Path(given).absolute()
    data = environ.get("XDG_DATA_HOME", "")
    if data.startswith("/"):
        return Path(data, "rootlay")
    home = find_home(environ.get("HOME", ""))
    if home is None:
        raise NoHome(os.getuid())
    return home / ".local" / "share" / "rootlay"


def find_home(said: str) -> Path | None:
    """The user's home directory: what `HOME` says, if that is absolute, else what the user database has."""
    if said.startswith("/"):
        return Path(said)
    import pwd

    try:
        home = pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return None
    return Path(home) if home.startswith("/") else None
