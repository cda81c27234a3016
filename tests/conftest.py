"""What tests of more than one folder stand on: a small tree, and the tiers (docs/testing.md).

Every test is of one tier: that of its own marker, else `programs` where it uses an image of Debian, else that of its
folder. tests/run selects by them.
"""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import Generator
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import settings

from rootlay.vfs.pyfs.importfs import import_pyfs
from tests.support.rootfs import build_rootfs

import_pyfs()  # which cannot import itself everywhere: whatever test file comes first may say `import fs`

settings.register_profile("tests", database=None)  # no run depends on what an earlier one has found
settings.load_profile("tests")
for checks in ("overlay_machine", "calls", "histories"):
    pytest.register_assert_rewrite(f"tests.support.oracles.{checks}")

HERE = Path(__file__).parent
TIERS = ("unit", "engine", "oracles", "programs", "long")
OF_FOLDER = {
    "store": "unit",
    "vfs": "unit",
    "vfs/build": "engine",
    "vfs/explore": "unit",
    "vfs/hook": "engine",
    "vfs/run": "engine",
    "vfs/sandbox": "engine",
    "vfs/wrap": "engine",
    "native": "engine",
    "cli": "engine",
    "cli/template": "unit",
    "cli/api": "engine",
    "hostile": "engine",
    "buildah": "oracles",
    "programs": "programs",
    "faults": "long",
    "fuzz": "long",
    "machines": "long",
    "stress": "long",
}
ONCE = (
    *(
        "hostile/",
        "cli/api/",
        "cli/template/",
        "cli/test_apptainer",
        "cli/test_docker_",
        "cli/test_explore",
        "cli/test_groups",
        "cli/test_build_flags",
    ),
    *("cli/test_registry", "cli/test_lifecycle", "cli/test_parse", "cli/test_escapes", "cli/test_exit_codes"),
    *("cli/test_crash", "cli/test_documented_commands", "cli/test_lazy", "cli/test_leavers", "cli/test_monitors"),
    *("cli/test_multiplatform", "cli/test_networks", "cli/test_odd_surroundings", "cli/test_ports"),
    "programs/test_deeppaths",
    *("store/test_registry", "vfs/explore/", "vfs/test_fsspec", "vfs/build/test_build", "vfs/build/test_lint", "test_"),
    *("cli/test_bundle", "cli/test_completion", "cli/test_exchange", "store/test_bundle", "store/test_codec"),
    *("store/test_digest", "store/test_fuzz", "store/test_images", "store/test_lazy", "store/test_limits"),
    *("store/test_link", "store/test_load_kinds", "store/test_multiplatform", "store/test_network"),
    "store/test_outfile",
    *("store/test_reference", "store/test_save", "store/test_value", "store/test_view_corrupt", "vfs/run/test_doctor"),
    *("vfs/sandbox/", "vfs/test_bloom", "vfs/test_errors", "vfs/test_path", "vfs/test_pyfs_conformance"),
    *("vfs/test_record", "vfs/test_store_api", "vfs/test_wrong_types"),
)
"""Where tests are `once`, if they do not need root: they do not depend on who runs them, and CI has thirty minutes."""
DEBIAN = {"debian", "debian_root", "debian_store", "machine"}
LEFT_OUT: pytest.StashKey[Counter[str]] = pytest.StashKey()


def tier_of(item: pytest.Item) -> str:
    """The tier of a test."""
    own = [name for name in TIERS if item.get_closest_marker(name)]
    if own:
        (tier,) = own
        return tier
    if DEBIAN & set(getattr(item, "fixturenames", ())):
        return "programs"
    return OF_FOLDER.get(item.path.parent.relative_to(HERE).as_posix(), "unit")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("ROOTLAY_TEST_REVERSED"):  # within each file: no test may need the one before it
        items[:] = [item for _, of_file in groupby(items, lambda item: item.path) for item in reversed(list(of_file))]
    for item in items:
        item.add_marker(tier_of(item))
        needs_root = item.get_closest_marker("needs_root")
        if needs_root is not None and os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason=f"needs root: {needs_root.args[0]}"))
        if needs_root is None and item.path.relative_to(HERE).as_posix().startswith(ONCE):
            item.add_marker("once")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    if nextitem is None or nextitem.path != item.path:
        gc.collect()  # what a file of tests has left open is an error of that file, not of a later one


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LEFT_OUT] = Counter()


def pytest_deselected(items: list[pytest.Item]) -> None:
    for item in items:
        tier = tier_of(item)
        kind = f"slow ones of {tier}" if tier in ("unit", "engine") and item.get_closest_marker("slow") else tier
        item.config.stash[LEFT_OUT][kind] += 1


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):  # a process of pytest-xdist: say it to the one that prints
        left_out = session.config.stash[LEFT_OUT]
        session.config.workeroutput["left out"] = dict(left_out)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    output = getattr(node, "workeroutput", {})
    config: pytest.Config = node.config  # type: ignore[attr-defined]
    config.stash[LEFT_OUT] = Counter(output.get("left out", {}))  # each process collects all


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> Generator[None]:
    yield  # behind the reasons for what was skipped, before the last line
    left_out = config.stash[LEFT_OUT]
    if left_out:
        said = ", ".join(f"{count} {kind}" for kind, count in sorted(left_out.items()))
        terminalreporter.write_line(f"left out: {said}. `tests/run TIER` runs one, `tests/run all` every one.")


@pytest.fixture(scope="session")
def small_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small root file system, unpacked; not to be changed."""
    target = tmp_path_factory.mktemp("small") / "tree"
    target.mkdir()
    build_rootfs(target)
    return target
