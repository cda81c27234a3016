"""What the documentation names exists: files of the tree in backticks, and targets of relative links."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from urllib.parse import unquote

import pytest

TREE = Path(__file__).resolve().parent.parent
PAGES = sorted([*TREE.glob("*.md"), *(TREE / "docs").rglob("*.md")])
#: A page that may speak of files that are gone: it tells history.
HISTORY = {TREE / "CHANGELOG.md"}
#: `store/x.py`, `vfs/csrc/core/`, `tests/run`: begins with a folder of the tree. Placeholders and braces are not paths.
TREE_PATH = re.compile(r"`((?:store|vfs|cli|tests|bench|docs|demo)/[\w./*-]*)(?:::\w+)?(?:[ `])")
#: `core/walk/`, `trap/process/mark.c`: short for a path below vfs/csrc, which the pages about the core use.
CORE_PATH = re.compile(r"`((?:core|trap)/[\w./*-]*)(?:[ `])")
#: `test_link.py`, `hostile.c`, `test_urls`: a file or a function of the tests, or a source file, by its bare name.
BARE_FILE = re.compile(r"`(?:\.\./)*(?:[\w/]+/)?(\w+\.(?:py|c))`")
#: `rootlay.vfs.hook.executor`, or a name in a module: `rootlay.vfs.RootlayError`.
MODULE = re.compile(r"\brootlay\.((?:store|vfs|cli)(?:\.\w+)+)")
TEST_FUNCTION = re.compile(r"`(test_\w+)`")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text("utf-8"))


def is_missing(base: Path, name: str) -> bool:
    return not any(base.glob(name.rstrip("/"))) if "*" in name else not (base / name).exists()


def anchor(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    text = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    return {anchor(line.lstrip("#")) for line in prose(page).splitlines() if line.startswith("#")}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TREE)))
def test_paths_that_a_page_names_exist(page: Path) -> None:
    if page in HISTORY:
        pytest.skip("history names files that were removed")
    text = prose(page)
    missing = {name for name in TREE_PATH.findall(text) if is_missing(TREE, name)}
    missing |= {name for name in CORE_PATH.findall(text) if is_missing(TREE / "vfs/csrc", name)}
    assert not missing


def is_module(dotted: str) -> bool:
    """Whether a name is a module of the tree, or could be a name in one."""
    path = TREE.joinpath(*dotted.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file() or _defines(path.parent, path.name)


def _defines(module: Path, name: str) -> bool:
    source = module / "__init__.py" if module.is_dir() else module.with_suffix(".py")
    return source.is_file() and re.search(rf"\b{name}\b", source.read_text("utf-8")) is not None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TREE)))
def test_modules_that_a_page_names_exist(page: Path) -> None:
    assert [name for name in MODULE.findall(page.read_text("utf-8")) if not is_module(name)] == []


def names_of_files() -> set[str]:
    return {
        path.name for top in ("store", "vfs", "cli", "tests", "bench", "docs") for path in (TREE / top).rglob("*.*")
    }


def sources_of_tests() -> str:
    return "\n".join(path.read_text("utf-8") for path in (TREE / "tests").rglob("test_*.py"))


def test_files_and_functions_named_without_a_folder_exist() -> None:
    files, functions = names_of_files(), sources_of_tests()
    missing = []
    for page in PAGES:
        text = prose(page)
        missing += [(page.name, name) for name in BARE_FILE.findall(text) if name not in files]
        missing += [(page.name, name) for name in TEST_FUNCTION.findall(text) if f"def {name}(" not in functions]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TREE)))
def test_relative_links_of_a_page_resolve(page: Path) -> None:
    broken = []
    for link in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, fragment = link.partition("#")
        target = (page.parent / unquote(name)).resolve() if name else page
        if not target.exists() or (fragment and target.suffix == ".md" and fragment not in anchors(target)):
            broken.append(link)
    assert not broken


def test_the_patterns_find_paths() -> None:
    text = "see `store/disk/` and `core/walk/step.c`, `tests/store/test_a.py::test_b`, not `tests/{a,b}`, `store.py`"
    assert TREE_PATH.findall(text) == ["store/disk/", "tests/store/test_a.py"]
    assert CORE_PATH.findall(text) == ["core/walk/step.c"]


SOURCES = sorted(
    path for top in ("store", "vfs", "cli", "tests", "bench") for path in (TREE / top).rglob("*")
    if path.suffix in (".py", ".c", ".h", ".S")
)  # fmt: skip
#: `store/view/build.py`, `view.c`, `docs/format.md` in a comment; not a part of a longer word or of a pattern.
NAMED_FILE = re.compile(r"(?<![\w./$<>*{}~%-])((?:[\w.-]+/)*[\w-]+\.(?:md|py|c|h|S))\b(?![\w/])")
#: `rootlay.store.layout`, `store.layout.gcroots` (in backticks).
NAMED_MODULE = re.compile(r"(?:\brootlay\.|`)((?:store|vfs|cli)(?:\.\w+)+)")
FOREIGN_FILES = {
    "layer.md", "config.md", "descriptor.md", "image-layout.md", "image-index.md",  # OCI image specification
    "docs/estargz.md", "docs/attestations/attestation-storage.md",  # stargz-snapshotter, BuildKit
    "fs/binfmt_script.c", "arch/x86/include/uapi/asm/sigcontext.h", "arch/arm64/include/uapi/asm/sigcontext.h",
    "asm/unistd_64.h", "linux/fs.h",
    "limits.h",  # Linux
    "zlib.h", "lmdb.h",
    "store/x.py",  # an example
}  # fmt: skip


def remarks(path: Path) -> str:
    """The comments and docstrings of a source file."""
    text = path.read_text("utf-8")
    if path.suffix != ".py":
        return "\n".join(re.findall(r"/\*.*?\*/|//[^\n]*", text, re.DOTALL))
    return "\n".join(re.findall(r'(?m)^\s*[rf]?""".*?"""|#[^\n]*', text, re.DOTALL))


def test_files_and_modules_that_a_comment_names_exist() -> None:
    """In the tree, by its path, by the end of its path, or by its bare name. Tests make files that have bare names."""
    known = {
        str(path.relative_to(TREE)) for path in TREE.rglob("*") if path.suffix in (".md", *{s.suffix for s in SOURCES})
    }
    ends = {name.split("/", start)[-1] for name in known for start in range(name.count("/") + 1)} | FOREIGN_FILES
    missing = []
    for path in SOURCES:
        said = remarks(path)
        files = [name for name in NAMED_FILE.findall(said) if "/" in name or "tests" not in path.parts]
        missing += [f"{path}: {name}" for name in files if name.removeprefix("../") not in ends]
        missing += [f"{path}: {name}" for name in NAMED_MODULE.findall(said) if not is_module(name)]
    assert len(known) > 400
    assert missing == []


def test_the_newest_section_of_the_changelog_is_the_version() -> None:
    """Below `[Unreleased]`; docs/versioning.md says how a release is made and tagged."""
    sections = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d\d-\d\d))?$", (TREE / "CHANGELOG.md").read_text("utf-8"), re.M)
    version = tomllib.loads((TREE / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert sections[0] == ("Unreleased", "")
    assert sections[1][0] == version
    assert all(date for _, date in sections[1:])
