"""docs/gate.md against the filter as the engine builds it: every call, from the program and from the gate, and every
argument that the filter looks at. A new call, a new kernel's number or another filter fails here until the page says
why it is harmless."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.native.engine_launch import NO_NETWORK
from tests.native.guest import HERE, SOURCES, table_text
from tests.native.seccompfilter import LIMIT, SeccompFilter
from tests.native.test_engine_table import KERNEL_LIST, rows

PAGE = HERE.parents[1] / "docs" / "gate.md"
NUMBER = re.compile(r"#define __NR_(\w+) (\d+)")
SOCKETS = ("socket", "socketpair")
X32 = 0x40000000
ARCH_I386 = 0x40000003


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """filterdump.c with the engine's own sources."""
    if shutil.which("cc") is None:
        pytest.skip("cc is not installed")
    target = tmp_path_factory.mktemp("filter") / "filterdump"
    sources = [
        HERE / "filterdump.c",
        *(SOURCES / "trap" / "table" / f"{name}.c" for name in ("filter", "checks", "syscalls")),
    ]
    options = ["-O1", "-static-pie", "-fPIE", "-std=gnu11", "-I", str(SOURCES), "-Wl,--unresolved-symbols=ignore-all"]
    subprocess.run(["cc", *options, "-o", target, *sources], check=True, capture_output=True)
    return target


@pytest.fixture(scope="module")
def host(dump: Path) -> SeccompFilter:
    """The filter with the host's network."""
    return SeccompFilter.build(dump, 0)


@pytest.fixture(scope="module")
def alone(dump: Path) -> SeccompFilter:
    """The filter without a network."""
    return SeccompFilter.build(dump, NO_NETWORK)


@pytest.fixture(scope="module")
def numbers() -> dict[str, int]:
    """Every call of the kernel's headers and of the engine's table, which knows some that the headers lack."""
    if KERNEL_LIST is None:
        pytest.skip("the kernel's headers are not installed")
    text = KERNEL_LIST.read_text() + table_text()
    return {name: int(number) for name, number in NUMBER.findall(text)}


def tables() -> list[list[list[str]]]:
    """The page's tables, without their heads."""
    found = re.findall(r"^\|.*\n\|[-|]+\n((?:\|.*\n)*)", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [[[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()] for table in found]


def has(call: str) -> bool:
    """This architecture has the call; the page names those of x86_64, which has all."""
    return os.uname().machine == "x86_64" or call in {name for _, name in rows()}


def one(answers: set[str]) -> str:
    return next(iter(answers)) if len(answers) == 1 else "by argument"


def test_each_call_is_what_the_page_says(host: SeccompFilter, numbers: dict[str, int]) -> None:
    said = [(name, row[1], row[2]) for row in tables()[0] for name in row[0].split(", ") if has(name)]
    assert len(said) == len({name for name, _, _ in said}), "a call has two rows"
    built = [
        (name, one(host.answers(number, gate=False)), one(host.answers(number, gate=True)))
        for name, number in numbers.items()
    ]
    assert sorted(said) == sorted(built)


def test_the_table_has_no_number_that_is_not_known_here(numbers: dict[str, int]) -> None:
    assert {name for _, name in rows()} == set(numbers)


def test_each_argument_is_what_the_page_says(host: SeccompFilter, numbers: dict[str, int]) -> None:
    said = {(call, arguments, answer) for call, arguments, answer, _ in tables()[1] if has(call)}
    built = {
        (name, arguments or "others", answer)
        for name, number in numbers.items()
        for arguments, answer in host.questions(number).items()
        if len(host.questions(number)) > 1
    }
    assert said == built


def test_without_a_network_sockets_are_what_the_page_says(alone: SeccompFilter, numbers: dict[str, int]) -> None:
    said = {(call, arguments, answer) for call, arguments, answer, _ in tables()[2]}
    built = {
        (name, arguments or "others", answer)
        for name in SOCKETS
        for arguments, answer in alone.questions(numbers[name]).items()
    }
    assert said == built


def test_a_network_changes_nothing_else(host: SeccompFilter, alone: SeccompFilter, numbers: dict[str, int]) -> None:
    for name, number in numbers.items():
        if name not in SOCKETS:
            assert host.questions(number) == alone.questions(number), name


def test_every_argument_has_a_meaning() -> None:
    assert [row for table in tables() for row in table if len(row) != 4 or not all(row)] == []


def test_numbers_that_nobody_knows_fail(host: SeccompFilter, alone: SeccompFilter, numbers: dict[str, int]) -> None:
    unknown = (set(range(4 * LIMIT)) | {X32 | n for n in range(LIMIT)} | {-1, 2**31 - 1, -(2**31)}) - set(
        numbers.values()
    )
    for built in (host, alone):
        assert {built.decide(n, gate=gate) for n in unknown for gate in (True, False)} == {"ENOSYS"}
        known = set(range(LIMIT))
        assert {built.decide(n, gate=g, arch=ARCH_I386) for n in known for g in (True, False)} == {"ENOSYS"}
