"""`rootlay build` makes of a Dockerfile what buildah makes of it: the same tree, the same config.

buildah builds as root (chroot isolation), rootlay as an ordinary user, from the same base and context; umoci unpacks
both. Where they differ, and BuildKit's rules are on our side, the case says so.
"""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.buildah.builders import Buildah, Outcome, Rootlay, config_fields, unpack
from tests.buildah.cases import CASES, Case
from tests.buildah.context import base_images, fill

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="buildah and umoci see all owners only as root")


@pytest.fixture(scope="module")
def umoci() -> str:
    return _need("umoci")


@pytest.fixture(scope="module")
def builders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Buildah, Rootlay]:
    program = _need("buildah")
    _need("busybox")
    place = tmp_path_factory.mktemp("builders")
    for directory in (place, *place.parents):
        if not directory.stat().st_mode & 0o001:  # pytest closes its own to others
            directory.chmod(directory.stat().st_mode | 0o011)
    base = place / "base.tar"
    base.write_bytes(base_images())
    return Buildah(program, place / "buildah", base), Rootlay(place / "rootlay", base)


def _need(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_same_image(case: Case, builders: tuple[Buildah, Rootlay], umoci: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with ThreadPoolExecutor(2) as pool:
        theirs, ours = pool.map(
            lambda at: _outcome(at[0], case, tmp_path / at[1], umoci), zip(builders, "br", strict=True)
        )
    different = {
        path: (theirs.tree.get(path), ours.tree.get(path))
        for path in sorted(theirs.tree.keys() | ours.tree.keys())
        if theirs.tree.get(path) != ours.tree.get(path)
    }
    different.update(
        (key, (theirs.config.get(key), ours.config.get(key)))
        for key in sorted(theirs.config.keys() | ours.config.keys())
        if theirs.config.get(key) != ours.config.get(key)
    )
    unexpected = {key: pair for key, pair in different.items() if key not in case.differs}
    if unexpected:
        pytest.fail("\n".join(f"{key}: buildah {old}, rootlay {new}" for key, (old, new) in unexpected.items()))
    assert set(case.differs) <= set(different), "they agree by now"


def _outcome(builder: Buildah | Rootlay, case: Case, place: Path, umoci: str) -> Outcome:
    place.mkdir(mode=0o755)
    context = place / "context"
    context.mkdir()
    fill(context)
    for name, text in case.files.items():
        (context / name).write_text(text)
    (context / "Dockerfile").write_text(case.dockerfile(theirs=isinstance(builder, Buildah)))
    layout = place / "layout"
    if isinstance(builder, Rootlay):
        os.chown(place, builder.user, builder.user)
    image = builder.build(case, context, layout)
    config = config_fields(image)
    config.pop("Hostname", None)  # buildah's, random
    labels = config.pop("Labels", {})
    assert isinstance(labels, dict)
    labels.pop("io.buildah.version", None)  # buildah's own
    if labels:
        config["Labels"] = labels
    return Outcome(unpack(umoci, layout, place / "tree"), config)
