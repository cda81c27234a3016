"""`rootlay build` and `rootlay builder` on the command line: what goes in, what comes out, what is printed."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.cli.conftest import Rootlay

TEXT = "FROM small AS one\nRUN echo hello; echo made > /made\nFROM scratch AS two\nCOPY --from=one /made /\n"


@pytest.fixture
def context(tmp_path: Path) -> Path:
    directory = tmp_path / "context"
    directory.mkdir()
    (directory / "Dockerfile").write_text(TEXT)
    return directory


def test_a_tar_on_standard_output_is_all_there_is(small: Rootlay, context: Path) -> None:
    data = small("build", "-o", "-", str(context)).stdout
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert tar.getnames() == [".", "made"]
    assert "<none>" not in small.out("images")  # the files were wanted, not the image


def test_a_directory_gets_the_files(small: Rootlay, context: Path, tmp_path: Path) -> None:
    done = small("build", "-q", "-o", str(tmp_path / "out"), "-t", "kept", str(context))
    assert done.stderr == b""
    assert (tmp_path / "out/made").read_text() == "made\n"
    assert done.stdout.decode().strip() == json.loads(small.out("inspect", "--json", "kept"))[0]["id"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("-o", "type=nothing"), "--output type=nothing: expected type="),
        (("-o", "-", "-o", "-"), "only one output can be standard output"),
        (("--push",), "a push needs a name"),
        (("--progress", "loud"), "--progress=loud"),
        (("--add-host", "x"), "--add-host x: expected NAME:ADDRESS"),
        (("--network", "bridge2"), "--network=bridge2"),
        (("--build-context", "x"), "--build-context x: expected NAME=SOURCE"),
        (("--secret", "id=x,src=/nowhere"), "/nowhere"),
    ],
)
def test_wrong_options_are_one_line(small: Rootlay, context: Path, options: tuple[str, ...], message: str) -> None:
    assert message in small.fails("build", *options, str(context), code=2)


def test_an_output_that_cannot_be_written_is_one_line(small: Rootlay, context: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    message = small.fails("build", "-q", "-o", str(tmp_path / "file" / "out"), str(context), code=62)
    assert f"--output {tmp_path / 'file' / 'out'}" in message


def test_hosts_are_added(small: Rootlay, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM small\nRUN cat /etc/hosts\n")
    err = small(
        "build", "--add-host", "one.example:10.1.2.3", "--add-host", "six.example=[::7]", str(context)
    ).stderr.decode()
    assert "10.1.2.3\tone.example" in err
    assert "::7\tsix.example" in err


def test_a_context_may_be_an_oci_layout(small: Rootlay, context: Path, tmp_path: Path) -> None:
    small("save", "-o", str(tmp_path / "layout"), "--format", "oci-dir", "small")
    small("rmi", "small")
    (context / "Dockerfile").write_text("FROM other\nRUN echo from the layout\n")
    for place in (f"{tmp_path / 'layout'}", f"{tmp_path / 'layout'}:latest"):
        err = small("build", "--build-context", f"other=oci-layout://{place}", str(context)).stderr.decode()
        assert re.search("from the layout|CACHED", err)
    assert "small" not in small.out("images")  # it gives no name here
    place = f"other=oci-layout://{tmp_path / 'layout'}:nothing"
    assert "nothing" in small.fails("build", "-q", "--build-context", place, str(context), code=10)
    place = f"other=oci-layout://{tmp_path}"
    assert "index.json is missing" in small.fails("build", "-q", "--build-context", place, str(context), code=20)


def test_a_named_context_has_a_dockerignore_of_its_own(small: Rootlay, context: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for name in ("a", "b"):
        (other / name).write_text(name)
    (other / ".dockerignore").write_text("b\n")
    (context / "Dockerfile").write_text("FROM scratch\nCOPY --from=other . /\n")
    small("build", "-o", str(tmp_path / "out"), "--build-context", f"other={other}", str(context))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".dockerignore", "a"]


def test_plain_progress_tells_steps_times_sizes_and_the_cache(small: Rootlay, context: Path) -> None:
    err = small("build", "-t", "x", str(context)).stderr.decode()
    assert re.search(r"^#2 \[one 2/2\] RUN echo hello; echo made > /made$", err, re.MULTILINE)
    assert re.search(r"^#2 \d+\.\d+ hello$", err, re.MULTILINE)
    assert re.search(r"^#2 DONE \d+\.\ds \d+B$", err, re.MULTILINE)
    assert re.search(r"^2 steps, 0 of them cached, ", err, re.MULTILINE)
    again = small("build", "-t", "x", str(context)).stderr.decode()
    assert again.count("CACHED") == 2
    assert re.search(r"^2 steps, 2 of them cached, ", again, re.MULTILINE)
    assert again.splitlines()[-1] == "tagged x:latest"


def on_a_terminal(small: Rootlay, *words: str) -> tuple[int, str]:
    """Exit code and everything that a terminal of 80 columns got."""
    mine, theirs = pty.openpty()
    environ = {**os.environ, "ROOTLAY_ROOT": str(small.root), "TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    command = [sys.executable, "-m", "rootlay.cli.main", *words]
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environ) as process:
        os.close(theirs)
        data = b""
        try:
            while piece := os.read(mine, 1 << 16):
                data += piece
        except OSError:
            pass  # the other end is closed
        os.close(mine)
    return process.returncode, data.decode()


def test_a_terminal_gets_a_live_display_that_output_cannot_disturb(small: Rootlay, context: Path) -> None:
    (context / "Dockerfile").write_text(
        "FROM small\nRUN printf 'one\\033[2Jtwo\\033]0;title\\a\\rthree\\n'; sleep 0.5\nRUN true\n"
    )
    code, shown = on_a_terminal(small, "build", str(context))
    assert code == 0
    assert "\x1b[2J" not in shown
    assert "\x1b]0;" not in shown
    assert "| three" in shown
    assert "=> [3/3] RUN true" in shown
    assert "CACHED" in on_a_terminal(small, "build", str(context))[1]


def test_wide_characters_do_not_break_the_live_display(small: Rootlay, context: Path) -> None:
    """A row that wraps would be two on the terminal, and the next drawing would leave one of them there."""
    (context / "Dockerfile").write_text(f"FROM small\nRUN echo {'日本' * 30}; sleep 0.5\n")
    code, shown = on_a_terminal(small, "build", str(context))
    rows = re.findall(r"  \| (日[日本]*)", shown)
    assert code == 0
    assert rows
    assert max(map(len, rows)) * 2 + len("  | ") < 80


def test_a_failing_step_leaves_its_last_lines_on_the_terminal(small: Rootlay, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM small\nRUN echo the reason; exit 5\n")
    code, shown = on_a_terminal(small, "build", str(context))
    assert code == 61
    last = shown.rpartition("ERROR")[2]
    assert "| the reason" in last
    assert "exit code 5" in last.splitlines()[-1]


def test_builder_shows_the_cache_and_empties_it(small: Rootlay, context: Path) -> None:
    (context / "Dockerfile").write_text(
        "FROM small\nRUN --mount=type=cache,target=/c echo x > /c/x; head -c 100000 /dev/urandom > /big\n"
    )
    small("build", "-t", "x", str(context))
    rows = json.loads(small.out("builder", "du", "--json"))
    assert {(row["kind"], row["shared"]) for row in rows} == {("step", True), ("mount", False)}
    assert "RUN --mount=type=cache" in small.out("builder", "du")
    assert "Total reclaimed space: 0B" in small.out("builder", "prune")
    assert "CACHED" in small("build", "-t", "x", str(context)).stderr.decode()
    small("rmi", "x")
    assert "Total reclaimed space: 0B" in small.out("builder", "prune", "--filter", "until=1h")
    told = re.findall(r"space: (1\d\dkB)$", small.out("builder", "prune", "--dry-run"))
    assert told
    assert told == re.findall(r"space: (1\d\dkB)$", small.out("builder", "prune"))
    assert [row["kind"] for row in json.loads(small.out("builder", "du", "--json"))] == ["mount"]
    assert "mount" in small.out("builder", "prune", "--all")
    assert json.loads(small.out("builder", "du", "--json")) == []
    assert "CACHED" not in small("build", "-t", "x", str(context)).stderr.decode()


@pytest.mark.parametrize("words", [("show",), ("prune", "--filter", "age=3"), ("prune", "--filter", "until=yesterday")])
def test_builder_refuses_what_it_does_not_know(small: Rootlay, words: tuple[str, ...]) -> None:
    small.fails("builder", *words, code=2)
