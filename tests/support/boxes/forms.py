"""Both forms of records: in the files, and next to the names, as on a file system without extended attributes.

ROOTLAY_TEST_RECORDS=links runs every test of this process with the second form (not the commands that it starts).
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rootlay.store.containers.upperstack import UpperForm
from tests.support.boxes import box


def _store_links(self: UpperForm, upper: str | bytes | Path) -> UpperForm:
    return UpperForm()


@pytest.fixture(params=["files", "links"])
def records(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The form of the records of the test's uppers."""
    if request.param == "links":
        monkeypatch.setattr(UpperForm, "store", _store_links)
        monkeypatch.setattr(box, "LINKS", True)
    return str(request.param)


if os.environ.get("ROOTLAY_TEST_RECORDS") == "links":
    UpperForm.store = _store_links  # type: ignore[method-assign]
    box.LINKS = True
