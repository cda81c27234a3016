"""Debian for a machine: a root file system and a kernel, made by mmdebstrap of packages that are only extracted.

Nothing of another architecture runs here: no maintainer script does. complete() makes what the tests need of their
results.
"""

from __future__ import annotations

import lzma
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

MIRROR = "http://deb.debian.org/debian"
#: In the order in which they are loaded; those that the kernel has built in are missing.
MODULES = (
    "virtio", "virtio_ring", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "virtio_mmio",
    "virtio_blk", "crc16", "crc32c_generic", "libcrc32c", "mbcache", "jbd2", "ext4",
)  # fmt: skip


class MissingTool(RuntimeError):
    """A program or a package that is needed here."""


def need(tool: str, package: str) -> str:
    """Return the path of a tool.

    Raises:
        MissingTool: it is not installed.
    """
    found = shutil.which(tool)
    if found is None:
        raise MissingTool(f"{tool} is missing: install {package}")
    return found


def bootstrap(target: Path, architecture: str, suite: str, packages: Sequence[str], *, mirror: str = MIRROR) -> Path:
    """Make a tar of these packages and their dependencies, extracted, unless it exists already.

    Args:
        target: the tar; packages are in the order of apt.
        architecture: Debian's name, `arm64` or `amd64`.

    Raises:
        CalledProcessError: mmdebstrap failed.
        MissingTool: it is not installed.
    """
    if target.exists():
        return target
    part = target.with_name(target.name + ".part.tar")
    command = [need("mmdebstrap", "mmdebstrap"), "--quiet", f"--architectures={architecture}", "--variant=extract"]
    command += [f"--include={','.join(packages)}"]
    if suite == "sid":  # a mirror that stands still: its signature is checked all the same
        command += ['--aptopt=Acquire::Check-Valid-Until "false"']
    subprocess.run([*command, suite, str(part), mirror], check=True, timeout=1800)
    part.rename(target)
    return target


def complete(tree: Path) -> None:
    """Make the directories, links and accounts of an extracted root file system; the ordinary user is `test`, 1000."""
    for name in ("proc", "sys", "dev", "run", "tmp", "work", "root"):
        (tree / name).mkdir(exist_ok=True)
    for name, target in (("usr/bin/awk", "mawk"), ("usr/bin/cc", "gcc"), ("bin", "usr/bin"), ("sbin", "usr/sbin")):
        if not (tree / name).exists() and not (tree / name).is_symlink():
            (tree / name).symlink_to(target)
    for name, line in (("passwd", "test:x:1000:1000::/work:/bin/bash"), ("group", "test:x:1000:")):
        (tree / "etc" / name).write_text((tree / f"usr/share/base-passwd/{name}.master").read_text() + line + "\n")


@dataclass(frozen=True, slots=True)
class Kernel:
    """An extracted kernel package."""

    image: Path
    release: str
    modules: tuple[Path, ...]


def kernel(
    folder: Path, architecture: str, suite: str, package: str, *, mirror: str = MIRROR, more: Sequence[str] = ()
) -> Kernel:
    """Return Debian's kernel `package` of that suite, fetched into `folder` at the first use.

    Args:
        more: names of modules to load besides those for the disk; what they need comes before them.
    """
    place = folder / f"{package}-{suite}-{architecture}"
    if not place.exists():
        packages = (package, "base-files", "base-passwd")
        tar = bootstrap(folder / f"{place.name}.tar", architecture, suite, packages, mirror=mirror)
        part = place.with_name(place.name + ".part")
        part.mkdir()
        kept = ("--wildcards", "./boot/vmlinuz-*", "./usr/lib/modules/*", "./lib/modules/*")
        # Before usr was merged, or after: one of the two names is missing.
        subprocess.run(["tar", "-C", str(part), "-xf", str(tar), *kept], check=False, stderr=subprocess.DEVNULL)
        part.rename(place)
        tar.unlink()
    image = next(place.glob("boot/vmlinuz-*"))
    release = image.name.removeprefix("vmlinuz-")
    found = {
        path.name.partition(".ko")[0].replace("-", "_"): path
        for path in place.rglob(f"modules/{release}/kernel/**/*.ko*")
    }
    names = [name for name in MODULES if name in found]
    for name in more:
        _needed(name, found, names)
    return Kernel(image, release, tuple(found[name] for name in names))


def _needed(name: str, found: Mapping[str, Path], names: list[str]) -> None:
    """Append a module and what it needs to `names`, in the order in which they are to be loaded."""
    if name in names or name not in found:  # there already, or built in
        return
    depends = re.search(rb"\0depends=([^\0]*)\0", b"\0" + module(found[name]))  # of its section .modinfo
    for other in filter(None, (depends[1] if depends else b"").decode().replace("-", "_").split(",")):
        _needed(other, found, names)
    names.append(name)


def module(path: Path) -> bytes:
    """Return a module's bytes, decompressed."""
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data
