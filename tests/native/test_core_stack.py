"""The engine runs the core on stacks that it does not choose: 48 KiB must do, along every path of calls."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import CORE, FLAGS

LIMIT_BYTES = 48 << 10
CYCLE = "step"  # the only recursion: a redirect looks below itself, REDIRECT_DEPTH times
DEPTH = int(re.search(r"#define REDIRECT_DEPTH (\d+)", (CORE / "step.c").read_text())[1])  # type: ignore[index]


def test_no_path_of_calls_needs_more_than_48_kib(tmp_path: Path) -> None:
    compiler = shutil.which("gcc")
    if not compiler:
        pytest.skip("needs gcc (-fcallgraph-info)")
    subprocess.run(
        [compiler, *FLAGS, "-fcallgraph-info=su", "-c", *map(str, sorted(CORE.glob("*.c")))], cwd=tmp_path, check=True
    )
    size: dict[str, int] = {}
    calls: dict[str, set[str]] = {}
    for info in tmp_path.glob("*.ci"):
        text = info.read_text()
        for title, label in re.findall(r'node: { title: "([^"]+)" label: "([^"]+)"', text):
            used = re.search(r"\\n(\d+) bytes", label)
            if used:
                size[title] = int(used[1])
        for source, target in re.findall(r'edge: { sourcename: "([^"]+)" targetname: "([^"]+)"', text):
            calls.setdefault(source, set()).add(target)
    worst: dict[str, tuple[int, list[str]]] = {}

    def visit(name: str, path: tuple[str, ...]) -> tuple[int, list[str]]:
        if name in path:
            loop = path[path.index(name) :]
            assert any(CYCLE in n for n in loop), f"unexpected recursion: {loop}"
            return 0, []
        if name in worst:
            return worst[name]
        below = [visit(c, (*path, name)) for c in calls.get(name, ()) if c in size]
        deepest = max(below, default=(0, []))
        worst[name] = (size[name] + 8 + deepest[0], [f"{name} {size[name]}", *deepest[1]])
        return worst[name]

    loop = [n for n in size if n.rpartition(":")[2].split(".")[0] in ("step", "look", "add_dir", "redirect")]
    once = sum(size[n] + 8 for n in loop)
    assert once > 0
    for name in size:
        visit(name, ())
    total, path = max(worst.values())
    through_loop = any(n.split()[0] in loop for n in path)
    need = total + (once * DEPTH if through_loop else 0)
    assert need <= LIMIT_BYTES, f"{need} bytes: " + " > ".join(path)
