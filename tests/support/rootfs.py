"""A small real root file system, made of this machine's own programs and their libraries. Works everywhere."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

PROGRAMS = (
    "sh cat ls rm mv ln mkdir rmdir chmod chown id env sleep touch readlink stat true false pwd head wc cp sort dd "
    "mkfifo echo printf tail uname tee setsid"
).split()


def build_rootfs(target: Path, programs: Sequence[str] = PROGRAMS) -> None:
    """Fill an empty directory: /bin, the libraries where the loader wants them, /etc, /tmp, and things to change."""
    for name in (
        "bin",
        "etc",
        "tmp",
        "root",
        "usr/share/doc/one",
        "usr/share/doc/two",
        "var/empty",
        "proc",
        "dev",
        "sys",
    ):
        (target / name).mkdir(parents=True)
    (target / "tmp").chmod(0o1777)
    (target / "root").chmod(0o700)
    for program in programs:
        found = shutil.which(program)
        if found:
            copy_program(Path(found), target, target / "bin" / program)
    (target / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nuser:x:1234:1235::/home/user:/bin/sh\n")
    (target / "etc/group").write_text("root:x:0:\nuser:x:1235:\nextra:x:77:user\n")
    (target / "etc/motd").write_text("welcome\n")
    for name in ("one", "two"):
        (target / f"usr/share/doc/{name}/readme").write_text(f"{name}\n")
    (target / "etc/link").symlink_to("motd")
    (target / "etc/out").symlink_to("/../../../../etc/motd")
    (target / "script").write_text("#!/bin/sh -e\necho script $0 $*\n")
    (target / "script").chmod(0o755)


def copy_program(source: Path, root: Path, target: Path) -> None:
    """A program, and every library that `ldd` names, at the same path below `root`."""
    shutil.copy(os.path.realpath(source), target)
    listing = subprocess.run(["ldd", str(source)], capture_output=True, text=True, check=False).stdout
    for word in listing.split():
        if word.startswith("/"):
            library = root / word.lstrip("/")
            if not library.exists():
                library.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(os.path.realpath(word), library)
