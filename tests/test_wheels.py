"""The wheels of tools/build_wheels.py: their tags are true, and they work where there is no compiler."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.rootfs import build_rootfs

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.once, pytest.mark.timeout(600)]

TREE = Path(__file__).parents[1]
TOOL = TREE / "tools/build_wheels.py"
ACTIVATED = """
import sys
from rootlay.vfs import Store
store = Store.open(sys.argv[1])
with store.image("small").container() as box, box.activate():
    print(open("/etc/motd").read(), end="")
"""
LOADS = """
#include <dlfcn.h>
#include <stdio.h>
int main(int argc, char **argv)
{
    void *library = dlopen(argv[1], RTLD_NOW);
    if (!library || !dlsym(library, argv[2]))
        return puts(dlerror()), 1;
    return 0;
}
"""


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    pytest.importorskip("scikit_build_core")
    if not shutil.which("cc"):
        pytest.skip("no C compiler")
    spec = importlib.util.spec_from_file_location("build_wheels", TOOL)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def wheels(tool: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The files that the tool makes of a copy of this tree; the sdist is first."""
    place = tmp_path_factory.mktemp("wheels")
    shutil.copytree(
        TREE, place / "tree", ignore=shutil.ignore_patterns(".git", ".*_cache", ".hypothesis"), symlinks=True
    )
    shutil.rmtree(place / "tree/build", ignore_errors=True)
    command = [sys.executable, str(place / "tree/tools/build_wheels.py"), str(place / "dist")]
    environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    return [Path(line) for line in done.stdout.splitlines()]


def test_the_files_have_the_version_of_the_project(wheels: list[Path]) -> None:
    versions = {path.name.removesuffix(".tar.gz").split("-")[1] for path in wheels}
    line = next(line for line in (TREE / "pyproject.toml").read_text().splitlines() if line.startswith("version"))
    assert versions == {line.split('"')[1]}


def test_the_check_finds_what_a_tag_forbids(
    tool: ModuleType, wheels: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    manylinux = next(path for path in wheels if "manylinux" in path.name and "x86_64" in path.name)
    assert tool.complaints(manylinux, "glibc") == []
    assert any("vfs/_hook.so: needs libc.so.6" in line for line in tool.complaints(manylinux, "musl"))
    monkeypatch.setattr(tool, "GLIBC", (2, 13))
    assert any("GLIBC" in line or "glibc 2.14" in line for line in tool.complaints(manylinux, "glibc"))


def test_works_in_a_bare_environment_without_a_compiler(wheels: list[Path], tmp_path: Path) -> None:
    if not os.environ.get("ROOTLAY_TEST_NETWORK"):
        pytest.skip("the dependencies are from the package index")
    manylinux = next(path for path in wheels if "manylinux" in path.name and "x86_64" in path.name)
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    (tmp_path / "bin").mkdir()  # the only programs in PATH
    for name in ("true", "sh"):
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
    environ = {**os.environ, "PATH": str(tmp_path / "bin"), "ROOTLAY_ROOT": str(tmp_path / "store")}
    assert not shutil.which("cc", path=environ["PATH"])

    def inside(*words: str) -> str:
        command = [str(venv / "bin" / words[0]), *words[1:]]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=200)
        assert done.returncode == 0, (words, done.stderr[-3000:])
        return done.stdout

    inside("python", "-m", "pip", "install", "-q", "--only-binary", ":all:", str(manylinux))
    (tmp_path / "tree").mkdir()
    build_rootfs(tmp_path / "tree")
    inside("rootlay", "import", str(tmp_path / "tree"), "small")
    assert inside("rootlay", "run", "--rm", "small", "cat", "/etc/motd") == "welcome\n"
    assert inside("python", "-c", ACTIVATED, str(tmp_path / "store")) == "welcome\n"
    assert "fail" not in inside("rootlay", "doctor")


def test_the_libraries_of_the_musl_wheel_load_in_musl(wheels: list[Path], tmp_path: Path) -> None:
    compiler = shutil.which("musl-gcc")
    if not compiler:
        pytest.skip("musl-gcc is not installed")
    musl = next(path for path in wheels if "musllinux" in path.name and "x86_64" in path.name)
    shutil.unpack_archive(musl, tmp_path / "wheel", "zip")
    (tmp_path / "loads.c").write_text(LOADS)
    subprocess.run([compiler, "-o", str(tmp_path / "loads"), str(tmp_path / "loads.c")], check=True)
    for name, symbol in (("hydrate/_batchwrite_c.so", "rl_batch_write"), ("view/_merge_c.so", "rl_merge_new")):
        library = tmp_path / "wheel/rootlay/store" / name
        done = subprocess.run(
            [str(tmp_path / "loads"), str(library), symbol], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout
