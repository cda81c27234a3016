"""Stacks and recursion, computed from the compiler's own call graph and frames (gcc -fcallgraph-info).

1. The core runs on stacks that it does not choose: 48 KiB must do, along every path of calls.
2. A trapped call runs on a slot's stack, a patched call's quick way on the program's own (trap/call/patch.c, rule 2).
3. Every recursion in our C is known here, with what bounds it.

Calls through pointers are none that the compiler shows: where one is on such a path, all that it may reach is named.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.native.conftest import CORE, FLAGS
from tests.native.guest import engine_sources

pytestmark = [pytest.mark.slow, pytest.mark.once]

SOURCES = CORE.parent
CORE_BYTES = 48 << 10
QUICK_BYTES = 11 << 8  # 2.75 KiB
LIBRARY_BYTES = 320 << 10  # of a thread that calls dlopen() of a library that needs others, DEPTH deep


def constant(source: Path, pattern: str) -> int:
    found = re.search(pattern, source.read_text())
    assert found is not None
    return int(found[1])


#: Functions that call each other, and how often one call can come back to them.
RECURSIONS = {
    # a redirect looks below itself
    frozenset({"redirect", "step"}): constant(CORE / "walk" / "lookup.c", r"#define REDIRECT_DEPTH (\d+)"),
    # a binary search over the rows of the table of system calls
    frozenset({"search"}): 10,
    # a library that needs a library
    frozenset({"from_run_path", "load"}): constant(SOURCES / "hook" / "load.c", r"#define DEPTH (\d+)"),
}


@dataclass
class Graph:
    """Frames in bytes, and who calls whom. A static function is `FILE:NAME`."""

    frame: dict[str, int] = field(default_factory=dict)
    calls: dict[str, set[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, sources: Iterable[Path], flags: list[str], place: Path) -> Graph:
        compiler = shutil.which("gcc")
        if not compiler:
            pytest.skip("needs gcc (-fcallgraph-info)")
        graph = cls()
        place.mkdir()
        subprocess.run([compiler, *flags, "-fcallgraph-info=su", "-c", *map(str, sources)], cwd=place, check=True)
        for info in place.glob("*.ci"):
            text = info.read_text()
            for title, label in re.findall(r'node: { title: "([^"]+)" label: "([^"]+)"', text):
                if used := re.search(r"\\n(\d+) bytes", label):
                    graph.frame[title] = int(used[1])
            for source, target in re.findall(r'edge: { sourcename: "([^"]+)" targetname: "([^"]+)"', text):
                graph.calls.setdefault(source, set()).add(target)
        return graph

    def cycles(self) -> list[frozenset[str]]:
        """Strongly connected sets of functions, those of one that does not call itself left out (Tarjan)."""
        number: dict[str, int] = {}
        low: dict[str, int] = {}
        stack: list[str] = []
        found = []

        def visit(name: str) -> None:
            number[name] = low[name] = len(number)
            stack.append(name)
            for callee in self.calls.get(name, ()):
                if callee in self.frame and callee not in number:
                    visit(callee)
                if callee in stack:
                    low[name] = min(low[name], low[callee])
            if low[name] == number[name]:
                members = stack[stack.index(name) :]
                del stack[stack.index(name) :]
                if len(members) > 1 or name in self.calls.get(name, ()):
                    found.append(frozenset(members))

        for name in self.frame:
            if name not in number:
                visit(name)
        return found

    def need(self) -> dict[str, int]:
        """Bytes of stack of a call of each function; a recursion on the way is as deep as it goes."""
        more: dict[str, tuple[frozenset[str], int]] = {}
        for cycle in self.cycles():
            each = sum(self.frame[member] + 8 for member in cycle)
            more |= dict.fromkeys(cycle, (cycle, RECURSIONS[plain_names(cycle)] * each))
        done: dict[str, int] = {}

        def enter(name: str, above: tuple[str, ...]) -> int:
            """What a call costs; that of a recursion where it is entered."""
            cycle, extra = more.get(name, (frozenset(), 0))
            return visit(name, above) + (0 if above and above[-1] in cycle else extra)

        def visit(name: str, above: tuple[str, ...]) -> int:
            if name in above:
                return 0
            if name not in done:
                callees = (enter(c, (*above, name)) for c in self.calls.get(name, ()) if c in self.frame)
                done[name] = self.frame[name] + 8 + max(callees, default=0)
            return done[name]

        return {name: enter(name, ()) for name in self.frame}


def plain_names(cycle: Iterable[str]) -> frozenset[str]:
    return frozenset(name.rpartition(":")[2].split(".")[0] for name in cycle)


def plain_name(name: str) -> str:
    return name.rpartition(":")[2].split(".")[0]


ENGINE = [*sorted(CORE.glob("*/*.c")), *engine_sources()]
ENGINE_FLAGS = [*FLAGS, "-fno-builtin", "-fno-strict-aliasing"]
HOSTED = [
    path for part in ("vfs/csrc/hook", "store/csrc/viewbuild", "store/csrc/batchwrite")
    for path in sorted((SOURCES.parents[1] / part).glob("*.c"))
    if path.name != "instance.c"
]  # fmt: skip
HOSTED_FLAGS = ["-std=gnu11", "-O2", "-fPIC", "-fno-strict-aliasing"]


def test_the_core_needs_no_more_than_48_kib(tmp_path: Path) -> None:
    need = Graph.of(sorted(CORE.glob("*/*.c")), FLAGS, tmp_path / "core").need()
    most = max(need, key=lambda name: need[name])
    assert need[most] <= CORE_BYTES, (most, need[most])


def test_a_trapped_call_needs_no_more_than_its_slot_has(tmp_path: Path) -> None:
    slot = constant(SOURCES / "trap" / "engine.h", r"u8 stack\[(\d+)\]")
    need = Graph.of(ENGINE, ENGINE_FLAGS, tmp_path / "engine").need()
    handlers = {name: size for name, size in need.items() if name.startswith("rl_do_")}
    assert len(handlers) > 50  # what rl_dispatch() calls through the table's pointers
    total = need["rl_sigsys"] if "rl_sigsys" in need else need["rl_dispatch"] + 4096
    total += max(handlers.values())
    assert total <= slot // 2, total  # the other half: the frames of the kernel's signals, and room


def test_the_quick_way_needs_what_patch_c_says(tmp_path: Path) -> None:
    need = Graph.of(ENGINE, ENGINE_FLAGS, tmp_path / "engine").need()
    rows = [size for name, size in need.items() if plain_name(name).startswith("fast_")]
    assert len(rows) > 5  # what rl_fast() calls through its table's pointers
    assert need["rl_patch_quick"] + need["rl_fast"] + max(rows) <= QUICK_BYTES


@pytest.mark.parametrize("which", ["engine", "hosted"])
def test_no_recursion_is_unknown(which: str, tmp_path: Path) -> None:
    sources, flags = (ENGINE, ENGINE_FLAGS) if which == "engine" else (HOSTED, HOSTED_FLAGS)
    graph = Graph.of(sources, flags, tmp_path / which)
    found = {plain_names(cycle) for cycle in graph.cycles()}
    assert found <= set(RECURSIONS)
    assert found  # those that are known are seen
    assert max(graph.need().values()) <= LIBRARY_BYTES
