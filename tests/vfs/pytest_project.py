"""A project of its own that uses rootlay's pytest fixtures."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from rootlay.store.containers.containers import Containers
from rootlay.vfs import Store

HOWTO = Path(__file__).parents[2] / "docs" / "howto" / "pytest.md"


def run_pytest(directory: Path, store: Store, *arguments: str, image: str = "small", timeout: float = 120) -> str:
    """The output of a pytest run that must succeed."""
    done = start(directory, store, *arguments, image=image, timeout=timeout)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def start(
    directory: Path, store: Store, *arguments: str, image: str = "small", timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    (directory / "pytest.ini").write_text(f"[pytest]\nrootlay_store = {store.root}\nrootlay_image = {image}\n")
    command = [
        sys.executable,
        "-W",
        "error",
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        *arguments,
        str(directory),
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=directory, env=environment, timeout=timeout
    )


def write_examples(directory: Path, *names: str) -> None:
    """The code blocks of the how-to that start with `# NAME`."""
    blocks = HOWTO.read_text(encoding="utf-8").split("```python\n")[1:]
    for block in blocks:
        name = block.partition("\n")[0].removeprefix("# ")
        if name in names:
            (directory / name).write_text(block.partition("\n```")[0] + "\n", encoding="utf-8")
    assert sorted(path.name for path in directory.iterdir()) == sorted(names)


def leftovers(store: Store) -> list[str]:
    return [record.name for record in Containers(store.root).iter_all()]
