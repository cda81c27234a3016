"""The Python examples of docs/howto/ do what the text says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from rootlay.vfs import Store

HOWTO = Path(__file__).parents[2] / "docs" / "howto"


PAGES = ("activation", "async", "building", "files", "limits", "notebooks", "sandbox", "snapshots")


@pytest.mark.parametrize("name", [f"{page}.md" for page in PAGES])
def test_examples_run(name: str, small_tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store.open(tmp_path / "store")
    store.import_rootfs(small_tree, "small")
    scope: dict[str, Any] = {"store": store}
    blocks = re.findall(r"^```python\n(.*?)^```", (HOWTO / name).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, name, "exec"), scope)
