"""Where the user's own store is: one answer for the command line, the Python API and the libraries that open URLs."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rootlay.store.disk.userroot import NoHome, user_root
from rootlay.vfs import Store

WAYS: dict[str, str] = {
    "api": "from rootlay.vfs import Store; print(Store.open().image('small').reference)",
    "fsspec": "import fsspec; print(fsspec.open('rootlay://small!/etc/motd', 'rt').open().read() and 'small:latest')",
    "upath": "import upath; print(upath.UPath('rootlay://small!/etc/motd').read_text() and 'small:latest')",
    "pyfilesystem": (
        "from rootlay.vfs.pyfs.importfs import import_pyfs; import_pyfs(); import fs; "
        "print(fs.open_fs('rootlay://small').readtext('/etc/motd') and 'small:latest')"
    ),
    "command line": "from rootlay.cli.main import main; main(['inspect', 'small']) and exit(1); print('small:latest')",
}


def environments(base: Path) -> dict[str, tuple[dict[str, str], Path]]:
    """For each way to say it: the variables, and where the store then is."""
    return {
        "ROOTLAY_ROOT": (
            {"ROOTLAY_ROOT": str(base / "own"), "XDG_DATA_HOME": str(base), "HOME": str(base)},
            base / "own",
        ),
        "a relative ROOTLAY_ROOT": ({"ROOTLAY_ROOT": "own", "HOME": "/nonexistent"}, base / "own"),
        "XDG_DATA_HOME": ({"XDG_DATA_HOME": str(base / "data"), "HOME": "/nonexistent"}, base / "data/rootlay"),
        "HOME": ({"ROOTLAY_ROOT": "", "XDG_DATA_HOME": "rel", "HOME": str(base)}, base / ".local/share/rootlay"),
    }


@pytest.mark.parametrize("said", list(environments(Path("/"))))
@pytest.mark.parametrize("way", WAYS)
def test_everybody_finds_the_same_store(way: str, said: str, small_tree: Path, tmp_path: Path) -> None:
    variables, root = environments(tmp_path)[said]
    Store.open(root).import_rootfs(small_tree, "small")
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONDONTWRITEBYTECODE") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::ImportWarning", "-c", WAYS[way]],
        env={**kept, **variables}, cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "small:latest"


def test_without_home_the_user_database_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ROOTLAY_ROOT", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    for home in (None, "relative"):
        monkeypatch.delenv("HOME", raising=False)
        if home is not None:
            monkeypatch.setenv("HOME", home)
        assert user_root() == Path(pwd.getpwuid(os.getuid()).pw_dir, ".local/share/rootlay")


def no_entry(_: int) -> pwd.struct_passwd:
    raise KeyError


def test_who_has_no_home_at_all_is_told_what_to_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rootlay.cli.main import main

    for name in ("ROOTLAY_ROOT", "XDG_DATA_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", no_entry)
    uses: list[Callable[[], object]] = [user_root, Store.open]
    for use in uses:
        with pytest.raises(NoHome, match=r"set ROOTLAY_ROOT to a directory$"):
            use()
    assert main(["images"]) == 1
    assert main(["run", "small"]) == 125
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("rootlay: ") and "ROOTLAY_ROOT" in line for line in lines)
