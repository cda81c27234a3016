"""Names of volumes, and targets of mounts."""

from __future__ import annotations

import os
import re

from rootlay.cli.spec import UsageError

VOLUME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")


def mount_target(option: str, text: str, target: str) -> str:
    """Return a target as it is given. Raises UsageError for a relative one, and for the root."""
    if not target.startswith("/"):
        raise UsageError(f"{option} {text}: the path inside must be absolute")
    if os.path.normpath(target).strip("/") == "":
        raise UsageError(f"{option} {text}: the root cannot be a bind: use --lower")
    return target
