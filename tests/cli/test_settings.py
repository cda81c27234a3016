"""The settings of a container: limits, names, groups, sysctls; and the pull of a missing image."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from rootlay.cli.container.amounts import parse_bytes, parse_cpus, parse_duration
from rootlay.cli.spec import UsageError
from tests.cli.conftest import Rootlay


def test_ulimits_hold_inside(small: Rootlay) -> None:
    out = small.out("run", "--rm", "--ulimit", "nofile=100:200", "small", "sh", "-c", "ulimit -Sn; ulimit -Hn")
    assert out == "100\n200\n"
    small("create", "--name", "c", "--ulimit", "core=0", "small", "true")
    assert small.out("exec", "c", "sh", "-c", "ulimit -c") == "0\n", "in further programs, too"
    for bad in ("nofile", "nofile=x", "foo=1", "nofile=2:1"):
        assert "--ulimit" in small.fails("run", "--ulimit", bad, "small", "true", code=125)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if os.geteuid() and hard != resource.RLIM_INFINITY:
        said = small.fails("run", "--rm", "--ulimit", f"nofile={hard + 1}", "small", "true", code=125)
        assert f"the hard limit of this user is {hard}" in said


@pytest.mark.skipif(os.geteuid() == 0, reason="a limit of processes has no effect for root, who is refused")
def test_the_number_of_processes_is_limited(small: Rootlay) -> None:
    script = f"for i in {' '.join(map(str, range(30)))}; do sleep 1 & done; wait"
    done = small("run", "--rm", "--pids-limit", "10", "small", "sh", "-c", script, code=None)
    assert b"Cannot fork" in done.stderr or b"Resource temporarily" in done.stderr
    small("run", "--rm", "--pids-limit", "-1", "small", "sh", "-c", "sleep 0 & wait")


@pytest.mark.needs_root("of limits that need a cgroup")
def test_a_limit_of_processes_is_refused_to_root(small: Rootlay) -> None:
    assert "--pids-limit=10" in small.fails("run", "--rm", "--pids-limit", "10", "small", "true", code=125)


def test_processors_and_memory_are_limited(small: Rootlay) -> None:
    allowed = sorted(os.sched_getaffinity(0))
    status = small.out("run", "--rm", "--cpus", "0.5", "small", "cat", "/proc/self/status")
    (line,) = [line for line in status.splitlines() if line.startswith("Cpus_allowed_list:")]
    assert line.split()[1] in map(str, allowed)
    status = small.out("run", "--rm", "--cpuset-cpus", str(allowed[0]), "small", "cat", "/proc/self/status")
    assert f"Cpus_allowed_list:\t{allowed[0]}\n" in status
    assert "Max data size             104857600            104857600" in small.out(
        "run", "--rm", "-m", "100m", "small", "cat", "/proc/self/limits"
    )
    for words in (("--cpus", "10000"), ("--cpuset-cpus", "9999"), ("-m", "1k"), ("--cpus", "1", "--cpu-quota", "5")):
        small.fails("run", "--rm", *words, "small", "true", code=125)


def test_names_are_in_the_files_of_etc(small: Rootlay) -> None:
    options = ("-h", "box", "--domainname", "example.org", "--add-host", "db:10.1.2.3", "--add-host", "six=[fd00::1]")
    hosts = small.out("run", "--rm", *options, "small", "cat", "/etc/hosts")
    for line in ("127.0.1.1\tbox.example.org\tbox", "10.1.2.3\tdb", "fd00::1\tsix"):
        assert f"{line}\n" in hosts
    options = ("--dns", "9.9.9.9", "--dns-search", "a.b", "--dns-search", "c.d", "--dns-option", "ndots:2")
    resolver = small.out("run", "--rm", *options, "small", "cat", "/etc/resolv.conf")
    assert resolver == "nameserver 9.9.9.9\nsearch a.b c.d\noptions ndots:2\n"
    for bad in (("--add-host", "db"), ("--add-host", "db:x"), ("--dns", "x")):
        small.fails("run", "--rm", *bad, "small", "true", code=125)


def test_names_with_line_ends_and_spaces_are_refused(small: Rootlay, tmp_path: Path) -> None:
    """They would be lines of their own in the files of /etc. The scope of an IPv6 address may be any text."""
    small("network", "create", "net")
    line = "\n6.6.6.6\tbank.example"
    for option, value in (
        ("--add-host", f"a{line}:1.2.3.4"),
        ("--add-host", f"a:fe80::1%x{line}"),
        ("--dns", f"fe80::1%x{line}"),
        ("--dns-search", f"a{line}"),
        ("--dns-search", "a b"),
        ("--dns-option", f"ndots:2{line}"),
        ("--domainname", f"a{line}"),
        ("--hostname", f"a{line}"),
        ("--network", f"name=net,alias=a{line}"),
    ):
        said = small.fails("create", option, value, "small", "true", code=125)
        assert (
            "expected one word" in said
            or "not an IP address" in said
            or "NAME:ADDRESS" in said
            or "host name has" in said
        )
    assert small.out("ps", "-aq") == ""
    small("create", "--name", "c", "small", "true")
    small.fails("network", "connect", "--alias", f"a{line}", "net", "c", code=55)
    small.fails("network", "connect", "--link", f"c:a{line}", "net", "c", code=55)
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    small.fails("build", "--add-host", f"a:fe80::1%x{line}", str(tmp_path), code=2)


def test_groups_are_added(small: Rootlay) -> None:
    assert small.out("run", "--rm", "--group-add", "77", "--group-add", "78", "small", "id", "-G") == "0 77 78\n"
    assert "nosuch" in small.fails("run", "--rm", "--group-add", "nosuch", "small", "true", code=125)


def test_labels_come_from_files(small: Rootlay, tmp_path: Path) -> None:
    (tmp_path / "labels").write_text("# comment\na=1\nb\n")
    small("create", "--name", "c", "--label-file", str(tmp_path / "labels"), "-l", "a=2", "small", "true")
    config = (small.root / "containers/names/c/config.json").read_text()
    assert '"labels": {"a": "2", "b": ""}' in config


def test_a_kernel_parameter_is_accepted_with_the_hosts_value(small: Rootlay) -> None:
    own = Path("/proc/sys/net/core/somaxconn").read_text().strip()
    small("run", "--rm", "--sysctl", f"net.core.somaxconn={own}", "small", "true")
    said = small.fails("run", "--rm", "--sysctl", f"net.core.somaxconn={int(own) + 1}", "small", "true", code=125)
    assert f"where it is {own}" in said


def test_a_device_of_the_host_is_visible(small: Rootlay) -> None:
    small("run", "--rm", "--device", "/dev/zero:/dev/nought:r", "small", "sh", "-c", "head -c 3 /dev/nought | wc -c")
    assert "no such device" in small.fails("run", "--device", "/dev/nosuch", "small", "true", code=125)


def test_an_image_that_is_missing_is_pulled_by_its_policy(small: Rootlay) -> None:
    said = small.fails("run", "--rm", "--pull", "never", "nosuch", "true", code=125)
    assert said == "rootlay: no such image: nosuch (`rootlay images` lists them)"
    assert "--pull=sometimes" in small.fails("run", "--pull", "sometimes", "small", "true", code=125)
    said = small.fails("run", "--rm", "127.0.0.1:1/nosuch", "true", code=125)
    assert "127.0.0.1:1" in said, "the registry was asked"
    said = small.fails("create", "--pull", "always", "127.0.0.1:1/nosuch", "true", code=125)
    assert "127.0.0.1:1" in said


def test_options_without_effect_are_accepted_and_others_say_the_way(small: Rootlay) -> None:
    accepted = (
        "--privileged --cap-add ALL --cap-drop NET_RAW --security-opt seccomp=unconfined --init --ipc host --pid host "
        "--userns host --uts host --cgroupns private --shm-size 1g --memory-swappiness 10 --oom-kill-disable "
        "--log-opt max-size=1m --runtime runc --isolation default --volume-driver local --annotation a=b -c 512 "
        "--network bridge --disable-content-trust --device-cgroup-rule x --kernel-memory 4m"
    )
    small("run", "--rm", *accepted.split(), "small", "true")
    refused = {
        "--ip 1.2.3.4": "needs a user-defined network",
        "--mac-address 02:00:00:00:00:01": "no network interface",
        "--storage-opt size=1g": "quota",
        "--cpu-count 2": "Windows",
        "--runtime kata": "--gpus",
        "--cgroup-parent x": "start rootlay in the wanted cgroup",
        "--use-api-socket": "rootlay api",
        "--disable-content-trust=false": "digest",
        "--device-read-bps /dev/sda:1m": "ionice",
    }
    for line, way in refused.items():
        assert way in small.fails("run", *line.split(), "small", "true", code=125), line


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("5", 5), ("5b", 5), ("1k", 1024), ("1.5m", 3 << 19), ("2GB", 2 << 30), ("1TiB", 1 << 40)],
)
def test_bytes(text: str, size: int) -> None:
    assert parse_bytes("--x", text) == size


@pytest.mark.parametrize(
    ("text", "ns"), [("0", 0), ("1s", 10**9), ("1m30s", 90 * 10**9), ("1.5h", 5400 * 10**9), ("250ms", 250 * 10**6)]
)
def test_durations(text: str, ns: int) -> None:
    assert parse_duration("--x", text, 10**6) == ns


@pytest.mark.parametrize("text", ["", "x", "-1", "1z", "1e3", "99999999999p"])
def test_what_is_no_amount(text: str) -> None:
    with pytest.raises(UsageError):
        parse_bytes("--x", text)
    with pytest.raises(UsageError):
        parse_duration("--x", text or "1us", 10**6)
    with pytest.raises(UsageError):
        parse_cpus("--x", text)
