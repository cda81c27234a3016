"""A crashed program leaves no core file: the kernel would write it past the engine."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from tests.cli.conftest import Rootlay

PATTERN = Path("/proc/sys/kernel/core_pattern").read_text()
CRASH = "ulimit -c unlimited; kill -SEGV $$"

pytestmark = pytest.mark.skipif(
    PATTERN.startswith(("|", "/")) or not resource.getrlimit(resource.RLIMIT_CORE)[1],
    reason="this machine writes no core files into working directories",
)


@pytest.mark.parametrize("confine", ["off", "auto"])
def test_an_image_and_an_upper_get_no_core_file(small: Rootlay, confine: str) -> None:
    small("run", "--name", "c", "small", "sh", "-c", "mkdir /data; echo text > /data/core")
    small("commit", "c", "cored")
    small("run", "--name", "d", f"--confine={confine}", "-w", "/data", "cored", "sh", "-c", CRASH, code=None)
    small("run", "--name", "e", f"--confine={confine}", "small", "sh", "-c", f"mkdir /new; cd /new; {CRASH}", code=None)
    assert small.out("run", "--rm", "cored", "cat", "/data/core") == "text\n"
    assert small.out("diff", "d") == ""
    assert small.out("diff", "e") == "A /new\n"
    assert "nothing wrong" in small.out("fsck", "--deep")


def test_a_file_of_the_user_s_is_not_replaced(small: Rootlay, tmp_path: Path) -> None:
    (tmp_path / "core").write_text("text")
    small("run", "--rm", "--confine=off", "-w", str(tmp_path), "host", "--", "sh", "-c", CRASH, code=None)
    assert (tmp_path / "core").read_text() == "text"
