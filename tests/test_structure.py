"""The rules of the tree that no other tool checks."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.conftest import HERE, OF_FOLDER, TIERS

ROOT = Path(__file__).parent.parent
ORDER = ("store", "vfs", "cli")
MODULES = sorted(path for package in ORDER for path in (ROOT / package).rglob("*.py"))


def imported(tree: ast.AST) -> Iterator[tuple[str, str, int]]:
    """The imports of a module: the module, the name in it (or nothing), the line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "", node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, alias.name, node.lineno) for alias in node.names)


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def test_there_are_modules_to_check() -> None:
    assert len(MODULES) > 40


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_store_to_vfs_to_cli_only(path: Path) -> None:
    own = ORDER.index(path.relative_to(ROOT).parts[0])
    for name, _, line in imported(parsed(path)):
        parts = name.split(".")
        if parts[0] == "rootlay":
            assert len(parts) > 1, f"{path}:{line}: name the package: rootlay.store, rootlay.vfs or rootlay.cli"
            assert ORDER.index(parts[1]) <= own, f"{path}:{line} imports {name}"


READS_THE_ENVIRONMENT: dict[str, set[str]] = {
    "store/disk/userroot.py": {"ROOTLAY_ROOT", "XDG_DATA_HOME", "HOME"},
    "vfs/run/hydrator.py": set(),
}
"""The exceptions, and the variables that they may know: the answer must be the same for all who ask. The second hands
the whole environment to a child process, which posix_spawn does not do by itself."""


@pytest.mark.parametrize("package", ["store", "vfs"])
def test_only_the_command_line_reads_the_environment_or_prints(package: str) -> None:
    for path in sorted((ROOT / package).rglob("*.py")):
        allowed = str(path.relative_to(ROOT)) in READS_THE_ENVIRONMENT
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "print", f"{path}:{node.lineno} prints"
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
                names = ("getenv", "environb", *(() if allowed else ("environ",)))
                assert node.attr not in names, f"{path}:{node.lineno} reads the environment"


@pytest.mark.parametrize("name", sorted(READS_THE_ENVIRONMENT))
def test_the_exception_reads_the_variables_that_it_says_and_no_others(name: str) -> None:
    tree = parsed(ROOT / name)
    words = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    assert {word for word in words if word.isupper() and word.isidentifier()} == READS_THE_ENVIRONMENT[name]
    used = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "environ"]
    assert len(used) == 1


def test_there_is_no_package_directory_named_rootlay_at_the_root() -> None:
    assert not (ROOT / "rootlay").exists()


def test_no_module_is_named_for_everything() -> None:
    assert not [path for path in MODULES if path.stem in ("utils", "util", "common", "helpers", "misc")]


PRINTERS = {"cli/printer.py", "vfs/run/session.py", "vfs/run/foreground.py"}
"""Who writes to a standard stream: one place for the command line, and two lines of a process that is no command line
any more (`tell_trouble`, and a child that cannot start the engine), which escape what is not their own."""


def test_one_place_of_the_command_line_writes_to_a_standard_stream() -> None:
    """What others have written is escaped there (SECURITY.md): a line that goes round it could move the cursor."""
    for path in MODULES:
        name = str(path.relative_to(ROOT))
        if name in PRINTERS:
            continue
        for node in ast.walk(parsed(path)):
            where = f"{name}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("print", "input"), f"{where} prints"
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "sys":
                assert node.attr not in ("stdout", "stderr", "__stdout__", "__stderr__", "displayhook"), where
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                first = node.args[0]
                if node.func.attr == "write" and isinstance(first, ast.Constant):
                    assert first.value not in (1, 2), f"{where} writes to a standard descriptor"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and name.startswith("cli/"):
                assert node.func.attr not in ("echo", "secho"), f"{where} prints"


def test_what_is_drawn_or_passed_on_as_it_is_comes_from_few_places() -> None:
    """The ways round the escapes of `cli/printer.py`."""
    found = set()
    for path in (path for path in MODULES if path.relative_to(ROOT).parts[0] == "cli" and path.stem != "printer"):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Attribute) and node.attr in ("drawn", "output", "text", "binary", "write"):
                owner = ast.unparse(node.value)
                if owner.endswith((".out", ".err", "_out")) or owner in ("out", "err"):
                    found.add((path.stem, node.attr))
    assert found == {
        ("plainreport", "output"),  # what commands of RUN write
        ("quietreport", "output"),
        ("screen", "text"),  # rich's live display; what it shows is escaped before
        ("progress", "drawn"),  # a line on a terminal
        ("login", "drawn"),  # a prompt
        ("stats", "drawn"),  # the screen is cleared
        ("output", "binary"),
        ("export", "binary"),
        ("save", "binary"),
        ("cp", "binary"),
        ("logs", "binary"),  # programs' own output
        ("manifest", "binary"),  # --raw
        ("imagetools", "binary"),  # --raw, not on a terminal
        ("diff", "binary"),  # --patch, not on a terminal: git apply needs the exact bytes
    }


