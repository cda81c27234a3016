"""The question before a removal, as docker asks it."""

from __future__ import annotations

import sys

from rootlay.cli.spec import Context, Values


def confirmed(context: Context, values: Values, warning: str) -> bool:
    """Return whether the user agrees: by --force, or by an answer on a terminal. Scripts are not asked."""
    if values.flag("force") or not sys.stdin.isatty():
        return True
    context.out.formatted(f"WARNING! {warning}\nAre you sure you want to continue? [y/N] ")
    context.out.flush()
    agreed = sys.stdin.readline().strip().lower() in ("y", "yes")
    if not agreed:
        context.out.line("")
        context.err.line("rootlay: nothing was removed; answer y, or use --force")
    return agreed
