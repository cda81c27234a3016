"""Real programs of a Debian image (ROOTLAY_TEST_DEBIAN), as a plain directory below an empty upper."""

from __future__ import annotations

import os

import pytest

from tests.native.guest import Guest

pytestmark = pytest.mark.programs


def test_dash_and_coreutils(debian: Guest) -> None:
    out = debian.sh(
        """
        ls -lR /etc > /tmp/listing; test -s /tmp/listing
        cp -a /etc /tmp/etc; diff -r --no-dereference /etc /tmp/etc
        mv /tmp/etc /tmp/etc2; test ! -e /tmp/etc; rm -r /tmp/etc2; ls /tmp
        """
    )
    assert out == "listing\n"


def test_lower_is_never_written(debian: Guest) -> None:
    before = (debian.lower / "etc" / "debian_version").read_bytes()
    debian.sh("echo changed > /etc/debian_version; rm -r /etc/apt; mv /etc/cron.d /etc/moved 2>/dev/null || true")
    assert (debian.lower / "etc" / "debian_version").read_bytes() == before
    assert (debian.lower / "etc" / "apt").is_dir()
    assert debian.sh("cat /etc/debian_version; test ! -e /etc/apt && echo gone") == "changed\ngone\n"


def test_bash_pipelines_and_jobs(debian: Guest) -> None:
    done = debian.run(
        "bash", "-c", "set -o pipefail; for i in 1 2 3; do (sleep 0.$i; echo $i) & done; wait; "
        "seq 1000 | sort -rn | head -n 1; diff <(echo a) <(echo a) && echo same; pwd",
    )  # fmt: skip
    assert done.stdout.split() == [b"1", b"2", b"3", b"1000", b"same", b"/"], done.stderr


def test_find_sees_the_same_tree(debian: Guest) -> None:
    names = debian.sh("cd /usr/share && find . | sort").split("\n")
    real = {"."} | {f"./{p.relative_to(debian.lower / 'usr/share')}" for p in (debian.lower / "usr/share").rglob("*")}
    assert set(names) - {""} == real


def test_tar_round_trip(debian: Guest) -> None:
    debian.sh("cd /tmp; tar -C / -cf t.tar etc; mkdir x; tar -C x -xf t.tar; diff -r --no-dereference /etc x/etc")


def test_python(debian: Guest) -> None:
    program = """
import json, multiprocessing, os, subprocess, tempfile
def square(x): return x * x
if __name__ == "__main__":
    print(subprocess.check_output(["/bin/ls", "/"]).split()[0].decode())
    with multiprocessing.Pool(3) as pool:
        print(sum(pool.map(square, range(100))))
    with tempfile.TemporaryDirectory() as d:
        open(os.path.join(d, "x"), "w").write("y")
    print(os.path.exists(d), os.readlink("/proc/self/exe").startswith("/usr/bin/python3"))
"""
    done = debian.run("python3", "-c", program)
    assert done.stdout.split() == [b"bin", b"328350", b"False", b"True"], done.stderr


def test_perl(debian: Guest) -> None:
    assert (
        debian.run("perl", "-MPOSIX", "-e", "print qx(echo hi), (POSIX::uname())[4]").stdout
        == f"hi\n{os.uname().machine}".encode()
    )


def test_git(debian: Guest) -> None:
    out = debian.sh(
        """
        mkdir -p /srv/repo; cd /srv/repo; git init -q .
        git config user.email a@b; git config user.name n
        echo one > f; git add f; git commit -qm first; echo two >> f; git commit -qam second
        git log --oneline | wc -l; git status --porcelain; git gc -q; git fsck
        """
    )
    assert out.split()[0] == "2"


def test_apt_and_dpkg(debian: Guest) -> None:
    if not (debian.lower / "var/lib/dpkg/status").stat().st_size:
        pytest.skip("the packages of this image are only extracted")
    assert "bash:" in debian.sh("apt-cache policy bash")
    assert "ii  bash" in debian.sh("dpkg -l bash")
