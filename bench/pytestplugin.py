"""What does a clean root cost each test? Set-up and teardown of the fixture `rootlay_container`.

    python -m bench.pytestplugin [-n 1] [--files 1000] [--tests 100]

The prepared data is a directory of so many files of 4 KiB; each test changes one of them. Baselines, in the same run:
no fixture at all, and a copy of the data with `shutil.copytree` into `tmp_path`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.harness import Figures, make_parser, run
from rootlay.vfs import Store

CONFTEST = """
import json, collections
found = collections.defaultdict(lambda: collections.defaultdict(float))

def pytest_runtest_logreport(report):
    if report.when != "call":
        found[report.nodeid.partition("::")[2].partition("[")[0]][report.nodeid] += report.duration

def pytest_sessionfinish():
    json.dump({name: list(each.values()) for name, each in found.items()}, open("result.json", "w"))
"""

TESTS = """
import pytest, shutil

numbers = pytest.mark.parametrize("number", range({tests}))

@numbers
def test_nothing(number):
    pass

@numbers
def test_rootlay_container(rootlay_container, number):
    rootlay_container.fs.writetext("/data/f0", "changed")

@pytest.fixture
def copy(tmp_path):
    yield shutil.copytree({tree!r}, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy")

@numbers
def test_copytree(copy, number):
    (copy / "data" / "f0").write_text("changed")
"""


def measure(options: argparse.Namespace, figures: Figures) -> None:
    with tempfile.TemporaryDirectory() as directory:
        base = Path(directory)
        (base / "tree" / "data").mkdir(parents=True)
        for number in range(options.files):
            (base / "tree" / "data" / f"f{number}").write_bytes(os.urandom(4096))
        Store.open(base / "store").import_rootfs(base / "tree", "data")
        (base / "tests").mkdir()
        (base / "tests" / "pytest.ini").write_text(
            f"[pytest]\nrootlay_store = {base / 'store'}\nrootlay_image = data\n"
        )
        (base / "tests" / "conftest.py").write_text(CONFTEST)
        (base / "tests" / "test_it.py").write_text(TESTS.format(tests=options.tests, tree=str(base / "tree")))
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."]
        for _ in range(options.rounds):
            subprocess.run(command, cwd=base / "tests", check=True, stdout=subprocess.DEVNULL)
            for name, seconds in json.loads((base / "tests" / "result.json").read_bytes()).items():
                for took in seconds:
                    figures.add(f"{options.files:,} files", name.removeprefix("test_"), took)
    figures.print_tables()


def main() -> None:
    parser = make_parser(__doc__, rounds=1)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--tests", type=int, default=100)
    run(parser, measure)


if __name__ == "__main__":
    main()
