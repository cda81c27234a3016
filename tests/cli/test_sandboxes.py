"""Inside other people's sandboxes: Docker's and Podman's seccomp profiles, a restricted pod, no seccomp at all."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli import docker_seccomp
from tests.cli.conftest import Rootlay

pytestmark = pytest.mark.oracles

LAUNCHER = docker_seccomp.__file__
PODMANS = "/usr/share/containers/seccomp.json"
SCRIPT = "echo new > /etc/motd; mkdir /a; mv /etc/motd /a/b; cat /a/b; sh -c 'exit 3'; echo $?; ls /usr/share/doc"
EXPECTED = "new\n3\none\ntwo\n"
NO_SECCOMP = """
import ctypes, os, struct, sys
sys.path.insert(0, sys.argv.pop(1))
from tests.cli import docker_seccomp as d
d.install(d.only([name for name in d.numbers() if name != "seccomp"]))
os.execvp(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture(autouse=True)
def _needs_headers() -> None:
    if not any(Path(path).exists() for path in docker_seccomp.HEADERS):
        pytest.skip("the kernel's headers are not installed")


def run(small: Rootlay, *prefix: str, words: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "ROOTLAY_ROOT": str(small.root)}
    command = [*prefix, sys.executable, "-m", "rootlay.cli.main", *words]
    return subprocess.run(command, capture_output=True, text=True, env=environ, timeout=120, check=False)


@pytest.fixture(params=["docker", PODMANS], ids=["docker", "podman"])
def profile(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """The launcher that puts a default profile on a command."""
    name: str = request.param
    if name != "docker" and not Path(name).exists():
        pytest.skip("Podman is not installed")
    return (sys.executable, LAUNCHER, name)


REFUSED = """
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
for call in ((161, b"/"), (135, 0x1234), (41, 40, 1, 0), (435, None, 0), (39,)):
    print("ok" if libc.syscall(*call) >= 0 else errno.errorcode[ctypes.get_errno()], end=" ")
"""


def test_the_profiles_are_in_force(profile: tuple[str, ...]) -> None:
    """chroot, a personality that none may have, a socket of AF_VSOCK, clone3, getpid."""
    done = subprocess.run([*profile, sys.executable, "-c", REFUSED], capture_output=True, text=True, check=True)
    chroot, personality, vsock, clone3, getpid = done.stdout.split()
    assert (chroot, getpid) == ("EPERM", "ok")
    if profile[-1] == "docker":
        assert (personality, vsock, clone3) == ("EPERM", "EPERM", "ENOSYS")
    else:
        assert personality == "ENOSYS"


def test_works_under_a_default_profile(small: Rootlay, profile: tuple[str, ...]) -> None:
    done = run(small, *profile, words=("run", "--rm", "small", "sh", "-c", SCRIPT))
    assert (done.returncode, done.stdout, done.stderr) == (0, EXPECTED, "")


def test_confines_under_a_default_profile(small: Rootlay, profile: tuple[str, ...]) -> None:
    report = json.loads(run(small, words=("doctor", "--json")).stdout)
    if any(finding["name"] == "landlock" and finding["status"] == "warn" for finding in report):
        pytest.skip("this kernel has no Landlock of ABI 6")
    words = ("run", "--rm", "--confine=require", "small", "cat", "/etc/motd")
    done = run(small, *profile, words=words)
    assert (done.returncode, done.stdout) == (0, "welcome\n"), done


def test_doctor_finds_nothing_wrong_under_a_default_profile(small: Rootlay, profile: tuple[str, ...]) -> None:
    done = run(small, *profile, words=("doctor", "--json"))
    assert [f for f in json.loads(done.stdout) if f["status"] == "fail"] == []
    assert done.returncode == 0


@pytest.mark.parametrize("writable", ["store and /tmp", "store"])
def test_works_in_a_restricted_pod(small: Rootlay, tmp_path: Path, writable: str) -> None:
    """What Kubernetes' `restricted` level leaves: no root, no capability, no_new_privs, the runtime's seccomp profile;
    and a read-only root with one volume, or two."""
    if os.geteuid() == 0:
        pytest.skip("such a pod does not run as root: the ordinary user's run has this test")
    bwrap = shutil.which("bwrap")
    if not bwrap or subprocess.run([bwrap, "--ro-bind", "/", "/", "true"], check=False, capture_output=True).returncode:
        pytest.skip("bwrap is not installed, or may not be used here")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    box = [bwrap, "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--bind", str(small.root), str(small.root)]
    if writable != "store":
        # Where the store is in /tmp itself, another directory has its part.
        box += ["--bind", str(scratch), "/var/tmp" if str(small.root).startswith("/tmp/") else "/tmp"]
    box += ["--cap-drop", "ALL", "--unshare-pid", "--", sys.executable, LAUNCHER, "docker"]
    done = run(small, *box, words=("run", "--rm", "small", "sh", "-c", SCRIPT))
    assert (done.returncode, done.stdout, done.stderr) == (0, EXPECTED, "")
    report = run(small, *box, words=("doctor", "--json"))
    assert [f for f in json.loads(report.stdout) if f["status"] == "fail"] == []


def test_works_where_no_memory_may_become_code(small: Rootlay) -> None:
    """As a service with systemd's MemoryDenyWriteExecute."""
    deny = "import ctypes, os, sys; ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) and sys.exit(77)"
    deny += "; os.execv(sys.argv[1], sys.argv[1:])"
    prefix = (sys.executable, "-c", deny)
    done = run(small, *prefix, words=("run", "--rm", "small", "sh", "-c", SCRIPT))
    if done.returncode == 77:
        pytest.skip("PR_SET_MDWE: Linux 6.3 is needed")
    assert (done.returncode, done.stdout, done.stderr) == (0, EXPECTED, "")


def test_says_in_one_line_that_seccomp_is_refused(small: Rootlay) -> None:
    tree = str(Path(__file__).parents[2])
    prefix = (sys.executable, "-c", NO_SECCOMP, tree)
    done = run(small, *prefix, words=("run", "--rm", "small", "true"))
    assert done.returncode == 125
    said = "rootlay: the kernel refuses the seccomp filter: Operation not permitted; see `rootlay doctor`\n"
    assert done.stderr == said
    report = run(small, *prefix, words=("doctor",))
    assert report.returncode == 1
    assert "fail" in report.stdout


def test_doctor_checks_what_it_says(small: Rootlay) -> None:
    report = json.loads(small.out("doctor", "--json"))
    names = [finding["name"] for finding in report]
    assert len(names) == len(set(names)) >= 15
    assert all(finding["status"] in ("ok", "warn", "fail") and finding["text"] for finding in report)
    assert all(finding["advice"] for finding in report if finding["status"] != "ok")
    assert "ok    architecture" in small.out("doctor")


def test_doctor_names_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root can write everywhere")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    done = Rootlay(closed / "store")("doctor", code=1)
    assert b"cannot be written" in done.stdout
