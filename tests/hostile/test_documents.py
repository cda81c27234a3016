"""Manifests, indexes and configs that lie: a clear error, or an image that every listing can live with."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path

import pytest

from rootlay.cli.main import main
from rootlay.store.model.errors import RootlayError
from rootlay.store.store import ImageStore
from tests.hostile.documents import Layout, Lie, all_lies

LIES = list(all_lies())


def load(lie: Lie, tmp_path: Path) -> str:
    layout = Layout.sound()
    lie.spoil(layout)
    layout.write(tmp_path / "layout")
    store = ImageStore.open(tmp_path / "store")
    try:
        store.load(tmp_path / "layout")
    except RootlayError as error:
        assert str(error).isprintable()  # noqa: PT017
        assert not store.images()
        for directory in ("layers", "blobs/sha256", "tmp"):
            assert not list((store.root / directory).iterdir())
        return type(error).__name__
    return "ok"


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: ascii(lie.name)[1:60])
def test_a_lie_is_refused_or_harmless(lie: Lie, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(lie, tmp_path) == lie.outcome
    if lie.outcome != "ok":
        return
    [image] = ImageStore.open(tmp_path / "store").images()
    monkeypatch.setenv("ROOTLAY_ROOT", str(tmp_path / "store"))
    for words in (["images"], ["images", "--json"], ["history", str(image.id)], ["inspect", str(image.id)]):
        out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        with contextlib.redirect_stdout(out):
            assert main(words) == 0
        out.flush()
        shown = out.buffer.getvalue().decode()
        assert "\x1b" not in shown, words
    assert os.listdir(tmp_path / "store" / "tmp") == []
