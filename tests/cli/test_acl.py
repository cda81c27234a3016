"""POSIX ACLs with the programs that people use: setfacl, getfacl, cp, tar and rsync inside, in images and archives."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.cli.conftest import Rootlay

TOOLS = ("bash", "setfacl", "getfacl", "tar", "cp", "chmod", "mkdir", "mv", "ln", "cat", "touch", "install", "rsync")

#: Ends with the ACLs of everything.
SCRIPT = """
umask 077
mkdir d d/sub; echo x >d/f; chmod 640 d/f
setfacl -m u:4711:rw,g:100:r,m::rw d/f
setfacl -d -m u:4711:rwx,g::rx,o::- d
mkdir d/made; touch d/new; install -m 750 d/f d/installed; mkdir -m 770 d/mode
chmod 604 d/new
setfacl -x u:4711 d/installed; setfacl -b d/mode
cp -a d copied; mv d/f d/moved; ln d/moved d/linked
setfacl -m o::r d/linked
tar --acls -cf t.tar d; mkdir out; tar --acls -xf t.tar -C out
%s
getfacl -nR --absolute-names d copied out synced 2>/dev/null | grep -v '^# owner\\|^# group'
"""


def needed(program: str) -> set[Path]:
    """A program and its libraries."""
    path = Path(shutil.which(program) or "/missing")
    told = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
    return {path, *(Path(word) for word in told.split() if word.startswith("/"))}


@pytest.fixture(scope="module")
def tools() -> Sequence[str]:
    missing = [name for name in TOOLS if name != "rsync" and not shutil.which(name)]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed (package acl)")
    return [name for name in TOOLS if shutil.which(name)]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, tools: Sequence[str]) -> Rootlay:
    """A store with the image `tools`: the programs of this machine that the script uses."""
    place = tmp_path_factory.mktemp("acl")
    with tarfile.open(place / "tools.tar", "w") as archive:
        for path in sorted(set().union(*map(needed, (*tools, "sh", "grep")))):
            archive.add(os.path.realpath(path), str(path), filter=plain)
    rootlay = Rootlay(place / "store")
    rootlay("import", str(place / "tools.tar"), "tools")
    return rootlay


def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    return member


def script_of(tools: Sequence[str]) -> str:
    return SCRIPT % ("rsync -aA d/ synced" if "rsync" in tools else "cp -a d synced")


def outside(place: Path, script: str) -> str:
    """The same on a plain directory."""
    place.mkdir()
    done = subprocess.run(["bash", "-ec", script], cwd=place, capture_output=True, text=True, check=False)
    if "Operation not supported" in done.stderr:
        pytest.skip("the file system has no ACLs")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("user", ["0", "1000"])
@pytest.mark.parametrize("patch", [(), ("--no-patch",)], ids=["patch", "trap"])
def test_programs_see_the_acls_of_a_plain_directory(
    machine: Rootlay, tools: Sequence[str], tmp_path: Path, user: str, patch: tuple[str, ...]
) -> None:
    script = f"cd /tmp/w; {script_of(tools)}"
    words = ["bash", "-ec", script]
    name = f"w{user}{len(patch)}"
    machine("create", "--name", name, "tools", "--", "true")
    made = "mkdir -p -m 1777 /tmp; mkdir -m 777 /tmp/w"
    machine("exec", name, "--", "bash", "-ec", made)
    machine("commit", name, name)
    inside = machine.out("run", "--rm", *patch, "-u", user, name, "--", *words)
    assert inside == outside(tmp_path / "w", script_of(tools))
    volume = ("-v", f"{name}:/tmp/w")
    assert machine.out("run", "--rm", *patch, *volume, "-u", user, name, "--", *words) == inside
    machine("rm", name)


def test_users_inside_are_held_to_the_acls(machine: Rootlay) -> None:
    made = "mkdir /s; echo x >/s/f; chmod 600 /s/f; chmod 700 /s; setfacl -m u:4711:r /s/f; setfacl -m g:100:x /s"
    machine("create", "--name", "held", "tools", "--", "true")
    machine("exec", "held", "--", "bash", "-ec", made)
    read = ["--", "cat", "/s/f"]
    assert machine.out("exec", "-u", "4711:100", "held", *read) == "x\n"
    for other in ("4711:101", "4712:100", "100:4711"):
        assert b"Permission denied" in machine("exec", "-u", other, "held", *read, code=1).stderr
    assert machine.out("diff", "held").splitlines()[-2:] == ["A /s", "A /s/f"]
    machine("rm", "held")


def acls_of(archive: bytes) -> dict[str, dict[str, str]]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {
            member.name: {key: value for key, value in member.pax_headers.items() if "acl" in key} for member in tar
        }


def test_images_archives_and_builds_keep_acls(machine: Rootlay, tmp_path: Path) -> None:
    made = "mkdir -p /top/s; echo x >/top/s/f; chmod 640 /top/s/f; setfacl -m u:4711:rw /top/s/f"
    made += "; setfacl -d -m g:100:rx /top/s"
    machine("run", "--name", "made", "tools", "--", "bash", "-ec", made)
    shown = machine.out("exec", "made", "--", "getfacl", "-n", "/top/s", "/top/s/f")
    text = {"SCHILY.acl.access": "user::rw-,user:4711:rw-,group::r--,mask::rw-,other::---"}
    exported = machine("export", "made").stdout
    headers = acls_of(exported)["top/s/f"]
    assert {key: value for key, value in headers.items() if "xattr" not in key} == text
    assert "SCHILY.xattr.system.posix_acl_access" in headers
    assert "SCHILY.acl.default" in acls_of(exported)["top/s"]
    # GNU tar understands it, and what GNU tar writes is understood.
    (tmp_path / "out").mkdir()
    unpack = ["tar", "--acls", "--no-same-owner", "-xf", "-", "-C", str(tmp_path / "out"), "top"]
    subprocess.run(unpack, input=exported, check=True)
    real = subprocess.run(
        ["getfacl", "-nc", "top/s/f"], cwd=tmp_path / "out", capture_output=True, text=True, check=True
    )
    assert next(line for line in shown.splitlines() if line.startswith("user:4711")) in real.stdout
    packed = [
        "tar",
        "--acls",
        "--numeric-owner",
        "--owner=0",
        "--group=0",
        "-C",
        str(tmp_path / "out"),
        "-cf",
        "-",
        "top",
    ]
    again = subprocess.run(packed, capture_output=True, check=True).stdout
    machine("import", "-", "again", input=again)
    (tmp_path / "Dockerfile").write_text(
        'FROM again AS one\nFROM tools\nCOPY --from=one /top /top\nRUN ["touch", "/top/s/new"]\n'
    )
    machine("build", "-t", "built", str(tmp_path))
    machine("commit", "made", "committed")
    for image in ("built", "committed"):
        found = machine.out("run", "--rm", image, "--", "getfacl", "-n", "/top/s", "/top/s/f")
        assert found == shown, image
    assert "default" not in machine.out("run", "--rm", "built", "--", "getfacl", "-n", "/top/s/new")
    assert "group:100:r-x" in machine.out("run", "--rm", "built", "--", "getfacl", "-n", "/top/s/new")
    # A new volume has those of the image, and keeps its own when files are moved and copied there.
    filled = ("run", "--rm", "-v", "filled:/top", "committed", "--")
    assert machine.out(*filled, "getfacl", "-n", "/top/s", "/top/s/f") == shown
    machine(*filled, "bash", "-ec", "chmod 600 /top/s/f; mv /top/s/f /top/s/g; setfacl -m u:5:rwx /top/s/g")
    assert "user:5:rwx\nuser:4711:rw-\n" in machine.out(*filled, "getfacl", "-nc", "/top/s/g")
    machine("volume", "rm", "filled")
    # The other way in and out.
    machine("cp", "made:/top/s/f", str(tmp_path / "f"))
    machine("rm", "made")
