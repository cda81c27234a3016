"""The list of verbs, and their modules."""

from __future__ import annotations

import importlib

from rootlay.cli.spec import Verb

GROUPS: dict[str, tuple[str, ...]] = {
    "Containers": (
        *("run", "create", "start", "exec", "ps", "stop", "restart", "kill", "wait", "rm", "rename", "update"),
        *("pause", "unpause", "attach", "logs", "port", "top", "stats"),
        *("diff", "commit", "cp", "export", "volume"),
        *("snapshot", "rollback", "fork", "python"),
    ),
    "Images": ("load", "save", "import", "tag", "images", "rmi", "history", "bundle", "optimize", "build", "builder"),
    "Registries": ("pull", "push", "login", "logout", "manifest"),
    "Both": ("inspect",),
    "Upkeep": ("fsck", "prune", "doctor", "api"),
}
VERBS = frozenset(name for names in GROUPS.values() for name in names)


def load_verb(name: str) -> Verb:
    """Import a verb's module and return its table."""
    module = importlib.import_module(
        f"rootlay.cli.verbs.{name}_" if name in ("import", "exec") else f"rootlay.cli.verbs.{name}"
    )
    verb: Verb = module.VERB
    return verb
