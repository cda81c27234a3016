"""Fixtures of the native tests; see tests/native/guest.py."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # importlib mode leaves it out

from tests.native.guest import debian, debian_root, engine, guest, programs

__all__ = ["debian", "debian_root", "engine", "guest", "programs"]
