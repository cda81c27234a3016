"""Images to exchange with other tools, the tools themselves, and when two images are the same."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable

import pytest

from rootlay.store.model.digest import Digest
from rootlay.store.model.image import Image
from rootlay.store.store import ImageStore
from tests.support.archives.make import make_tar

Tool = Callable[[str], str]
Run = Callable[..., str]


def many_layers() -> list[bytes]:
    """100 layers that change, add and remove."""
    base = make_tar([("d", "d", ""), ("d/same", "f", "0"), ("d/0", "f", "x")])
    changes = (
        make_tar([("d/same", "f", str(number)), (f"d/{number}", "f", "x"), (f"d/.wh.{number - 1}", "f", "")])
        for number in range(1, 100)
    )
    return [base, *changes]


def many_files() -> list[bytes]:
    """50,000 files in one layer, and a layer on it."""
    names = [f"{i % 50}/{i % 7}/file-{i}" for i in range(50_000)]
    return [make_tar([(name, "f", name) for name in names]), make_tar([(".wh.3", "f", ""), (names[1], "f", "new")])]


def debian() -> list[bytes] | None:
    """None: the real one, imported."""
    return None


IMAGES = {"debian": debian, "100-layers": many_layers, "50000-files": many_files}
LONG = bool(os.environ.get("ROOTLAY_TEST_LONG"))  # a minute more of compressing Debian


def skip_the_long(name: str) -> None:
    """What takes minutes with every tool is skipped unless it is asked for."""
    if name != "100-layers" and not LONG:
        pytest.skip("ROOTLAY_TEST_LONG is not set")


def identity(image: Image) -> tuple[Digest, tuple[Digest, ...]]:
    return image.id, image.diff_ids


def assert_content(store: ImageStore, image: Image) -> None:
    """Each layer's tar is what its diff ID promises, read through its index as containers do."""
    store.prepare(image)
    for diff_id in dict.fromkeys(image.diff_ids):
        layer = store.layer(diff_id)
        digest = hashlib.sha256()
        for chunk in layer.iter_tar():
            digest.update(chunk)
        layer.close()
        assert digest.hexdigest() == diff_id.hex
