"""Random operations on the overlay and on the kernel's overlayfs must not be told apart.

Both begin with the same tree: ours as image layers with whiteouts and a directory below them, the kernel's as one lower
directory. Freezing, merging and committing happen on our side alone, and must change nothing. Compared after each
operation: every name, type, mode, owner, content, hard link and extended attribute; and of each call its errno.

Needs root, and a kernel and a container that let root mount. ROOTLAY_TEST_OPERATIONS is how many operations there are,
half of them done by the Python rules alone and half by these and the C core by turns (default 600, some seconds);
ROOTLAY_TEST_MINUTES how long it is to go on instead:

    ROOTLAY_TEST_OPERATIONS=100000 tests/run -s tests/vfs/test_kernel_overlayfs.py
"""

from __future__ import annotations

import ctypes
import os
import random
import shutil
import stat
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule, run_state_machine_as_test

from tests.support.oracles.overlay_machine import OverlayMachine
from tests.support.oracles.paths import Pick, contents, loose_paths, owners, paths
from tests.vfs.test_core_agrees import JointMachine, core, core_library

pytestmark = pytest.mark.oracles

MINUTES = float(os.environ.get("ROOTLAY_TEST_MINUTES", "0"))
OPERATIONS = 1 << 40 if MINUTES else int(os.environ.get("ROOTLAY_TEST_OPERATIONS", "600"))
STEPS = int(os.environ.get("ROOTLAY_TEST_STEPS", "40"))
NAMES = st.sampled_from([b"user.a", b"user.b", b"trusted.b", b"security.c"])
_MNT_DETACH = 2

__all__ = ["core", "core_library"]


def mount_overlay(lower: Path, base: Path, target: Path) -> None:
    """Mount overlayfs as Docker does, but with redirects, so that directories can be renamed. Raises OSError."""
    for path in (base / "kernel-upper", base / "kernel-work", target):
        path.mkdir()
    shutil.copymode(lower, base / "kernel-upper")  # the root's mode is that of the upper
    options = f"lowerdir={lower},upperdir={base}/kernel-upper,workdir={base}/kernel-work,redirect_dir=on"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"overlay", os.fsencode(target), b"overlay", 0, options.encode()) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def unmount(target: Path) -> None:
    ctypes.CDLL(None).umount2(os.fsencode(target), _MNT_DETACH)


def missing() -> str | None:
    """What keeps this machine from the comparison."""
    if os.geteuid() != 0:
        return "root, to mount overlayfs"
    base = Path(tempfile.mkdtemp(prefix="rootlay-test-"))
    (base / "lower").mkdir()
    try:
        mount_overlay(base / "lower", base, base / "merged")
        os.setxattr(base / "merged", b"trusted.b", b"")
    except OSError as error:
        return f"a kernel that lets us mount overlayfs, and set attributes ({error})"
    finally:
        unmount(base / "merged")
        shutil.rmtree(base)
    return None


class AgainstKernel(OverlayMachine):
    """The plain directory is the merged directory of an overlay mount."""

    done: ClassVar[Counter[str]] = Counter()

    @initialize(with_view=st.booleans(), with_plain=st.booleans(), seed=st.integers(0, 1 << 32))
    def start(self, with_view: bool, with_plain: bool, seed: int) -> None:
        self.choose = random.Random(seed)
        self.open_lowers(with_view, with_plain)
        mounted, self.plain = self.plain, self.base / "kernel-lower"
        self.plain.mkdir()
        self.copy_merged(b"", self.plain)
        self.plain = mounted
        mount_overlay(self.base / "kernel-lower", self.base, self.plain)

    def same(self, ours: Callable[[], object], theirs: Callable[[], object]) -> None:
        self.done["compared calls"] += 1
        super().same(ours, theirs)

    @rule(path=loose_paths, uid=owners, gid=owners, follow=st.booleans())
    def chown(self, path: Pick, uid: int, gid: int, follow: bool) -> None:
        """Here the other side can do it, too."""
        path_ = self.path(path)
        self.same(
            lambda: self.overlay.chown(path_, uid, gid, follow=follow),
            lambda: os.chown(self.real(path_), uid, gid, follow_symlinks=follow),
        )

    @rule(path=paths, name=NAMES, value=contents, flags=st.sampled_from([0, 0, os.XATTR_CREATE, os.XATTR_REPLACE]))
    def setxattr(self, path: Pick, name: bytes, value: bytes, flags: int = 0) -> None:
        path_ = self.path(path)
        self.same(
            lambda: self.overlay.setxattr(path_, name, value[:100], flags),
            lambda: os.setxattr(self.real(path_), name, value[:100], flags),
        )

    @rule(path=paths, name=NAMES)
    def removexattr(self, path: Pick, name: bytes) -> None:
        path_ = self.path(path)
        self.same(lambda: self.overlay.removexattr(path_, name), lambda: os.removexattr(self.real(path_), name))

    @invariant()
    def trees_agree(self) -> None:
        super().trees_agree()
        if not self.count:
            return
        self.done["operations"] += 1
        for path in self.shapes:
            shown, real = self.overlay.lstat(path or b"/"), os.lstat(self.real(path))
            assert (shown.uid, shown.gid) == (real.st_uid, real.st_gid), path
            if not stat.S_ISLNK(real.st_mode):
                assert self.attributes(path) == self.real_attributes(path), path

    def attributes(self, path: bytes) -> list[tuple[bytes, bytes]]:
        path = path or b"/"
        return [(name, self.overlay.getxattr(path, name)) for name in sorted(self.overlay.listxattr(path))]

    def real_attributes(self, path: bytes) -> list[tuple[bytes, bytes]]:
        names = sorted(os.fsencode(name) for name in os.listxattr(self.real(path)))
        return [(name, os.getxattr(self.real(path), name)) for name in names]

    def teardown(self) -> None:
        unmount(self.plain)
        super().teardown()


class RulesAgainstKernel(AgainstKernel):
    pass


class CoreAgainstKernel(AgainstKernel, JointMachine):
    """The C core and the Python rules by turns."""


def operations(machine: type[AgainstKernel], count: int) -> Iterator[str]:
    """Run histories until there were so many operations. Yields what to report."""
    machine.done = Counter()
    start = time.monotonic()
    while machine.done["operations"] < count and not (MINUTES and time.monotonic() - start > MINUTES * 30):
        left = count - machine.done["operations"]
        if settings().derandomize:
            seed(machine.done["operations"])(machine)  # not the same histories in each round
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=5 if MINUTES else min(200, max(3, left // STEPS)),
                stateful_step_count=STEPS,
                deadline=None,
                phases=[Phase.generate, Phase.shrink],
                database=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
            ),
        )
        done = machine.done
        yield (
            f"{machine.__name__}: {done['operations']} operations, {done['compared calls']} compared calls, "
            f"{time.monotonic() - start:.0f} s"
        )


needs_kernel = pytest.mark.skipif((reason := missing()) is not None, reason=f"needs {reason}")


@needs_kernel
@pytest.mark.timeout(0 if OPERATIONS > 1000 else 300)
def test_rules_against_kernel() -> None:
    for line in operations(RulesAgainstKernel, OPERATIONS // 2):
        print(line, flush=True)


@needs_kernel
@pytest.mark.timeout(0 if OPERATIONS > 1000 else 300)
def test_core_and_rules_against_kernel(core: Any) -> None:
    CoreAgainstKernel.core = core
    for line in operations(CoreAgainstKernel, OPERATIONS // 2):
        print(line, flush=True)
