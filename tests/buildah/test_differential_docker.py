"""`rootlay build` makes of a Dockerfile what docker makes of it (BuildKit, in a daemon): see test_differential.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.buildah.builders import Docker, Rootlay
from tests.buildah.cases import CASES, Case
from tests.buildah.compare import compare

pytestmark = [
    pytest.mark.long_form,
    pytest.mark.needs_root("the daemon and umoci see all owners only as root"),
]
LONG = bool(os.environ.get("ROOTLAY_TEST_LONG"))
DOCKERS = [case for case in CASES if LONG or case.differs or case.docker]
"""Without ROOTLAY_TEST_LONG those where builders do not agree: a daemon takes seconds for a Dockerfile."""


@pytest.mark.parametrize("case", DOCKERS, ids=[case.name for case in DOCKERS])
def test_the_same_image_as_dockers(case: Case, docker: Docker, rootlay: Rootlay, umoci: str, tmp_path: Path) -> None:
    if isinstance(case.docker, str):
        pytest.skip(case.docker)
    compare(case, case.docker, docker, rootlay, umoci, tmp_path)
