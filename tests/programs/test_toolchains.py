"""Languages, build systems and applications of Debian, installed inside, then used.

A script of `languages/` or `applications/` names its packages and what it prints; it runs in bash -e, in an empty /w.
All that a program says of itself (its own path, `__FILE__`, a backtrace) is printed: it must be the path inside.

Several gigabytes of packages and most of an hour: with ROOTLAY_TEST_LONG and ROOTLAY_TEST_NETWORK, and the image
ROOTLAY_TEST_DEBIAN, alone (docs/compatibility.md).
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.programs.conftest import HERE, Machine, with_packages

pytestmark = [
    pytest.mark.long_form,
    pytest.mark.once,
    pytest.mark.skipif(
        not (os.environ.get("ROOTLAY_TEST_LONG") and os.environ.get("ROOTLAY_TEST_NETWORK")),
        reason="ROOTLAY_TEST_LONG and ROOTLAY_TEST_NETWORK are not both set",
    ),
    pytest.mark.timeout(5400),
]
LANGUAGES = sorted((HERE / "languages").glob("*.sh"))
APPLICATIONS = sorted((HERE / "applications").glob("*.sh"))


def _said(script: Path, key: str) -> list[str]:
    """What the script's comments `# KEY: …` say, in order."""
    mark = f"# {key}:"
    return [line[len(mark) :].strip() for line in script.read_text().splitlines() if line.startswith(mark)]


def _installed(debian: Machine, name: str, scripts: list[Path]) -> Machine:
    return with_packages(debian, name, " ".join(" ".join(_said(script, "packages")) for script in scripts))


@pytest.fixture(scope="module")
def languages(debian: Machine) -> Machine:
    return _installed(debian, "languages", LANGUAGES)


@pytest.fixture(scope="module")
def applications(debian: Machine) -> Machine:
    return _installed(debian, "applications", APPLICATIONS)


def _check(machine: Machine, script: Path) -> None:
    out = machine.sh(f"mkdir /w; cd /w\n{script.read_text()}", "-e", "HOME=/root")
    assert [line.strip() for line in out.splitlines()] == _said(script, "prints")


@pytest.mark.parametrize("script", LANGUAGES, ids=lambda path: path.stem)
def test_language(languages: Machine, script: Path) -> None:
    _check(languages, script)


@pytest.mark.parametrize("script", APPLICATIONS, ids=lambda path: path.stem)
def test_application(applications: Machine, script: Path) -> None:
    _check(applications, script)
