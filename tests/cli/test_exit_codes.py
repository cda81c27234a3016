"""docs/exit-codes.md says what the command line does."""

from __future__ import annotations

import re
from pathlib import Path

from rootlay.cli.errorreport import CODES, GENERAL, explain
from rootlay.store.model import errors

TABLE = (Path(__file__).parent.parent.parent / "docs" / "exit-codes.md").read_text(encoding="utf-8")
ROWS = {name: int(code) for code, name in re.findall(r"^\| (\d+) \| (\w+) \|", TABLE, re.MULTILINE)}


def test_the_document_and_the_code_name_the_same_errors_and_codes() -> None:
    assert ROWS == CODES


def test_no_two_errors_share_a_code() -> None:
    assert len(set(CODES.values())) == len(CODES)


def test_each_public_store_error_has_a_code_of_its_own() -> None:
    classes = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.RootlayError)
    }
    assert classes - {"RootlayError"} <= set(CODES)


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
