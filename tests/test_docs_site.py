"""The documentation as a site (mkdocs.yml): it builds strictly, and has a page for each verb and public class."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rootlay.cli.verblist import VERBS
from tests.support.messages import messages

TREE = Path(__file__).resolve().parent.parent
pytestmark = [pytest.mark.unit, pytest.mark.once]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for module in ("mkdocs", "material", "mkdocstrings"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed: pip install '.[docs]'")
    target = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(target)],
        cwd=TREE,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        timeout=250,
        check=False,
    )
    assert built.returncode == 0, built.stderr.decode()[-4000:]
    return target


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_site_builds_without_a_warning(site: Path) -> None:
    """mkdocs checks every link and anchor, and that every page is in the navigation."""
    assert {path.parent.name for path in site.glob("reference/verbs/*/index.html")} == set(VERBS)
    api = (site / "api/index.html").read_text(encoding="utf-8")
    assert 'id="rootlay.vfs.api.store.Store.open"' in api
    assert 'id="errors"' in api
    assert (site / "how-it-works/index.html").read_text(encoding="utf-8").count("<svg xmlns") >= 3


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    for page in site.rglob("*.html"):
        loaded = re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="(https?://[^"]*)"', page.read_text("utf-8"))
        assert not loaded, page


def fixed_words(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"…|\{…\}", text) if part.strip()]


def test_the_messages_of_the_page_about_errors_exist() -> None:
    known = [words for _, _, words in messages()]
    page = (TREE / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    headings = re.findall(r"^### (.*)$", page, re.MULTILINE)
    assert len(headings) > 25
    missing = [
        each for each in headings if not any(all(part in words for part in fixed_words(each)) for words in known)
    ]
    assert missing == []
