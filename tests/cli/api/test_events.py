"""`/events`: every change is an event, of the past and of now, and however short the container lived."""

from __future__ import annotations

import time
from pathlib import Path

from tests.cli.api.conftest import Server


def actions(server: Server, since: float, **filters: list[str]) -> list[str]:
    lines = server.client()("GET", "/events", since=since, until=time.time() + 0.01, filters=filters).lines
    return [event["Action"] for event in lines]


def test_containers_that_lived_for_a_moment_have_all_their_events(server: Server) -> None:
    begin = time.time() - 0.001
    api = server.client()
    for _ in range(5):
        api.run("true")
    server.command("run", "--rm", "small", "true")
    server.command("run", "-d", "--rm", "--name", "short", "small", "true")
    server.command("wait", "short", code=None)
    deadline = time.monotonic() + 10
    while actions(server, begin, type=["container"]).count("destroy") < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    found = actions(server, begin, type=["container"])
    assert {name: found.count(name) for name in ("create", "start", "die", "destroy")} == {
        "create": 7, "start": 7, "die": 7, "destroy": 2,
    }  # fmt: skip


def test_the_life_of_a_container_is_told_in_order(server: Server) -> None:
    api = server.client()
    server.command("volume", "create", "kept")
    begin = time.time()
    identity = api.create("sleep", "60", name="told", HostConfig={"Binds": ["kept:/d"]})
    api("POST", f"/containers/{identity}/start")
    server.command("pause", "told")
    server.command("unpause", "told")
    server.command("rename", "told", "after")
    server.command("kill", "-s", "CONT", "after")
    api("POST", f"/containers/{identity}/stop", t=0)
    api("DELETE", f"/containers/{identity}")
    everything = actions(server, begin, type=["container", "network", "volume"])
    assert everything == [
        "create", "connect", "mount", "start", "pause", "unpause", "rename", "kill", "kill", "disconnect", "unmount",
        "die", "stop", "destroy",
    ]  # fmt: skip
    assert actions(server, begin, container=[identity]) == [
        "create", "start", "pause", "unpause", "rename", "kill", "kill", "die", "stop", "destroy",
    ]  # fmt: skip


def test_health_images_volumes_and_networks(server: Server, tmp_path: Path) -> None:
    begin = time.time() - 0.001
    api = server.client()
    check = {"Test": ["CMD", "true"], "Interval": 50_000_000}
    identity = api.create("sleep", "60", Healthcheck=check)
    api("POST", f"/containers/{identity}/start")
    deadline = time.monotonic() + 10
    while "health_status: healthy" not in actions(server, begin) and time.monotonic() < deadline:
        time.sleep(0.05)
    api("DELETE", f"/containers/{identity}", force=1)
    assert "health_status: healthy" in actions(server, begin, event=["health_status"])
    server.command("tag", "small", "other")
    server.command("save", "-o", str(tmp_path / "x.tar"), "other")
    server.command("rmi", "other")
    server.command("load", "-i", str(tmp_path / "x.tar"))
    assert actions(server, begin, type=["image"]) == ["tag", "untag", "load"]
    server.command("volume", "create", "vol")
    server.command("volume", "rm", "vol")
    server.command("network", "create", "net")
    server.command("network", "rm", "net")
    assert actions(server, begin, volume=["vol"]) == actions(server, begin, network=["net"]) == ["create", "destroy"]
    assert actions(server, time.time() - 0.001) == []


def test_what_is_only_looked_at_is_told_too(server: Server) -> None:
    begin = time.time() - 0.001
    api = server.client()
    mount = {"Type": "volume", "Source": "told", "Target": "/data"}
    identity = api.create("sleep", "60", Tty=True, HostConfig={"Mounts": [mount]})
    api("POST", f"/containers/{identity}/start")
    api("POST", f"/containers/{identity}/resize", h=10, w=20)
    api("GET", f"/containers/{identity}/top")
    api("POST", f"/containers/{identity}/attach", logs=1, stdout=1)
    api("GET", f"/containers/{identity}/archive", path="/data")
    api("GET", f"/containers/{identity}/export")
    server.command("cp", str(Path(__file__)), f"{identity}:/data")
    server.command("commit", identity, "made")
    api("POST", f"/containers/{identity}/kill")
    api("POST", f"/containers/{identity}/wait")
    assert actions(server, begin, container=[identity]) == [
        "create", "start", "resize", "top", "attach", "archive-path", "export", "extract-to-dir", "pause", "commit",
        "unpause", "kill", "die",
    ]  # fmt: skip
    deadline = time.monotonic() + 10
    while len(actions(server, begin, volume=["told"])) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    lines = api("GET", "/events", since=begin, until=time.time() + 0.01, filters={"volume": ["told"]}).lines
    assert [line["Action"] for line in lines] == ["create", "mount", "unmount"]
    left = {"container": identity, "driver": "local"}
    assert lines[1]["Actor"]["Attributes"] == {
        **left, "destination": "/data", "read/write": "true", "propagation": "",
    }  # fmt: skip
    assert lines[2]["Actor"]["Attributes"] == left
