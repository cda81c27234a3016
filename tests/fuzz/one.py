"""One target under atheris: `python -m tests.fuzz.one TARGET [libFuzzer's arguments]`. Started by run.py."""

from __future__ import annotations

import os
import sys

import atheris

with atheris.instrument_imports(include=["rootlay"]):
    import rootlay.store.tar.reader  # noqa: F401 -- instrumented here, with all that it imports
    from tests.fuzz.targets import TARGETS, every

name = sys.argv.pop(1)
os.environ.setdefault("TMPDIR", "/dev/shm")
atheris.Setup(sys.argv, every if name == "every" else TARGETS[name])
atheris.Fuzz()
