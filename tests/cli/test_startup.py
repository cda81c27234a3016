"""The imports of a run: every module costs time at every start."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.cli.conftest import Rootlay

OURS_MAX = 70
OTHERS_MAX = 48  # the last: `resource`, by which a run finds processes of its container
"""Beyond those of a Python that does nothing. Raise a ceiling only for a module that every run needs."""


def imported(root: str, *words: str) -> set[str]:
    """The modules that a Python imports, by its own account."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *words], capture_output=True, text=True, check=True, timeout=60,
        env={**os.environ, "ROOTLAY_ROOT": root},
    )  # fmt: skip
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


def test_a_run_imports_few_modules(small: Rootlay) -> None:
    small("run", "--rm", "small", "--", "true")  # makes the view
    run = ("-c", "from rootlay.cli.entry import main; main()", "run", "--rm", "small", "--", "true")
    found = imported(str(small.root), *run) - imported(str(small.root), "-c", "")
    ours = {name for name in found if name.split(".")[0] == "rootlay"}
    assert len(ours) > 40
    assert len(ours) <= OURS_MAX, sorted(ours)
    assert len(found - ours) <= OTHERS_MAX, sorted(found - ours)
