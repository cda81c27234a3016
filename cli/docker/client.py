"""The client in `version` and `info`: rootlay's own command, with the members of Docker's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

BUILT = ("GitCommit", "GoVersion", "Os", "Arch", "BuildTime")


def context_name(environ: Mapping[str, str]) -> str:
    """Return the name of Docker's context."""
    return environ.get("DOCKER_CONTEXT") or "default"


def client_info(server: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the ClientInfo of `info`. `server`: the answer to /version, which comes from the same program."""
    return {
        "Debug": False,
        "Version": server["Version"],
        **{name: server[name] for name in BUILT},
        "Context": context_name(environ),
        "Plugins": [],
        "Warnings": None,
    }
