"""The place of the user's own store: the one module outside the command line that reads the environment.

Rules:
1. `ROOTLAY_ROOT`, if it is set and not empty: that directory; a relative one is relative to the working directory.
2. Else `rootlay` in the user's data directory: `XDG_DATA_HOME` if it is absolute (the XDG base directory specification
   says to ignore others), else `.local/share` in the home directory.
3. The home directory is `HOME` if it is absolute, else that of the user database; without either there is an error.
4. All callers use this module: the command line, `Store.open`, fsspec, PyFilesystem2, universal_pathlib, pytest's
   fixtures. So a variable applies to all of them. The variables are read at the moment of use; nothing is cached.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from rootlay.store.model.errors import RootlayError

VARIABLE = "ROOTLAY_ROOT"


class NoHome(RootlayError):
    """The place of the user's own store is unknown."""

    def __init__(self, uid: int) -> None:
        super().__init__(
            f"no place for images and containers: {VARIABLE} and HOME are not set, and user {uid} has no home "
            f"directory; set {VARIABLE} to a directory"
        )
        self.uid = uid


def user_root(environ: Mapping[str, str] | None = None) -> Path:
    """Return the root of the user's own store, absolute; it need not exist.

    Args:
        environ: by default, the environment of this process.

    Raises:
        NoHome: neither the environment nor the user database names it.
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
    """Return the user's home directory: `HOME`, if that is absolute, else the entry of the user database."""
    if said.startswith("/"):
        return Path(said)
    import pwd

    try:
        home = pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return None
    return Path(home) if home.startswith("/") else None
