"""Two builders make an image of one Dockerfile: the same tree, the same config, but for what the case says."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.buildah.builders import Buildah, Docker, Outcome, Rootlay, config_fields, unpack
from tests.buildah.cases import Case, Differences
from tests.buildah.context import fill


def compare(
    case: Case, expected: Differences, their_builder: Buildah | Docker, rootlay: Rootlay, umoci: str, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    builders = (their_builder, rootlay)
    with ThreadPoolExecutor(2) as pool:
        theirs, ours = pool.map(lambda builder: _outcome(builder, case, tmp_path / builder.name, umoci), builders)
    if isinstance(their_builder, Buildah):
        ours.config.pop("ArgsEscaped", None)  # Docker writes it with each CMD, buildah does not
    different: dict[str, tuple[object, object]] = {
        path: (theirs.tree.get(path), ours.tree.get(path))
        for path in sorted(theirs.tree.keys() | ours.tree.keys())
        if theirs.tree.get(path) != ours.tree.get(path)
    }
    different.update(
        (key, (theirs.config.get(key), ours.config.get(key)))
        for key in sorted(theirs.config.keys() | ours.config.keys())
        if theirs.config.get(key) != ours.config.get(key)
    )
    unexpected = {key: pair for key, pair in different.items() if key not in expected}
    if unexpected:
        name = their_builder.name
        pytest.fail("\n".join(f"{key}: {name} {old}, rootlay {new}" for key, (old, new) in unexpected.items()))
    assert set(expected) <= set(different), "they agree by now"


def _outcome(builder: Buildah | Docker | Rootlay, case: Case, place: Path, umoci: str) -> Outcome:
    place.mkdir(mode=0o755)
    context = place / "context"
    context.mkdir()
    fill(context)
    for name, text in case.files.items():
        (context / name).write_text(text)
    (context / "Dockerfile").write_text(case.dockerfile(builder.name))
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
