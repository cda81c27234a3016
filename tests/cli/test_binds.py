"""`-v`: where a bind appears in the container."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.cli.conftest import Rootlay
from tests.cli.test_run import wait_for


def test_a_targets_links_are_the_images(small: Rootlay, tmp_path: Path) -> None:
    """As with Docker: `-v X:/var/run/y`, where /var/run is a link to /run, is a bind at /run/y."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "f").write_text("bound\n")
    links = (
        "mkdir -p /real/sub; ln -s /real /absolute; ln -s real/sub /relative; ln -s . /real/again; echo x > /real/file"
    )
    small("run", "--name", "c", "small", "sh", "-c", f"{links}; ln -s file /real/link")
    small("commit", "c", "linked")
    for target, real in (
        ("/absolute/new", "/real/new"),
        ("/relative/a/b", "/real/sub/a/b"),
        ("/absolute/again/again/sub", "/real/sub"),
        ("/nowhere/a", "/nowhere/a"),
    ):
        script = f"cat {target}/f {real}/f; cd {target}; pwd -P; echo new > made"
        out = small.out("run", "--rm", "-v", f"{source}:{target}", "linked", "sh", "-c", script)
        assert out == f"bound\nbound\n{real}\n", target
        assert (source / "made").read_text() == "new\n"
        (source / "made").unlink()
    out = small.out("run", "--rm", "-v", f"{source}/f:/absolute/link:ro", "linked", "sh", "-c", "cat /real/file")
    assert out == "bound\n"


def test_set_id_bits_never_get_onto_a_file_of_the_host(small: Rootlay, tmp_path: Path) -> None:
    """A second user of the machine could run what a container made; a directory of a group stays one."""
    source = tmp_path / "source"
    (source / "shared").mkdir(parents=True)
    (source / "shared").chmod(0o2755)
    (source / "private").mkdir()
    script = (
        "cd /b; umask 0; echo x > f; chmod 6755 f; chmod 2775 shared; mkdir shared/sub; chmod 2700 shared/sub;"
        "chmod 2755 private; cp /f g; touch /f; chmod 4755 /f; stat -c %A /f"
    )
    assert (
        small.out("run", "--rm", "-v", f"{source}:/b", "small", "sh", "-ec", f"echo x > /f; {script}") == "-rwsr-xr-x\n"
    )
    modes = {path.relative_to(source).as_posix(): path.stat().st_mode & 0o7777 for path in source.rglob("*")}
    assert modes == {"f": 0o755, "g": 0o644, "shared": 0o2775, "shared/sub": 0o2700, "private": 0o755}
    access = [name for path in source.rglob("*") for name in os.listxattr(path) if "acl" in name]
    assert access == [], "the mode was changed by a list that says no more than it"


def test_a_bind_inside_another_does_not_lead_out_of_it(small: Rootlay, tmp_path: Path) -> None:
    """A program puts a link in the place of the second bind's source: later sessions must not follow it."""
    (tmp_path / "project/sub").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/f").write_text("canary secret")
    (tmp_path / "project/sub/f").write_text("mine")
    binds = ("-v", f"{tmp_path}/project:/p", "-v", f"{tmp_path}/project/sub:/q")
    small(
        "run",
        "-d",
        "--name",
        "c",
        *binds,
        "small",
        "sh",
        "-c",
        f"mv /p/sub /p/old; ln -s {tmp_path}/outside /p/sub; sleep 60",
    )
    wait_for(lambda: (tmp_path / "project/sub").is_symlink(), "the link is not made")
    for words in (("exec", "c", "cat", "/q/f"), ("exec", "c", "sh", "-c", "echo x > /q/f")):
        line = small.fails(*words, code=125)
        assert "is a symbolic link in a directory that programs can write to" in line
    small("stop", "-t", "0", "c")
    small.fails("start", "-a", "c", code=125)
    assert (tmp_path / "outside/f").read_text() == "canary secret"
    small("rm", "-f", "c")


MAKE_DEVICES = """#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
int main(void)
{
    if (mknod("/b/character", S_IFCHR | 0600, makedev(1, 3)) < 0)
        perror("character");
    if (mknod("/b/block", S_IFBLK | 0600, makedev(7, 0)) < 0)
        perror("block");
    return 0;
}
"""


def test_a_device_in_a_bind_is_not_permitted(small: Rootlay, tmp_path: Path) -> None:
    """The kernel's error for a user without privileges, not Landlock's."""
    (tmp_path / "make.c").write_text(MAKE_DEVICES)
    subprocess.run(["cc", "-static", "-o", str(tmp_path / "make"), str(tmp_path / "make.c")], check=True)
    out = small.out("run", "--rm", "-v", f"{tmp_path}:/b", "small", "sh", "-c", "/b/make 2>&1")
    assert out == "character: Operation not permitted\nblock: Operation not permitted\n"


def test_a_bind_at_a_new_path_of_a_read_only_container(small: Rootlay, tmp_path: Path) -> None:
    """As Docker, which makes the mount points before it mounts the root read-only."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_text("of the host\n")
    binds = ("-v", f"{tmp_path}/data:/new/place/dir", "-v", f"{tmp_path}/data/file:/other/file:ro")
    script = "cat /new/place/dir/file /other/file; ls -d /new /new/*; echo 1 > /new/place/dir/x; echo 2 > /new/y"
    done = small("run", "--rm", "--read-only", "-u", "7:7", *binds, "small", "sh", "-c", script, code=2)
    assert done.stdout.decode() == "of the host\n" * 2 + "/new\n/new/place\n"
    assert b"/new/y" in done.stderr
    assert (tmp_path / "data" / "x").read_text() == "1\n"


def test_a_mount_point_inside_another_bind_is_listed(small: Rootlay, tmp_path: Path) -> None:
    """Docker makes the mount point in the outer bind, so programs find it; here the host's directory stays as it is."""
    for name in ("outer/sub", "inner", "outer/there", "many"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("outer/a", "outer/z", "inner/f", "one", *(f"many/{number:0200}" for number in range(3000))):
        (tmp_path / name).write_text("x\n")
    binds = (
        "outer:/o", "inner:/o/dir", "one:/o/file:ro", "inner:/o/sub/deep", "inner:/o/there", "one:/o/.hidden",
        "many:/m", "inner:/m/dir", "one:/m/file",
    )  # fmt: skip
    options = [word for bind in binds for word in ("-v", f"{tmp_path}/{bind}")]
    script = "ls -Ap /o; cd /o/sub; ls; ls -p ..; ls /o/dir; cat /o/file; echo /o/[df]*; ls /m | sort -u | wc -l; ls /m"
    out = small.out("run", "--rm", *options, "small", "sh", "-c", f"{script} | wc -l")
    assert out.splitlines() == [
        ".hidden", "a", "dir/", "file", "sub/", "there/", "z", "deep", "a", "dir/", "file", "sub/", "there/", "z",
        "f", "x", "/o/dir /o/file", "3002", "3002",
    ]  # fmt: skip
    left = {path.relative_to(tmp_path / "outer").as_posix() for path in (tmp_path / "outer").rglob("*")}
    assert left == {"a", "sub", "there", "z"}
