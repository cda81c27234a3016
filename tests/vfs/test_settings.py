"""Limits by a cgroup and without one, restart policies, signals, devices by CDI."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from rootlay.store.containers.health import Health
from rootlay.store.containers.record import Bind
from rootlay.store.containers.settings import DEFAULTS, Limits, Settings
from rootlay.vfs.containers.cdi import UnknownDevice, find_device, find_graphics_cards
from rootlay.vfs.lifecycle.restarts import RestartPolicy
from rootlay.vfs.settings.cgroups import controllers_for, find_parent, make_cgroup
from rootlay.vfs.settings.limits import LimitRefused, parse_cpuset, plan_limits
from rootlay.vfs.settings.signals import BadSignal, parse_signal
from rootlay.vfs.settings.ulimits import parse_ulimit


def test_settings_are_kept_in_json_without_their_defaults() -> None:
    assert DEFAULTS.to_json() == {}
    given = Settings(
        health=Health(("CMD", "true"), retries=2),
        limits=Limits(pids=5),
        restart="always",
        hosts=("a:1",),
        stop_timeout_s=0,
    )
    data = json.loads(json.dumps(given.to_json()))
    assert data.keys() == {"health", "limits", "restart", "hosts", "stop_timeout_s"}
    assert Settings.from_json({**data, "of a later version": 1}) == given


def fake_cgroup(path: Path, enabled: str = "", procs: str = "") -> Path:
    """A directory that looks like a cgroup; no real one can be delegated in a test."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "cgroup.subtree_control").write_text(enabled)
    (path / "cgroup.procs").write_text(procs)
    return path


def test_a_cgroup_is_made_below_the_own_one_or_its_parent(tmp_path: Path) -> None:
    parent = fake_cgroup(tmp_path / "user/app", "memory pids")
    own = fake_cgroup(parent / "shell.scope")
    needed = frozenset({"memory", "pids"})
    assert find_parent(needed, tmp_path, "0::/user/app/shell.scope\n") == own, (
        "it takes controllers: it has no processes"
    )
    (own / "cgroup.procs").chmod(0o400)
    expected = own if os.geteuid() == 0 else parent
    assert find_parent(needed, tmp_path, "0::/user/app/shell.scope\n") == expected
    assert find_parent(needed, tmp_path, "4:memory:/x\n") is None, "version 1 alone"
    assert find_parent(needed, tmp_path, "0::/not/delegated\n") is None


def test_the_files_of_a_cgroup_hold_the_limits(tmp_path: Path) -> None:
    place = tmp_path / "rootlay-0123456789abcdef01234567"
    place.mkdir()
    for name in ("memory.max", "memory.swap.max", "cpu.max", "pids.max", "cpuset.cpus"):
        (place / name).write_text("")
    limits = Limits(memory_bytes=100, memory_swap_bytes=150, nano_cpus=1_500_000_000, pids=7, cpuset="0-1")
    assert make_cgroup(tmp_path, "0123456789abcdef01234567" + "0" * 40, limits) == place
    found = {path.name: path.read_text() for path in place.iterdir()}
    assert found == {
        "memory.max": "100",
        "memory.swap.max": "50",
        "cpu.max": "150000 100000",
        "pids.max": "7",
        "cpuset.cpus": "0-1",
    }
    assert controllers_for(limits) == {"memory", "cpu", "pids", "cpuset"}


def test_without_a_cgroup_processors_are_chosen_or_refused() -> None:
    available = sorted(os.sched_getaffinity(0))
    assert plan_limits(Limits(cpuset=str(available[-1]))).processors == (available[-1],)
    if find_parent(frozenset({"cpu"})) is None:
        assert len(plan_limits(Limits(nano_cpus=500_000_000), 3).processors) == 1
        assert len({plan_limits(Limits(nano_cpus=10**9), spread).processors for spread in range(8)}) == len(available)
    for limits in (Limits(cpuset="9999"), Limits(cpuset="a"), Limits(nano_cpus=10**15)):
        with pytest.raises(LimitRefused):
            plan_limits(limits)
    assert parse_cpuset("0-2,4") == [0, 1, 2, 4]