RENAMES = {
    "store/disk/durable.py": "`publish`, the one place that puts a finished file where readers look",
    "store/disk/eventlog.py": "the full log of events, under its second name",
    "store/disk/removetree.py": "names that are too deep to be removed where they are",
    "store/layout/removal.py": "into the trash, and back",
    "store/containers/upperstack.py": "into the trash",
    "store/containers/containers.py": "the sessions of a store of an older version, all at once",
    "store/containers/removal.py": "into the trash",
    "store/check/layers.py": "a layer put aside while it is made again",
    "store/check/finding.py": "into the quarantine",
    "store/check/trees.py": "below a directory descriptor, as programs look on",
    "store/hydrate/tree.py": "below a directory descriptor, as programs look on",
    "store/volumes/volumes.py": "into the trash",
    "store/networks/addresses.py": "the sparse file of an address, and a mark",
    "vfs/changes/apply.py": "below a directory descriptor, in a tree of the user's",
    "vfs/run/session.py": "the launch file of a session that begins again",
}
"""Who renames; in vfs/overlay and vfs/pyfs a rename is what programs ask for."""


def test_what_is_written_is_put_in_place_by_one_function() -> None:
    found = set()
    for path in MODULES:
        name = str(path.relative_to(ROOT))
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Attribute):
                assert node.attr not in ("mkstemp", "NamedTemporaryFile"), f"{name}:{node.lineno}"
            if renames(node) and not name.startswith(("vfs/overlay/", "vfs/pyfs/")):
                found.add(name)
    assert found == RENAMES.keys()


