"""CPython's own tests in three places: on a plain directory, inside an activation, inside `rootlay run`.

As a program it is the second: `python -m tests.vfs.hook.cpython STORE IMAGE OUTPUT TEST…`.
"""

from __future__ import annotations

import glob
import importlib
import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from rootlay.store.containers.record import Bind
from rootlay.vfs import Container, Image, Store
from tests.support.archives.make import child_environment
from tests.support.rootfs import build_rootfs, copy_program

HOME = "/home/me"
REPORT = "/tmp/report.xml"


def import_image(base: Path) -> Image:
    """An image in which this interpreter finds its libraries and its user; `base` gets the tree and a store."""
    tree = base / "tree"
    tree.mkdir()
    build_rootfs(tree)
    for program in [sys.executable, *glob.glob(f"{sysconfig.get_config_var('DESTSHARED')}/*.so")]:
        copy_program(Path(program), tree, tree / "bin/unused")
    (tree / "bin/unused").unlink()
    (tree / HOME.lstrip("/")).mkdir(parents=True)
    if os.getuid():
        with open(tree / "etc/passwd", "a") as passwd, open(tree / "etc/group", "a") as group:
            passwd.write(f"me:x:{os.getuid()}:{os.getgid()}::{HOME}:/bin/sh\n")
            group.write(f"me:x:{os.getgid()}:\n")
    return Store.open(base / "store").import_rootfs(tree, "small")


def environment(home: str, temporary: str) -> dict[str, str]:
    return {"HOME": home, "TMPDIR": temporary, "PATH": "/bin:/usr/bin", "LANG": "C.UTF-8"}


def start_plain(base: Path, tests: list[str]) -> subprocess.Popen[bytes]:
    (base / "plain").mkdir()
    command = [_interpreter(), "-m", "test", "--junit-xml", str(base / "plain.xml"), *tests]
    return _start(command, environment(str(base / "plain"), str(base / "plain")), base / "plain")


def start_inside(base: Path, tests: list[str]) -> subprocess.Popen[bytes]:
    """In an activation of this file's own process."""
    command = [
        sys.executable,
        "-m",
        "tests.vfs.hook.cpython",
        str(base / "store"),
        "small",
        str(base / "hook.xml"),
        *tests,
    ]
    return _start(command, {**child_environment(), **environment(HOME, "/tmp")}, base)


def container_for_engine(image: Image) -> Container:
    """As `rootlay run -v PREFIX:PREFIX:ro`."""
    return image.container(binds=[Bind(sys.base_prefix, sys.base_prefix, True)])


def start_in_engine(container: Container, tests: list[str]) -> subprocess.Popen[bytes]:
    """`rootlay run --user … IMAGE -- python3 -m test …`; the report stays in the container."""
    return container.popen(
        [_interpreter(), "-m", "test", "--junit-xml", REPORT, *tests],
        env=environment(HOME, "/tmp"),
        user=f"{os.getuid()}:{os.getgid()}",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def _interpreter() -> str:
    return os.path.realpath(sys.executable)


def _start(command: list[str], env: dict[str, str], cwd: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def outcomes(report: bytes) -> dict[str, str]:
    """By test: `ok`, or what was the matter. A test that was run several times has its worst outcome."""
    found: dict[str, str] = {}
    for case in ElementTree.fromstring(report).iter("testcase"):
        name = case.attrib["name"]
        trouble = next((f"{part.tag}: {part.text or ''}" for part in case if part.tag in ("failure", "error")), "")
        if not trouble and case.attrib.get("result") != "completed":
            trouble = "skipped: " + "".join(part.text or "" for part in case)
        if trouble or name not in found:
            found[name] = trouble or "ok"
    return found


def main(store: str, image: str, output: str, tests: list[str]) -> int:
    tempfile.tempdir = None
    regrtest = importlib.import_module("test.libregrtest.main")
    status = 0
    with Store.open(store).image(image).container() as container:
        sys.argv = ["test", "--junit-xml", REPORT, *tests]
        try:
            with container.activate(user=f"{os.getuid()}:{os.getgid()}"):
                regrtest.main()
        except SystemExit as end:
            status = int(end.code or 0)
        Path(output).write_bytes(container.fs.readbytes(REPORT))
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]))
