"""`rootlay build` makes of a Dockerfile what buildah makes of it: the same tree, the same config.

buildah builds as root (chroot isolation), rootlay as an ordinary user, from the same base and context; umoci unpacks
both. Where they differ, the case says so with the reason. Docker's BuildKit: test_differential_docker.py.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.buildah.builders import Buildah, Rootlay
from tests.buildah.cases import CASES, Case
from tests.buildah.compare import compare

pytestmark = pytest.mark.needs_root("buildah and umoci see all owners only as root")
LONG = bool(os.environ.get("ROOTLAY_TEST_LONG"))
_OWN = [case for case in CASES if isinstance(case.docker, str) or not (case.differs or case.docker)]
BUILDAHS = CASES if LONG else _OWN[::2]
"""Without ROOTLAY_TEST_LONG every second one, and none that is compared with docker."""


@pytest.mark.parametrize("case", BUILDAHS, ids=[case.name for case in BUILDAHS])
def test_the_same_image(case: Case, buildah: Buildah, rootlay: Rootlay, umoci: str, tmp_path: Path) -> None:
    compare(case, case.differs, buildah, rootlay, umoci, tmp_path)
