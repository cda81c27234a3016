"""What tests of more than one folder stand on: a small tree, and the tiers (docs/testing.md).

Every test is of one tier: that of its own marker, else `programs` where it uses an image of Debian, else that of its
folder. tests/run selects by them.
"""

from __future__ import annotations

import gc
import os
import signal
from collections import Counter
from collections.abc import Generator
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import settings

from rootlay.vfs.pyfs.importfs import import_pyfs
from tests.support.rootfs import build_rootfs

gc.disable()  # until all tests are collected: nothing of that is garbage

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a shell, for all programs of the tests
    signal.signal(signal.SIGINT, signal.default_int_handler)

import_pyfs()  # which cannot import itself everywhere: whatever test file comes first may say `import fs`

# No run depends on what an earlier one has found, or on luck. Others try new examples: docs/testing.md, Order.
settings.register_profile("random", database=None)
settings.register_profile("tests", database=None, derandomize=True)
LONGER = ("ROOTLAY_TEST_LONG", "ROOTLAY_TEST_MINUTES", "ROOTLAY_TEST_OPERATIONS", "ROOTLAY_TEST_EXAMPLES")
settings.load_profile("random" if any(map(os.environ.get, LONGER)) else "tests")
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
ONCE = tuple(
    """
    cli/api/
    cli/template/
    cli/test_apptainer cli/test_bad_input cli/test_build_flags cli/test_bundle cli/test_completion cli/test_crash
    cli/test_dask cli/test_diff_forms cli/test_docker_ cli/test_documented_commands cli/test_documented_registry
    cli/test_escapes cli/test_exchange cli/test_exit_codes cli/test_explore cli/test_fsck cli/test_groups
    cli/test_hydrate_ahead cli/test_images cli/test_kernel cli/test_lazy cli/test_leavers cli/test_lifecycle
    cli/test_mcp cli/test_mistyped cli/test_monitors cli/test_multiplatform cli/test_nativestart
    cli/test_networks cli/test_odd_surroundings
    cli/test_parse cli/test_pictures cli/test_ports cli/test_progress cli/test_prune cli/test_python
    cli/test_ray cli/test_registry cli/test_sandboxes cli/test_settings cli/test_startup
    cli/test_view_delta cli/test_wrap
    hostile/
    native/test_core_moved native/test_core_names native/test_core_random native/test_core_recall
    native/test_core_seen native/test_coverage_document native/test_engine_patch native/test_engine_table
    native/test_engine_watches native/test_gate_document native/test_watchers
    programs/test_deeppaths programs/test_layouts programs/test_workflows
    store/test_bad_input store/test_bundle store/test_check_lazy store/test_codec store/test_digest store/test_entry
    store/test_fuzz store/test_hydrate_ahead store/test_hydrate_contents store/test_hydrate_trouble store/test_images
    store/test_import store/test_lazy store/test_lease store/test_limits store/test_link store/test_load_kinds
    store/test_multiplatform store/test_network store/test_optimize store/test_outfile store/test_readahead
    store/test_reference store/test_registry store/test_save store/test_segmentcache store/test_value
    store/test_view.py store/test_view_corrupt store/test_view_oracle
    test_
    vfs/build/test_build vfs/build/test_lint
    vfs/explore/
    vfs/hook/test_deep_paths vfs/hook/test_extensions vfs/hook/test_imports vfs/hook/test_libc
    vfs/hook/test_misuse vfs/hook/test_programs vfs/hook/test_renamed vfs/hook/test_scope vfs/hook/test_shown
    vfs/hook/test_threads
    vfs/run/test_doctor vfs/run/test_hydrator vfs/run/test_lowerfiles
    vfs/sandbox/
    vfs/test_bloom vfs/test_changes vfs/test_check_repairs vfs/test_deep vfs/test_diff vfs/test_errors
    vfs/test_fsspec vfs/test_howto vfs/test_path vfs/test_pyfs_conformance vfs/test_record vfs/test_removals
    vfs/test_reprhtml vfs/test_settings vfs/test_snapshots.py vfs/test_store_api vfs/test_wrong_types
    vfs/wrap/
    """.split()
)
"""Where tests are `once`, if they do not need root: they do not depend on who runs them, and CI has thirty minutes."""
ONCE_TESTS = {"test_usr_is_copied_compared_and_removed", "test_lua_is_built_from_its_source_package"}
ONCE_TESTS |= {"test_a_large_git_repository_is_cloned_and_collected"}
"""Further ones, by name: root's package manager, git and compilers run in the tests beside them."""
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
        of_file = item.path.relative_to(HERE).as_posix().startswith(ONCE)
        if needs_root is None and (of_file or getattr(item, "originalname", "") in ONCE_TESTS):
            item.add_marker("once")


def pytest_collection_finish(session: pytest.Session) -> None:
    gc.freeze()  # eight thousand tests: a collection behind each file would look at them all
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """The umask is that of the run for each test: the core's tests, which run in this process, change it."""
    umask = os.umask(0o022)
    os.umask(umask)
    try:
        return (yield)
    finally:
        os.umask(umask)


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
