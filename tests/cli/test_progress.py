"""Progress: on a terminal soon, with a rate and an estimate; nothing on pipes."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rootlay.cli.main import main
from rootlay.cli.printer import Printer
from rootlay.cli.progress import CLEAR, Line, duration, line_of
from rootlay.store.model.progress import Counted
from rootlay.store.volumes.volumes import Volumes
from rootlay.vfs import Store
from tests.cli.conftest import Rootlay

Report = tuple[int, int | None, str]


class Recorder(Line):
    """The line of the terminal, without a terminal: it keeps what was reported."""

    reports: list[Report]

    def __call__(self, done: int, total: int | None, label: str, /) -> None:
        self.reports.append((done, total, label))
        super().__call__(done, total, label)


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> list[Report]:
    found: list[Report] = []
    monkeypatch.setattr(Recorder, "reports", found, raising=False)
    monkeypatch.setattr("rootlay.cli.progress.Line", Recorder)
    monkeypatch.setattr(Printer, "isatty", lambda self: self._quiet)  # standard error is
    return found


MEGABYTE = 1_000_000


@pytest.fixture
def busy(small: Rootlay, tmp_path: Path) -> Rootlay:
    """A store with a container `c`, whose upper has a file of a megabyte and a hundred small ones."""
    script = "mkdir /many; i=0; while [ $i -lt 100 ]; do : > /many/$i; i=$((i+1)); done"
    small("run", "--name", "c", "small", "sh", "-c", script)
    (tmp_path / "large").write_bytes(os.urandom(MEGABYTE))
    small("cp", str(tmp_path / "large"), "c:/large")
    return small


def ends(reports: list[Report], label: str) -> tuple[int, int]:
    """The last report of a label, which has a total."""
    done, total, _ = next(report for report in reversed(reports) if report[2] == label)
    assert total is not None
    return done, total


LINES: dict[str, tuple[str, ...]] = {
    "saving": ("save", "-o", "{}/image.tar", "small"),
    "exporting": ("export", "-o", "{}/tree.tar", "c"),
    "committing": ("commit", "c", "new:1"),
    "small:latest: bundling": ("bundle", "-o", "{}/image.rlay", "small"),
    "containers": ("fsck",),
    "copying": ("cp", "c:/large", "{}/copy"),
    "hydrating": ("wrap", "small", "cat", "-o", "{}/wrapped"),
    "removing containers": ("prune",),
}


def test_each_job_reports_up_to_its_total(busy: Rootlay, tmp_path: Path, reports: list[Report]) -> None:
    for label, words in LINES.items():
        reports.clear()
        assert main(["--root", str(busy.root), *(word.format(tmp_path) for word in words)]) == 0
        done, total = ends(reports, label)
        if label == "containers":
            assert (done, total, isinstance(reports[0][2], Counted)) == (0, 1, True)
        else:
            assert 0.95 * total <= done <= 1.05 * total, label
            assert done >= MEGABYTE
            assert next(report[0] for report in reports if report[2] == label) == 0


def test_a_removal_reports_up_to_its_total(busy: Rootlay, reports: list[Report]) -> None:
    assert main(["--root", str(busy.root), "rm", "c"]) == 0
    done, total = ends(reports, "removing containers")
    assert 0.95 * total <= done <= 1.05 * total
    assert done >= MEGABYTE
    assert len(reports) > 100, "each file is reported"


def test_a_removal_of_a_volume_reports_up_to_its_total(busy: Rootlay, reports: list[Report]) -> None:
    data = Volumes(busy.root).create("data").path
    (data / "large").write_bytes(os.urandom(MEGABYTE))
    for number in range(100):
        (data / str(number)).touch()
    assert main(["--root", str(busy.root), "volume", "rm", "data"]) == 0
    done, total = ends(reports, "removing volumes")
    assert reports[0] == (0, total, "removing volumes")
    assert MEGABYTE <= done == total < 2 * MEGABYTE
    assert len(reports) > 100, "each file is reported"


def test_anonymous_volumes_count_in_the_total_of_their_container(small: Rootlay, reports: list[Report]) -> None:
    small("run", "--name", "v", "-v", "/data", "small", "sh", "-c", "cat /bin/* > /data/large")
    assert main(["--root", str(small.root), "rm", "-v", "v"]) == 0
    done, total = ends(reports, "removing containers")
    assert 0.95 * total <= done <= 1.05 * total
    assert done >= MEGABYTE


def test_wrap_writes_a_bundle_first_if_its_commands_can_be_moved(
    busy: Rootlay, tmp_path: Path, reports: list[Report]
) -> None:
    words = ("wrap", "small", "cat", "-o", str(tmp_path / "wrapped"), "--relocatable")
    assert main(["--root", str(busy.root), *words]) == 0
    assert list(dict.fromkeys(label for _, _, label in reports)) == ["small:latest: bundling", "hydrating"]


def test_a_tar_on_standard_output_is_reported(
    busy: Rootlay, reports: list[Report], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert main(["--root", str(busy.root), "cp", "c:/many", "-"]) == 0
    done, total = ends(reports, "copying")
    assert 0.95 * total <= done <= 1.05 * total
    assert len(capfdbinary.readouterr().out) == done


def test_packing_counts_the_layers_as_tars(small: Rootlay, reports: list[Report]) -> None:
    archive, root = small.root.parent / "gzip.tar", str(small.root.parent / "other")
    small("save", "--format", "oci-archive", "--compression", "gzip", "-o", str(archive), "small")
    assert main(["--root", root, "load", "-q", "-i", str(archive)]) == 0
    assert main(["--root", root, "optimize", "small"]) == 0
    done, total = ends(reports, "packing")
    assert done == total > MEGABYTE


def test_many_snapshots_are_merged_name_by_name(small: Rootlay) -> None:
    found: list[Report] = []
    with Store.open(small.root).image("small").container() as container:
        for number in range(14):
            container.fs.writetext(f"/file{number}", "")
            container.snapshot(progress=lambda *report: found.append(report))
    done, total = ends(found, "names of snapshots")
    assert isinstance(found[-1][2], Counted)
    assert 0 < done <= total


def test_pipes_get_no_progress(busy: Rootlay, tmp_path: Path) -> None:
    for words in LINES.values():
        if words[0] != "prune":
            assert busy(*(word.format(tmp_path) for word in words)).stderr == b""


def test_a_terminal_shows_a_line_and_removes_it(busy: Rootlay) -> None:
    """While the reader of the archive waits. Standard error is a terminal, standard output a pipe."""
    terminal, end = pty.openpty()
    environ = {**os.environ, "ROOTLAY_ROOT": str(busy.root), "COLUMNS": "100"}
    command = [sys.executable, "-m", "rootlay.cli.main", "export", "c"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=end, env=environ) as program:
        os.close(end)
        seen = read_until(terminal, lambda text: "MB" in text)
        assert program.stdout is not None
        archive = program.stdout.read()
        seen += read_until(terminal, lambda text: text.endswith(CLEAR))
    os.close(terminal)
    assert program.returncode == 0
    assert len(archive) > MEGABYTE
    assert re.search(r"\r\x1b\[Kexporting  \[#*-*\]  +\d+%  \S+B of \S+MB", seen)
    assert seen.endswith(CLEAR)


def read_until(terminal: int, ended: Callable[[str], bool]) -> str:
    seen = ""
    while not ended(seen):
        try:
            seen += os.read(terminal, 4096).decode()
        except OSError:  # the other end is closed
            break
    return seen


class Screen:
    def __init__(self) -> None:
        self.drawn_at: list[float] = []
        self.texts: list[str] = []
        self.came = threading.Event()

    def drawn(self, text: str) -> None:
        self.drawn_at.append(time.monotonic())
        self.texts.append(text)
        self.came.set()


def test_the_first_line_comes_before_the_work_reports_anything() -> None:
    screen, began = Screen(), time.monotonic()
    with Line(screen, "checking"):  # type: ignore[arg-type]  # only `drawn` is called
        assert screen.came.wait(10)
    assert screen.drawn_at[0] - began < 0.3 + 2 * os.getloadavg()[0] / 10
    assert screen.texts[0].startswith(CLEAR + "checking")
    assert screen.texts[-1] == CLEAR


def test_short_work_shows_nothing() -> None:
    screen = Screen()
    with Line(screen, "checking") as line:  # type: ignore[arg-type]
        line(1, 2, "checking")
    assert screen.texts == []


def test_a_line_has_a_rate_and_an_estimate_and_fits() -> None:
    whole = line_of("saving", 50_000_000, 200_000_000, 10_000_000.0, 5.0, 200)
    assert whole == "saving  [#####---------------]   25%  50MB of 200MB  10MB/s  15 s left"
    counted = line_of(Counted("uppers"), 1_500, 3_000, 25.0, 5.0, 200)
    assert counted.endswith("1,500 of 3,000  25/s  1 min 0 s left")
    assert line_of("exporting", 50_000_000, None, 1e6, 9.4, 200) == "exporting  50MB  1MB/s  9 s"
    for columns in range(80):
        assert len(line_of("saving", 50_000_000, 200_000_000, 10_000_000.0, 5.0, columns)) <= columns
    assert line_of("saving", 50_000_000, 200_000_000, 10_000_000.0, 5.0, 30) == "saving   25%  15 s left"
    assert "\x1b" not in line_of("\x1b[2J", 0, None, 0.0, 0.0, 80)
    assert [duration(seconds) for seconds in (0.4, 59.6, 7200)] == ["0 s", "1 min 0 s", "2 h 0 min"]
