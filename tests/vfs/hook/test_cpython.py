"""Whatever of CPython's own tests of files passes on a plain directory, passes inside an activation and inside the
engine, by the same interpreter, as the same user. No test is exempt."""

from __future__ import annotations

import importlib.util

import pytest

from tests.vfs.hook import cpython

TESTS = ["test_os", "test_posixpath", "test_pathlib", "test_glob"]

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(
        importlib.util.find_spec("test.test_os") is None,
        reason="this Python is without its own tests (Debian: libpython3.13-testsuite)",
    ),
]


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """By place: the outcomes by test. All three run side by side."""
    base = tmp_path_factory.mktemp("cpython")
    with cpython.container_for_engine(cpython.import_image(base)) as container:
        running = {
            "plain": cpython.start_plain(base, TESTS),
            "hook": cpython.start_inside(base, TESTS),
            "engine": cpython.start_in_engine(container, TESTS),
        }
        said = {place: process.communicate()[0].decode(errors="replace") for place, process in running.items()}
        if container.fs.exists(cpython.REPORT):
            (base / "engine.xml").write_bytes(container.fs.readbytes(cpython.REPORT))
    for place in running:
        assert (base / f"{place}.xml").exists(), f"no report from {place}:\n{said[place][-4000:]}"
    return {place: cpython.outcomes((base / f"{place}.xml").read_bytes()) for place in running}


def test_they_ran(reports: dict[str, dict[str, str]]) -> None:
    passed = [name for name, outcome in reports["plain"].items() if outcome == "ok"]
    assert len(passed) > 600
    assert all(any(name.startswith(f"test.{test}.") for name in passed) for test in TESTS)


@pytest.mark.parametrize("place", ["hook", "engine"])
def test_nothing_fails_or_is_skipped_that_passes_on_a_plain_directory(
    reports: dict[str, dict[str, str]], place: str
) -> None:
    there = reports[place]
    worse = {
        name: there.get(name, "missing")[-1000:]
        for name, outcome in reports["plain"].items()
        if outcome == "ok" and there.get(name) != "ok"
    }
    assert worse == {}