def test_a_restart_waits_longer_each_time_and_begins_again_after_a_long_run() -> None:
    policy = RestartPolicy("always")
    assert [policy.wait_before_restart(0, 0) for _ in range(11)] == [
        *(0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2),
        60.0,
    ]
    assert policy.wait_before_restart(0, 10 * 10**9) == 0.1
    limited = RestartPolicy("on-failure:1")
    assert limited.wait_before_restart(0, 0) is None
    assert limited.wait_before_restart(1, 0) == 0.1
    assert limited.wait_before_restart(1, 0) is None
    assert RestartPolicy("no").wait_before_restart(1, 0) is None
    limited.change("unless-stopped")
    assert limited.wait_before_restart(0, 0) == 0.2


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(
            ("TERM", 15),
            ("sigkill", 9),
            ("10", 10),
            ("SIGRTMIN+3", signal.SIGRTMIN + 3),
            ("RTMAX-1", signal.SIGRTMAX - 1),
        ),
        *(("CLD", signal.SIGCHLD), ("64", 64)),
    ],
)
def test_signals_by_name_and_number(text: str, number: int) -> None:
    assert parse_signal(text) == number


@pytest.mark.parametrize("text", ["", "0", "65", "-1", "nope", "SIG", "_DFL", "RTMIN+99", "BLOCK", "1.5", "9" * 30])
def test_what_is_no_signal(text: str) -> None:
    with pytest.raises(BadSignal):
        parse_signal(text)


def test_ulimits_are_pairs() -> None:
    assert str(parse_ulimit("nofile=10")) == "nofile=10:10"
    assert str(parse_ulimit("nproc=-1:-1")) == "nproc=-1:-1"
    for bad in ("locks=1", "nofile", "nofile=", "nofile=1:", "nofile=5:1", "nofile=-1:5", "x=1", "nofile=1:2:3"):
        with pytest.raises(ValueError, match=bad.partition("=")[0]):
            parse_ulimit(bad)


def test_a_device_by_cdi_is_binds_and_variables(tmp_path: Path) -> None:
    spec = {
        "cdiVersion": "0.6.0",
        "kind": "nvidia.com/gpu",
        "containerEdits": {"mounts": [{"hostPath": "/h/libcuda.so.1", "containerPath": "/c/libcuda.so.1"}]},
        "devices": [
            {
                "name": name,
                "containerEdits": {
                    "env": [f"CARD={name}"],
                    "deviceNodes": [{"path": "/dev/card", "hostPath": f"/dev/{name}"}],
                },
            }
            for name in ("0", "all")
        ],
    }
    (tmp_path / "nvidia.json").write_text(json.dumps(spec))
    found = find_device("nvidia.com/gpu=0", (tmp_path,))
    assert found.binds == (Bind("/h/libcuda.so.1", "/c/libcuda.so.1", True), Bind("/dev/0", "/dev/card"))
    assert found.env == ("CARD=0", "LD_LIBRARY_PATH=/c")
    assert find_graphics_cards(None, (tmp_path,)).env[0] == "CARD=all"
    assert find_graphics_cards(["0"], (tmp_path,)) == found
    with pytest.raises(UnknownDevice, match="nvidia-ctk"):
        find_device("nvidia.com/gpu=7", (tmp_path,))
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(UnknownDevice, match="cannot be read"):
        find_device("nvidia.com/gpu=0", (tmp_path,))


@pytest.mark.skipif(os.path.exists("/dev/nvidiactl"), reason="this machine has an NVIDIA driver")
def test_no_card_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UnknownDevice, match="no NVIDIA driver"):
        find_graphics_cards(None, (tmp_path,))
