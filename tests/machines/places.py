"""Run the smoke tests and `doctor` in sandboxes and on file systems of this machine, and print a table.

    python -m tests.machines.places --cache DIR [NAME …]

As root. DIR is that of a run of `python -m tests.machines --architecture amd64` before: its `tree` is the root file
system of the sandboxes, with the wheel and this tree in it. The table is Markdown; a row whose tool is not installed
says so. Exit status: 0 if each row works or is refused with one line, else 1.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROW = "cd /src && python3 -B -m tests.machines.row"
VARIABLES = {"PYTHONPATH": "/opt/site:/src", "HOME": "/work", "TMPDIR": "/work", "PATH": "/usr/bin:/usr/sbin"}
ENVIRON = [f"{name}={value}" for name, value in VARIABLES.items()]
USER = ("setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups")
UNKNOWN = ("setpriv", "--reuid", "123456", "--regid", "123456", "--clear-groups")
PATIENCE_S = 300
DOCTOR = {0: "good", 1: "names what is missing"}
"""What its exit codes mean."""
Command = Callable[[Path, Path], list[str]]


def bwrap(tree: Path, work: Path, *more: str) -> list[str]:
    places = ("--ro-bind", str(tree), "/", "--proc", "/proc", "--dev", "/dev", "--bind", str(work), "/work")
    return ["bwrap", *more, *places, *(word for item in VARIABLES.items() for word in ("--setenv", *item))]


def podman(tree: Path, work: Path, *more: str) -> list[str]:
    variables = [word for entry in ENVIRON for word in ("-e", entry)]
    return [
        "podman", "run", "--rm", "--network", "none", "-v", f"{work}:/work", *variables, *more,
        "--rootfs", str(tree),
    ]  # fmt: skip


def runsc(tree: Path, work: Path, platform: str) -> list[str]:
    return [
        "runsc", "--ignore-cgroups", "--network", "none", "--platform", platform, "do", "-root", str(tree),
        "env", "-i", *ENVIRON,
    ]  # fmt: skip


PLACES: Mapping[str, Command] = {
    "this machine, an ordinary user": lambda tree, work: [*bwrap(tree, work, "--cap-add", "ALL"), *USER],
    "chroot without /proc": lambda tree, work: ["env", "-i", *ENVIRON, "chroot", "--userspec=1000:1000", str(tree)],
    "a number without an account": lambda tree, work: [*bwrap(tree, work, "--cap-add", "ALL"), *UNKNOWN],
    "bubblewrap, all namespaces, no capabilities": lambda tree, work: bwrap(
        tree, work, "--unshare-all", "--cap-drop", "ALL", "--uid", "4321", "--gid", "4321"
    ),
    "podman, its default filter": lambda tree, work: podman(tree, work, "--user", "1000:1000"),
    "podman, a restricted pod": lambda tree, work: podman(
        tree, work, "--user", "123456", "--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges"
    ),
    "podman, root without capabilities": lambda tree, work: podman(tree, work, "--cap-drop", "all"),
    "gVisor, systrap": lambda tree, work: runsc(tree, work, "systrap"),
    "gVisor, ptrace": lambda tree, work: runsc(tree, work, "ptrace"),
    "proot": lambda tree, work: [
        *USER, "env", "-i", *ENVIRON, "PROOT_TMP_DIR=/tmp", "proot", "-r", str(tree), "-b", "/proc", "-b", "/dev",
        "-b", f"{work}:/work",
    ],
}  # fmt: skip
DISKS: Mapping[str, tuple[str, ...]] = {
    "ext4": ("mke2fs", "-q", "-t", "ext4"),
    "ext4 without an index of directories": ("mke2fs", "-q", "-t", "ext4", "-O", "^dir_index"),
    "xfs": ("mkfs.xfs", "-q"),
    "btrfs": ("mkfs.btrfs", "-q"),
    "tmpfs": (),
    "vfat": ("mkfs.vfat",),
}


@contextmanager
def disk(maker: tuple[str, ...], place: Path) -> Iterator[Path]:
    """Mount a new file system. Raises CalledProcessError, FileNotFoundError."""
    point, image = place / "disk", place / "image"
    point.mkdir()
    if maker:
        image.touch()
        with image.open("r+b") as file:
            file.truncate(400 << 20)
        subprocess.run([*maker, str(image)], check=True, capture_output=True)
        subprocess.run(["mount", "-o", "loop", str(image), str(point)], check=True, capture_output=True)
    else:
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(point)], check=True, capture_output=True)
    try:
        if maker[:1] != ("mkfs.vfat",):
            point.chmod(0o777)
        yield point
    finally:
        subprocess.run(["umount", "-l", str(point)], check=False)


def ask(command: list[str], script: str = ROW) -> dict[str, Any]:
    """Run row.py by a command that ends where a shell's words begin."""
    done = subprocess.run(
        [*command, "sh", "-c", script], capture_output=True, text=True, timeout=PATIENCE_S, check=False, cwd="/",
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return row_of(done.stdout, f"{done.returncode} {(done.stderr or done.stdout).strip()[-300:]}")


def row_of(output: str, otherwise: str) -> dict[str, Any]:
    """Return the row in the output of row.py; `otherwise` is what to say if there is none."""
    found = re.search(r"^@@row (.*)$", output, re.M)
    if not found:
        return {"failures": [f"no row: {otherwise}"]}
    row: dict[str, Any] = json.loads(found[1])
    return row


def verdict(row: Mapping[str, Any]) -> str:
    """Return `works`, `refused: …` if each failure is one line of rootlay's own, or `fails: …`."""
    failures = row["failures"]
    if not failures:
        return "works"
    lines = {line for text in failures for line in re.findall(r"rootlay: [^\\\n'\"]+", text)}
    own = [text for text in failures if "rootlay: " in text and "Traceback" not in text]
    if len(own) == len([text for text in failures if not text.startswith(("doctor", "hook"))]):
        return "refused: " + "; ".join(sorted(lines))[:200]
    return "fails: " + " | ".join(failures)[:400]


def line(name: str, row: Mapping[str, Any]) -> str:
    doctor = DOCTOR.get(row.get("doctor", -1), "does not run")
    notes = "; ".join(note for note in row.get("notes", []))
    return markdown(name, row.get("kernel", ""), doctor, verdict(row), row.get("landlock", ""), notes)


def markdown(*cells: str) -> str:
    """Return a row of a table."""
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.machines.places")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    tree = options.cache.resolve() / "tree"
    bad = 0
    sys.stdout.write("| place | kernel | doctor | runs | Landlock | notes |\n|---|---|---|---|---|---|\n")
    for name in [*PLACES, *DISKS]:
        if options.names and name not in options.names:
            continue
        place = Path(tempfile.mkdtemp(prefix="place-"))
        place.chmod(0o755)
        try:
            if name in PLACES:
                (place / "work").mkdir()
                (place / "work").chmod(0o777)
                row = ask(PLACES[name](tree, place / "work"))
            else:
                with disk(DISKS[name], place) as point:
                    row = ask([*bwrap(tree, point, "--cap-add", "ALL"), *USER])
        except (OSError, subprocess.SubprocessError) as error:
            row = {"failures": [f"not tried: {error}"]}
        finally:
            shutil.rmtree(place, ignore_errors=True)
        bad += verdict(row).startswith("fails") and "not tried" not in verdict(row)
        sys.stdout.write(line(name, row) + "\n")
        sys.stdout.flush()
    return bool(bad)


if __name__ == "__main__":
    raise SystemExit(main())
