"""The worked example of docs/howto/pytest.md: PostgreSQL, its data prepared once and reset for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from rootlay.vfs import Store
from tests.programs.conftest import Machine
from tests.vfs.pytest_project import leftovers, run_pytest, write_examples


def test_postgresql_is_reset_for_each_test(machine: Machine, tmp_path: Path) -> None:
    store = Store.open(machine.rootlay.root)
    with store.image("image").open_fs() as view:
        if not list(view.glob("/usr/lib/postgresql/*/bin/initdb")):
            pytest.skip("the image has no postgresql")
    write_examples(tmp_path, "conftest.py", "test_fruit.py")
    assert "4 passed" in run_pytest(tmp_path, store, image="image", timeout=250)
    assert leftovers(store) == []
