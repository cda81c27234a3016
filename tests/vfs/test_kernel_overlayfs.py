"""Random operations on the overlay and on the kernel's overlayfs must not be told apart.

Needs root, and a kernel and a container that let root mount. Length as in test_stateful.py.
"""

import ctypes
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import initialize

from rootlay.vfs.stack import DirLayer
from tests.vfs.test_stateful import EXAMPLES, STEPS, OverlayMachine, fill_plain

_MNT_DETACH = 2


def mount_overlay(lower: Path, base: Path, target: Path) -> None:
    """Mount overlayfs as Docker does, but with redirects, so that directories can be renamed. Raises OSError."""
    for path in (base / "kernel-upper", base / "kernel-work", target):
        path.mkdir()
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
    except OSError as error:
        return f"a kernel that lets us mount overlayfs ({error})"
    finally:
        unmount(base / "merged")
        shutil.rmtree(base)
    return None


class KernelMachine(OverlayMachine):
    """The plain directory is the merged directory of an overlay mount."""

    @initialize()
    def start(self) -> None:  # type: ignore[override]  # one lower layer: the kernel sees the same
        fill_plain(self.base / "lower")
        self.lowers = [DirLayer.at(self.base / "lower")]
        self.open_upper()
        mount_overlay(self.base / "lower", self.base, self.plain)

    def teardown(self) -> None:
        unmount(self.plain)
        super().teardown()


KernelMachine.TestCase.settings = settings(
    max_examples=max(5, EXAMPLES // 2),
    stateful_step_count=STEPS,
    deadline=None,
    phases=[Phase.generate, Phase.shrink],
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@pytest.mark.skipif((reason := missing()) is not None, reason=f"needs {reason}")
class TestOverlayAgainstKernel(KernelMachine.TestCase):  # type: ignore[name-defined, misc]
    pass
