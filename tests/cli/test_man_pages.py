"""The man pages that docs/make_man.py makes: one for each verb, installed with the package, without warnings."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rootlay.cli.verblist import VERBS

TREE = Path(__file__).parents[2]
pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made as the build makes them: without any other package."""
    target = tmp_path_factory.mktemp("man")
    subprocess.run([sys.executable, "-S", str(TREE / "docs" / "make_man.py"), str(target)], check=True)
    return target


def test_each_verb_has_a_page(pages: Path) -> None:
    names = {path.name for path in pages.iterdir()}
    assert {f"rootlay-{verb}.1" for verb in VERBS} | {"rootlay.1", "rootlay-volume-create.1"} <= names
    run = (pages / "rootlay-run.1").read_text(encoding="utf-8")
    assert "\\-\\-rm" in run
    assert "No effect" in run
    assert "rootlay\\-run" in (pages / "rootlay.1").read_text(encoding="utf-8")


def test_groff_has_no_warning(pages: Path) -> None:
    if not shutil.which("groff"):
        pytest.skip("groff is not installed")
    files = sorted(map(str, pages.iterdir()))
    shown = subprocess.run(
        ["groff", "-ww", "-man", "-Tutf8", "-P-cbou", *files], capture_output=True, timeout=100, check=True
    )
    assert shown.stderr.decode() == ""
    assert b"rootlay volume create [OPTIONS]" in shown.stdout.replace(b"\xe2\x80\x90", b"-")


def test_the_installed_package_has_the_pages(pages: Path) -> None:
    installed = Path(sys.prefix, "share", "man", "man1")
    if not (installed / "rootlay.1").exists():
        pytest.skip(f"rootlay is not installed from a wheel: no man pages in {installed}")
    assert {path.name for path in pages.iterdir()} <= {path.name for path in installed.iterdir()}
