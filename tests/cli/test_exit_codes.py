"""docs/exit-codes.md says what the command line does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rootlay.cli.errorreport import GENERAL, explain
from rootlay.store.model import errors
from tests.support.errorclasses import CODES, defined_errors

TABLE = (Path(__file__).parent.parent.parent / "docs" / "exit-codes.md").read_text(encoding="utf-8")
ROWS = {name: int(code) for code, name in re.findall(r"^\| (\d+) \| (\w+) \|", TABLE, re.MULTILINE)}


def test_the_document_and_the_classes_name_the_same_errors_and_codes() -> None:
    """A row is a class that has a code of its own: the others have that of their base, or 1."""
    pytest.importorskip("fsspec", reason="fsspec is not installed")
    classes = [cls for cls in defined_errors() if issubclass(cls, errors.RootlayError)]
    own = {cls.__name__: cls.exit_code for cls in classes if "exit_code" in vars(cls)}
    assert own.pop("RootlayError") == GENERAL
    assert own == ROWS
    assert len(set(own.values())) == len(own)


def test_an_instance_does_not_change_its_code() -> None:
    """A RUN's own exit code is no code of the command line."""
    from rootlay.vfs.build.language.syntax import Source
    from rootlay.vfs.build.result.failure import RunFailed

    assert RunFailed(Source("Dockerfile", 1, 1, "RUN false"), 3).exit_code == CODES["RunFailed"] == 61


def test_running_verbs_keep_the_programs_codes_free(tmp_path: Path) -> None:
    error = errors.UnknownImage("nope")
    assert explain(error, "run", tmp_path) == (str(error), 125)
    assert explain(error, "history", tmp_path) == (str(error), CODES["UnknownImage"])
    assert explain(FileNotFoundError(2, "No such file or directory", "x.tar"), "load", tmp_path) == (
        "x.tar: No such file or directory",
        GENERAL,
    )


def test_a_file_of_a_container_that_was_removed_meanwhile_is_no_riddle(tmp_path: Path) -> None:
    upper = tmp_path / "containers" / ("a" * 64) / "upper"
    gone = FileNotFoundError(2, "No such file or directory", bytes(upper))
    assert explain(gone, "commit", tmp_path) == ("the container was removed meanwhile", CODES["UnknownContainer"])
    upper.parent.mkdir(parents=True)
    (upper.parent / "config.json").touch()
    assert explain(gone, "commit", tmp_path) == (f"{upper}: No such file or directory", GENERAL)
