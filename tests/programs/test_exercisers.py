"""Random operations inside, against a shadow copy and against a plain directory."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.programs.conftest import Machine

pytestmark = [pytest.mark.long_form, pytest.mark.once]

#: Of the tree exerciser: how many at once, and how many operations each.
PROCESSES, OPERATIONS = (32, 5000) if os.environ.get("ROOTLAY_TEST_LONG") else (16, 500)


@pytest.mark.parametrize(
    ("patch", "operations"), [((), 100_000), (("--no-patch",), 10_000)], ids=["patched", "trapped"]
)
def test_a_file_of_the_image_agrees_with_its_shadow(
    debian: Machine, exercisers: Path, patch: tuple[str, ...], operations: int
) -> None:
    script = f"/x/fileops /etc/passwd {operations} 1; /x/fileops /new 10000 2"
    out = debian.sh(script, "-v", f"{exercisers}:/x:ro", *patch)
    assert out == f"{operations} operations\n10000 operations\n"


def logs(tree: Path) -> list[str]:
    return [(tree / f"log.{i}").read_text() for i in range(PROCESSES)]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("place", ["upper", "bind"])
def test_trees_behave_as_in_a_plain_directory(debian: Machine, exercisers: Path, tmp_path: Path, place: str) -> None:
    plain, bound = tmp_path / "plain", tmp_path / "bound"
    plain.mkdir()
    bound.mkdir()
    words = [str(PROCESSES), str(OPERATIONS), "7"]
    subprocess.run([exercisers / "treeops", plain, *words], check=True, capture_output=True, timeout=600)
    where = "/bound/t" if place == "bind" else "/tmp/t"
    script = f"mkdir {where}; /x/treeops {where} {' '.join(words)}"
    script += "" if place == "bind" else "; cp -r /tmp/t /bound/"
    user = ("-u", "1000:1000") if place == "upper" else ()
    debian.sh(script, "-v", f"{exercisers}:/x:ro", "-v", f"{bound}:/bound", *user)
    inside, outside = logs(bound / "t"), logs(plain)
    for mine, theirs in zip(inside, outside, strict=True):
        differ = [pair for pair in zip(mine.splitlines(), theirs.splitlines(), strict=False) if pair[0] != pair[1]]
        assert not differ, differ[:3]
    assert inside == outside
    made = sum(int((bound / "t" / f"wins.{i}").read_text()) for i in range(PROCESSES))
    assert made == len(list((bound / "t" / "shared").iterdir())), "each name is made by one process only"


def test_200_processes_append_to_a_file_of_the_image_at_once(debian: Machine) -> None:
    script = """
    before=$(stat -c %s /etc/passwd)
    for i in $(seq 200); do (for k in 1 2 3 4 5; do printf '%07d\\n' $((i * 10 + k)) >> /etc/passwd; done) & done
    wait
    echo $(( $(stat -c %s /etc/passwd) - before )) $(tail -c +$((before + 1)) /etc/passwd | sort -u | wc -l)
    """
    assert debian.sh(script).split() == ["8000", "1000"]


def test_200_processes_write_files_of_the_image_at_once(debian: Machine) -> None:
    script = """
    cd /usr/share/doc; f=$(find . -name copyright -type f | head -20)
    for i in $(seq 200); do (for p in $f; do echo $i >> $p; done) & done; wait
    for p in $f; do tail -200 $p | sort -un | wc -l; done | sort | uniq -c
    """
    assert debian.sh(script).split() == ["20", "200"]
