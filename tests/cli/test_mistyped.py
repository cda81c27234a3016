"""Command lines that a user of Docker may mistype: one line that says what is wrong, and Docker's exit code."""

from __future__ import annotations

from pathlib import Path

import pytest

from rootlay.cli.main import main
from tests.cli.conftest import Rootlay

LINES = (
    # code, words, a part of the message
    (2, "compose up -d", "docker compose works with `rootlay api`"),
    (2, "swarm init", "rootlay has no swarm"),
    (2, "checkpoint ls", "`rootlay snapshot` saves the files"),
    (2, "rnu small", "Did you mean 'run'"),
    (2, "image rmm x", "image rmm: did you mean rm"),
    (2, "container zzz", "expected one of attach, commit"),
    (125, "run -d -a stdout small true", "-a and -d conflict"),
    (125, "run --rmm small", "--rm"),
    (125, "run -p 99999:80 small true", "ports are 1 to 65535"),
    (125, "run -v /tmp:/x:rx small true", "expected HOST:CTR[:ro]"),
    (125, "run -v no/such:/x small true", "no/such does not exist; to make this directory give ./no/such"),
    (125, "run --mount type=bond,source=/tmp,target=/x small true", "expected bind, volume, tmpfs or image"),
    (125, "run -u nosuch small true", "no matching entry in the image's passwd file"),
    (125, "run ./none.rlay true", "it is not the path of a bundle (`rootlay load -i FILE` reads an archive"),
    (125, "exec nosuch ls", "no such container: nosuch"),
    (1, "network rm a/b", "network a/b not found"),
    (1, "network rm ", "the name is empty"),
    (1, "network inspect a/b", "network a/b not found"),
    (1, "network rm \udcff", "not found"),
    (71, "volume rm a/b", "no such volume: a/b"),
    (71, "volume inspect a/b", "no such volume: a/b"),
)


@pytest.mark.parametrize(("code", "line", "says"), LINES, ids=[line for _, line, _ in LINES])
def test_a_mistyped_line_says_what_is_wrong(
    small: Rootlay, capfd: pytest.CaptureFixture[str], code: int, line: str, says: str
) -> None:
    assert main(["--root", str(small.root), *line.split(" ")]) == code
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith("rootlay: ")
    assert says in said[0]


def test_help_of_a_verb_with_more_words_runs_nothing(small: Rootlay, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(small.root), "help", "run", "small"]) == 0
    assert "Usage: rootlay run" in capfd.readouterr().out
    assert small.out("ps", "-aq") == ""


def test_a_store_that_is_a_file(small: Rootlay, capfd: pytest.CaptureFixture[str]) -> None:
    file = small.root.parent / "file"
    file.touch()
    assert main(["--root", str(file), "ps"]) == 1
    assert capfd.readouterr().err == f"rootlay: {file}: Not a directory; choose a directory for the store with --root\n"


def test_a_bundle_of_this_directory_named_as_an_image(
    small: Rootlay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    name = "greeting.rlay"
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")  # no registry answers there
    small("bundle", "small", "-o", str(tmp_path / name))
    monkeypatch.chdir(tmp_path)
    assert main(["--root", str(small.root), "run", name, "true"]) == 125
    said = capfd.readouterr().err
    assert f"to run the bundle in this directory write ./{name}" in said
    assert "the pull failed" in said
