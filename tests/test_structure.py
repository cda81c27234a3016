"""The rules of the tree that no other tool checks."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ORDER = ("store", "vfs", "cli")
MODULES = sorted(path for package in ORDER for path in (ROOT / package).rglob("*.py"))


def imports(path: Path) -> list[tuple[str, int]]:
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append((node.module, node.lineno))
    return found


def test_there_are_modules_to_check() -> None:
    assert len(MODULES) > 40


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_store_to_vfs_to_cli_only(path: Path) -> None:
    own = ORDER.index(path.relative_to(ROOT).parts[0])
    for name, line in imports(path):
        parts = name.split(".")
        if parts[0] == "rootlay":
            assert len(parts) > 1, f"{path}:{line}: name the package: rootlay.store, rootlay.vfs or rootlay.cli"
            assert ORDER.index(parts[1]) <= own, f"{path}:{line} imports {name}"


READS_THE_ENVIRONMENT = {"store/userroot.py": {"ROOTLAY_ROOT", "XDG_DATA_HOME", "HOME"}}
"""The one exception, and the variables that it may know: the answer must be the same for all who ask."""


@pytest.mark.parametrize("package", ["store", "vfs"])
def test_only_the_command_line_reads_the_environment_or_prints(package: str) -> None:
    for path in sorted((ROOT / package).rglob("*.py")):
        allowed = str(path.relative_to(ROOT)) in READS_THE_ENVIRONMENT
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "print", f"{path}:{node.lineno} prints"
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
                names = ("getenv", "environb", *(() if allowed else ("environ",)))
                assert node.attr not in names, f"{path}:{node.lineno} reads the environment"


@pytest.mark.parametrize("name", sorted(READS_THE_ENVIRONMENT))
def test_the_exception_reads_the_variables_that_it_says_and_no_others(name: str) -> None:
    tree = ast.parse((ROOT / name).read_text(encoding="utf-8"))
    words = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    assert {word for word in words if word.isupper() and word.isidentifier()} == READS_THE_ENVIRONMENT[name]
    used = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "environ"]
    assert len(used) == 1


def test_there_is_no_package_directory_named_rootlay_at_the_root() -> None:
    assert not (ROOT / "rootlay").exists()


def test_no_module_is_named_for_everything() -> None:
    assert not [path for path in MODULES if path.stem in ("utils", "util", "common", "helpers", "misc")]
