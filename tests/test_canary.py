"""The canary notices what it is there for."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.canary import describe_or_nothing, differences, main, make_canary

HARM: dict[str, Callable[[Path], object]] = {
    "content": lambda top: (top / "script").write_text("#!/bin/sh\necho HELLO\n"),
    "mode": lambda top: (top / "secret").chmod(0o644),
    "touched": lambda top: os.utime(top / "script"),
    "mode and back": lambda top: ((top / "script").chmod(0o700), (top / "script").chmod(0o755)),
    "same content again": lambda top: (top / "documents" / "letter").write_text("dear reader\n"),
    "new name": lambda top: (top / "documents" / "new").touch(),
    "removed": lambda top: (top / "link").unlink(),
    "linked": lambda top: os.link(top / "script", top.parent / "elsewhere"),
    "all": lambda top: ((top / "read-only").chmod(0o700), shutil.rmtree(top)),
}


@pytest.mark.parametrize("harm", HARM)
def test_every_change_is_noticed(harm: str, tmp_path: Path) -> None:
    top = make_canary(tmp_path)
    before = describe_or_nothing(top)
    assert differences(before, describe_or_nothing(top)) == []
    HARM[harm](top)
    assert differences(before, describe_or_nothing(top))


def test_the_command_says_what_has_changed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    record = tmp_path / "record"
    assert main(["make", str(record), str(tmp_path / "home"), str(tmp_path / "store")]) == 0
    assert main(["check", str(record)]) == 0
    assert "in 2 places are as they were" in capfd.readouterr().out
    (tmp_path / "home" / "canary" / "secret").unlink()
    assert main(["check", str(record)]) == 1
    assert "canary/secret: is gone" in capfd.readouterr().err