def renames(node: ast.AST) -> bool:
    """A call of os.rename, Path.replace and the like; the `replace` of a text has two arguments."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    of_os = ast.unparse(node.func) in ("os.rename", "os.replace", "os.renames", "shutil.move")
    return of_os or (len(node.args) == 1 and node.func.attr in ("rename", "replace"))


# The folders, lowest first. A module imports from its own folder and from lower lines; nothing from above, and nothing
# from another folder of its line. That holds inside functions and for types, too. `store/store` is the file store.py:
# the face of the store, which nothing in store/ but the checks names.
FLOORS = (
    "store/model",
    "store/disk",
    "store/codec",
    "store/tar",
    "store/containers store/layout",
    "store/volumes store/networks",
    "store/chunks",
    "store/layer",
    "store/view",
    "store/images",
    "store/lazy",
    "store/bundle",
    "store/hydrate",
    "store/registry",
    "store/exchange",
    "store/store",
    "store/check",
    "vfs/merge",
    "vfs/overlay",
    "vfs/changes",
    "vfs/settings",
    "vfs/run",
    "vfs/detached",
    "vfs/held",
    "vfs/containers",
    "vfs/lifecycle",
    "vfs/docker",
    "vfs/hook vfs/doctor",
    "vfs/wrap",
    "vfs/pyfs",
    "vfs/explore",
    "vfs/build/language",
    "vfs/build/lint",
    "vfs/build/context",
    "vfs/build/options",
    "vfs/build/attest",
    "vfs/build/result",
    "vfs/build/copy",
    "vfs/build/run",
    "vfs/build/cache",
    "vfs/build",
    "vfs/api",
    "vfs/sandbox",
    "vfs/plugins",
    "vfs",
    "cli/template",
    "cli",
    "cli/completion",
    "cli/build",
    "cli/container",
    "cli/apptainer",
    "cli/api",
    "cli/docker",
    "cli/bake",
    "cli/explore",
    "cli/mcp",
    "cli/verbs",
    "cli/groups",
)
FLOOR = {folder: floor for floor, row in enumerate(FLOORS) for folder in row.split()}


def folder_of(module: str) -> str:
    """The folder of a dotted name below `rootlay`, which may be a module, a package or a name in one."""
    path = Path(*module.split(".")[1:])
    while not ((ROOT / path).is_dir() or (ROOT / path).with_suffix(".py").is_file()):
        path = path.parent
    if (ROOT / path).is_dir() or str(path) == "store/store":
        return str(path)
    return str(path.parent)


def test_every_folder_has_its_floor() -> None:
    folders = {str(path.parent.relative_to(ROOT)) for path in MODULES} - {"store"}
    assert folders | {"store/store"} == set(FLOOR)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down_the_floors(path: Path) -> None:
    relative = path.relative_to(ROOT)
    own = "store/store" if str(relative) == "store/store.py" else str(relative.parent)
    for module, name, line in imported(parsed(path)):
        if module.startswith("rootlay."):
            folder = folder_of(f"{module}.{name}" if name else module)
            if folder != own:
                assert FLOOR[folder] < FLOOR[own], f"{path}:{line} imports {module}"


def dotted(path: Path) -> str:
    """A module's name as it is imported."""
    parts = ("rootlay", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


class WithoutTypes(ast.NodeTransformer):
    """Leaves out what only a type checker imports."""

    def visit_If(self, node: ast.If) -> ast.AST:
        if ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            return ast.Module(node.orelse, [])
        return self.generic_visit(node)


def import_graph(sources: Mapping[str, ast.AST]) -> dict[str, set[str]]:
    """Which modules each of them imports when it runs: at once, or in a function."""
    graph = {}
    for own, tree in sources.items():
        names = {
            whole if (whole := f"{module}.{name}") in sources else module
            for module, name, _ in imported(WithoutTypes().visit(tree))
        }
        graph[own] = names & sources.keys() - {own}
    return graph


def find_circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """The groups of modules that import each other, directly or through others (Tarjan's components)."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []
    found = []

    def visit(module: str) -> None:
        number[module] = lowest[module] = len(number)
        path.append(module)
        for other in sorted(graph[module]):
            if other not in number:
                visit(other)
                lowest[module] = min(lowest[module], lowest[other])
            elif other in path:
                lowest[module] = min(lowest[module], number[other])
        if lowest[module] == number[module]:
            group = path[path.index(module) :]
            del path[path.index(module) :]
            if len(group) > 1:
                found.append(sorted(group))

    for module in sorted(graph):
        if module not in number:
            visit(module)
    return found


def test_no_modules_import_each_other() -> None:
    """A function's imports count, too: an import that is late only because of a circle hides it."""
    assert find_circles(import_graph({dotted(path): parsed(path) for path in MODULES})) == []


def test_a_circle_is_found_wherever_the_import_stands() -> None:
    sources = {
        "a": "from b import x",
        "b": "def f():\n    import c",
        "c": "from a import y",
        "d": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import e",
        "e": "import d",
    }
    assert find_circles(import_graph({name: ast.parse(text) for name, text in sources.items()})) == [["a", "b", "c"]]


SOURCES_IN_C = sorted(path for package in ORDER for path in (ROOT / package).rglob("*.[chS]"))


@pytest.mark.parametrize(
    "folder",
    sorted({path.parent for path in (*MODULES, *SOURCES_IN_C)}),
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_no_folder_is_a_shelf(folder: Path) -> None:
    """More than thirty modules are two ideas. cli/verbs has one module for each verb, by design."""
    modules = [*folder.glob("*.py"), *folder.glob("*.c"), *folder.glob("*.S")]
    assert len(modules) <= 30 or folder == ROOT / "cli" / "verbs"


@pytest.mark.parametrize("path", SOURCES_IN_C, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_source_in_c_is_short(path: Path) -> None:
    """More than 400 lines are two ideas."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def variables(source: str) -> list[str]:
    """The declarators of the variables of a file in C that are private to it, and not constant."""
    code = re.sub(r"/\*.*?\*/|^#.*?$", "", source, flags=re.DOTALL | re.MULTILINE)
    while code != (code := re.sub(r"\{[^{}]*\}", "", code)):
        pass
    found = re.findall(r"^static (?!const |inline )([^();=]*)(?:=[^;]*)?;", code, flags=re.MULTILINE)
    return [text.removesuffix("RL_BULK").split()[-1] for text in found]


@pytest.mark.parametrize(
    "path",
    [path for path in SOURCES_IN_C if path.is_relative_to(ROOT / "vfs/csrc/core")],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_a_file_of_the_core_has_its_state_in_one_structure(path: Path) -> None:
    """ADR 23; large arrays are apart, and only they may be in a function."""
    source = path.read_text(encoding="utf-8")
    assert [name for name in variables(source) if not name.endswith("]")] in ([], ["state"])
    assert not re.search(r"^[ \t]+static (?!const )[^(;[]*;", source, re.MULTILINE)


def test_started_pythons_do_not_import_from_the_working_directory() -> None:
    """A program inside may write to it: a package of a name of ours there would be run on the machine."""
    found = [word for path in MODULES for word in re.findall(r"sys\.executable\)?}?,? ?\"?(-\w|-m)", path.read_text())]
    assert len(found) >= 10
    assert set(found) == {"-P"}


def test_variables_of_a_file_in_c_are_found() -> None:
    source = "static struct {\n    int a; /* {; */\n} state;\nstatic u32 busy;\nstatic u8 b[9] RL_BULK;\n"
    source += "static int f(int a)\n{\n    return a;\n}\nstatic const int c = 1;\nstatic u64 n = 3;\n"
    assert variables(source) == ["state", "busy", "b[9]", "n"]


# What the C sources of a folder include, besides their own folder. The folders of the core
# share one header (core/internal.h); those of the handlers (files, sockets, process, signals) do not know each other.
INCLUDES = {
    "store/csrc": "",
    "store/csrc/batchwrite": "",
    "store/csrc/viewbuild": "store/csrc",
    "vfs/csrc/core": "store/csrc",
    "vfs/csrc/testlib": "vfs/csrc/core",
    "vfs/csrc/hook": "vfs/csrc/core",
    "vfs/csrc/monitor": "store/csrc vfs/csrc/core",
    "vfs/csrc/wrap": "vfs/csrc/monitor",
    "vfs/csrc/trap": "vfs/csrc/core vfs/csrc/trap/x86_64 vfs/csrc/trap/aarch64",
    "vfs/csrc/trap/table": "vfs/csrc/trap",
    "vfs/csrc/trap/x86_64": "store/csrc vfs/csrc/trap/call",
    "vfs/csrc/trap/aarch64": "store/csrc vfs/csrc/trap/call",
    "vfs/csrc/trap/call": "vfs/csrc/trap vfs/csrc/trap/table vfs/csrc/core",
    "vfs/csrc/trap/start": "vfs/csrc/trap vfs/csrc/trap/table",
    "vfs/csrc/trap/files": "vfs/csrc/trap vfs/csrc/trap/table vfs/csrc/core",
    "vfs/csrc/trap/sockets": "vfs/csrc/trap vfs/csrc/trap/table",
    "vfs/csrc/trap/process": "vfs/csrc/trap vfs/csrc/trap/table",
    "vfs/csrc/trap/signals": "vfs/csrc/trap vfs/csrc/trap/table",
}


def test_sources_in_c_include_what_their_folder_may() -> None:
    found: dict[str, set[str]] = {}
    for path in SOURCES_IN_C:
        own = folder_in_c(path)
        found.setdefault(own, set())
        for name in re.findall(r'^#\s*include "(.*)"', path.read_text(encoding="utf-8"), re.MULTILINE):
            included = (path.parent / name).resolve()
            assert included.is_file(), f"{path} includes {name}"
            if folder_in_c(included) != own:
                found[own].add(folder_in_c(included))
    assert found == {folder: set(others.split()) for folder, others in INCLUDES.items()}


def folder_in_c(path: Path) -> str:
    """The folder of a source; all of the core counts as one."""
    folder = path.parent.relative_to(ROOT).as_posix()
    return "vfs/csrc/core" if folder.startswith("vfs/csrc/core/") else folder


def test_no_two_sources_of_one_program_have_one_name() -> None:
    """Objects are named for their source (`tests/faults`), and so are the references of our comments."""
    for part in ("vfs/csrc/core", "vfs/csrc/trap", "vfs/csrc/hook"):
        for other in ("x86_64", "aarch64"):
            paths = [path for path in SOURCES_IN_C if path.is_relative_to(ROOT / part) and path.parent.name != other]
            names = [path.name for path in paths]
            assert len(names) == len(set(names)), part


@pytest.mark.parametrize("folder", ["tests", "bench"])
def test_tests_and_benchmarks_import_as_packages(folder: str) -> None:
    """pyproject.toml has the tree on the path: nobody changes it on import."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        for statement in parsed(path).body:
            if isinstance(statement, ast.Expr):
                assert "sys.path" not in ast.unparse(statement), f"{path}:{statement.lineno}"


def test_every_folder_of_tests_has_a_tier() -> None:
    folders = {path.parent.relative_to(HERE).as_posix() for path in HERE.rglob("test_*.py")} - {"."}
    assert folders == OF_FOLDER.keys()
    assert set(OF_FOLDER.values()) <= set(TIERS)
