"""The imports of a run: every module costs time at every start."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.cli.conftest import Rootlay

OURS_MAX = {"run": 72, "exec": 45}
OTHERS_MAX = {"run": 45, "exec": 43}
"""Beyond those of a Python that does nothing. Raise a ceiling only for a module that every such start needs."""


def imported(root: str, *words: str) -> set[str]:
    """The modules that a Python imports, by its own account."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *words], capture_output=True, text=True, check=True, timeout=60,
        env={**os.environ, "ROOTLAY_ROOT": root},
    )  # fmt: skip
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


@pytest.mark.parametrize("verb", ["run", "exec"])
def test_a_start_imports_few_modules(small: Rootlay, verb: str) -> None:
    small("run", "--rm", "small", "--", "true")  # makes the view
    small("create", "--name", "kept", "small", "--", "true")
    words = ("run", "--rm", "small", "--", "true") if verb == "run" else ("exec", "kept", "true")
    run = ("-c", "from rootlay.cli.entry import main; main()", *words)
    found = imported(str(small.root), *run) - imported(str(small.root), "-c", "")
    ours = {name for name in found if name.split(".")[0] == "rootlay"}
    assert len(ours) > 40
    assert len(ours) <= OURS_MAX[verb], sorted(ours)
    assert len(found - ours) <= OTHERS_MAX[verb], sorted(found - ours)
    assert "typing" not in found  # 2 ms: `TYPE_CHECKING = False` without an import, see docs/adr/0022
