"""The list of verbs, and their modules."""

from __future__ import annotations

import sys

from rootlay.cli.spec import Verb

GROUPS: dict[str, tuple[str, ...]] = {
    "Containers": (
        *("run", "create", "start", "exec", "ps", "stop", "restart", "kill", "wait", "rm", "rename", "update"),
        *("pause", "unpause", "attach", "logs", "port", "top", "stats"),
        *("diff", "commit", "cp", "export", "container", "volume", "network"),
        *("snapshot", "rollback", "fork", "python", "kernel"),
    ),
    "Images": (
        *("load", "save", "import", "tag", "images", "rmi", "history", "explore", "image", "bundle", "wrap"),
        *("optimize", "build", "bake", "builder", "buildx"),
    ),
    "Registries": ("pull", "push", "login", "logout", "search", "manifest"),
    "Both": ("inspect", "events", "info", "version", "context"),
    "Upkeep": ("fsck", "prune", "system", "doctor", "api", "mcp", "completion", "docker-link", "apptainer-link"),
}
TWO_WORDS = frozenset("builder buildx container context image kernel manifest network system volume".split())
"""The verbs that are followed by another one: `volume ls`."""
HIDDEN = {"__complete": "complete", "__apptainer": "apptainer"}
"""Verbs that no help shows, and their modules."""
VERBS = frozenset(name for names in GROUPS.values() for name in names)


def load_verb(name: str) -> Verb:
    """Import a verb's module and return its table."""
    folder = "groups" if name in TWO_WORDS else "verbs"
    file = HIDDEN.get(name) or (f"{name}_" if name in ("import", "exec") else name.replace("-", ""))
    __import__(name := f"rootlay.cli.{folder}.{file}")  # `importlib` is one more module
    verb: Verb = sys.modules[name].VERB
    return verb
