"""Programs on an image whose view is a delta (docs/format.md §5)."""

from __future__ import annotations

import io
import shutil
import tarfile
from pathlib import Path

import pytest

from rootlay.store.view.delta import DeltaHeader, read_header
from tests.cli.conftest import Rootlay

CHANGE = """
echo new >/many/3/new; echo changed >/many/4/10; rm /many/5/11; rm -r /many/6; mkdir /more; echo x >/more/x
mv /many/few /moved; chmod 600 /many/8/12; rm /many/2/7; mkdir /many/2/7; echo y >/many/2/7/y;
"""
LOOK = """
cd /many/3; cat new ../4/10 13 /more/x /moved/1 /many/2/7/y; ls -R /many /bin /more | wc -l; ls /many/2 /more /moved
cat /many/5/11 /many/6/1 /many/few/1 2>&1; stat -c '%n %a' /many/8/12 /many/8/13 /many /many/2 /more
cat /proc/self/maps | while read line; do case $line in *views*) echo "$line";; esac; done
echo more >/many/6; rm -r /many/5 /moved; ls /many
"""


@pytest.fixture(scope="module")
def tar(small_tar: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small image and 4,500 files: a smaller view is no base of a delta."""
    target = tmp_path_factory.mktemp("many") / "many.tar"
    shutil.copyfile(small_tar, target)
    with tarfile.open(target, "a") as archive:
        for name in (*(f"{n // 500}/{n % 500}" for n in range(4500)), *(f"few/{n}" for n in range(3))):
            data = f"{name.rpartition('/')[2]}\n".encode()
            entry = tarfile.TarInfo(f"many/{name}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return target


@pytest.fixture
def many(rootlay: Rootlay, tar: Path) -> Rootlay:
    """A store with the image `many`, whose view is built."""
    rootlay("import", str(tar), "many")
    rootlay("run", "--rm", "many", "true")
    return rootlay


def deltas(rootlay: Rootlay) -> list[Path]:
    return [p for p in rootlay.root.glob("views/*.view") if isinstance(read_header(p), DeltaHeader)]


def test_programs_fsck_bundles_and_removal_work_with_a_delta(many: Rootlay, tmp_path: Path) -> None:
    expected = many.out("run", "--name", "change", "many", "sh", "-c", CHANGE + LOOK)
    assert "views" not in expected
    many("run", "--name", "one", "many", "sh", "-c", CHANGE)
    many("commit", "one", "next")
    assert many.out("run", "--name", "two", "next", "sh", "-c", LOOK) == expected
    (path,) = deltas(many)
    assert path.stat().st_size < 20_000
    many("bundle", "next", "-o", str(tmp_path / "next.bundle"))
    assert many.out("run", "--rm", str(tmp_path / "next.bundle"), "sh", "-c", LOOK) == expected

    many("rm", "change", "one")
    many("rmi", "many")
    assert many.out("run", "--rm", "next", "sh", "-c", LOOK) == expected
    many("fsck", "--deep")
    many("rm", "two")
    many("rmi", "next")
    assert not deltas(many)
    assert not list(many.root.glob("views/*.base"))


@pytest.mark.parametrize("damaged", [".view", pytest.param(".lmdb.base", marks=pytest.mark.slow)])
def test_fsck_mends_a_damaged_delta(many: Rootlay, damaged: str) -> None:
    many("run", "--name", "one", "many", "sh", "-c", "echo x >/many/new")
    many("commit", "one", "next")
    many("run", "--rm", "next", "true")
    (path,) = deltas(many)
    file = path.with_name(path.stem + damaged)
    data = file.read_bytes()
    file.unlink()
    file.write_bytes(data[:-40] + bytes(40))
    assert "view-damaged" in many.out("fsck", "--deep", "--repair", code=1)
    many("fsck", "--deep")
    assert many.out("run", "--rm", "next", "cat", "/many/new") == "x\n"
    assert deltas(many) == [path]
