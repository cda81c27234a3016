"""One target under atheris: `python one.py TARGET [libFuzzer's arguments]`. Started by run.py."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parent))

with atheris.instrument_imports(include=["rootlay"]):
    from targets import TARGETS, every

    import rootlay.store.tarreader  # noqa: F401 -- instrumented here, with all that it imports

name = sys.argv.pop(1)
os.environ.setdefault("TMPDIR", "/dev/shm")
atheris.Setup(sys.argv, every if name == "every" else TARGETS[name])
atheris.Fuzz()
