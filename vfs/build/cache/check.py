"""Checks of the build cache (docs/format.md §12)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from rootlay.store.check.finding import Finding, remove_file
from rootlay.store.check.scope import Scope, process_lives
from rootlay.store.model.errors import BadManifest
from rootlay.vfs.build.cache.cache import VERSION, CachedLayer, StepCache
from rootlay.vfs.build.copy.contentdigest import FILE
from rootlay.vfs.build.copy.digestfile import DigestFile

_FILES = frozenset({"steps", "mounts", FILE})
_STEP = re.compile(r"[0-9a-f]{64}\.json")
_HALF = re.compile(r"\.(?:[0-9a-f]{64}\.json|digests)\.(\d+)\.[0-9a-f]+")


def check_build_cache(scope: Scope) -> Iterator[Finding]:
    """Check that each record of a step is readable and at the path of its key. The store's checks cover its layer."""
    top = scope.layout.root / "build"
    for path in sorted(top.iterdir()) if top.is_dir() else ():
        if path.name not in _FILES:
            yield from _stray(scope, path)
    try:
        DigestFile(top / FILE).close()
    except FileNotFoundError:
        pass
    except ValueError as error:
        yield _damaged(scope, top / FILE, str(error))
    steps = StepCache(scope.store).path
    for directory in sorted(steps.iterdir()) if steps.is_dir() else ():
        if not directory.is_dir():
            yield from _stray(scope, directory)
            continue
        for path in sorted(directory.iterdir()):
            if not _STEP.fullmatch(path.name) or path.name[:2] != directory.name:
                yield from _stray(scope, path)
            elif text := _step_trouble(path):
                yield _damaged(scope, path, text)


def _step_trouble(path: Path) -> str:
    """Return the problem of a record; empty: none."""
    try:
        data = json.loads(path.read_bytes())
        CachedLayer.from_json(data)
        return "" if data["version"] == VERSION else f"version {data['version']}"
    except FileNotFoundError:
        return ""  # `prune` runs concurrently
    except (OSError, ValueError, KeyError, TypeError, BadManifest) as error:
        return f"{type(error).__name__}: {error}"


def _damaged(scope: Scope, path: Path, text: str) -> Finding:
    return Finding("cache-damaged", scope.place(path), text, lambda q: q.take("cache-damaged", path, text))


def _stray(scope: Scope, path: Path) -> Iterator[Finding]:
    half = _HALF.fullmatch(path.name)
    if half is None:
        text = "docs/format.md does not know it"
        yield Finding("unknown-file", scope.place(path), text, lambda q: q.take("unknown-file", path, text))
    elif not process_lives(int(half[1])):
        yield Finding("leftover", scope.place(path), "its process has ended", remove_file(path), leftover=True)
