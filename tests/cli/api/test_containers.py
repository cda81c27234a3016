"""The life of containers over the API: starts, names, ports, health, archives."""

from __future__ import annotations

import base64
import io
import json
import tarfile
from typing import Any

from tests.cli.api.conftest import Server, eventually
from tests.support.docker.client import Client


def test_start_of_a_missing_program_says_what_clients_look_for(api: Client) -> None:
    identity = api.create("missing")
    message = api("POST", f"/containers/{identity}/start", status=400).json["message"]
    assert 'exec: "missing": executable file not found in $PATH' in message


def test_the_life_of_a_container(api: Client) -> None:
    identity = api.create("sleep", "60", name="life", Labels={"k": "v"})
    path = f"/containers/{identity}"

    def status() -> Any:
        return api("GET", f"{path}/json").json["State"]["Status"]

    assert status() == "created"
    api("POST", f"{path}/start", status=204)
    api("POST", f"{path}/start", status=304)
    assert status() == "running"
    api("POST", f"{path}/pause", status=204)
    assert status() == "paused"
    api("POST", f"{path}/pause", status=409)
    api("POST", f"{path}/unpause", status=204)
    top = api("GET", f"{path}/top").json
    assert any("sleep" in " ".join(row) for row in top["Processes"])
    stats = api("GET", f"{path}/stats", stream=0).json
    assert stats["pids_stats"]["current"] == 1
    api("POST", f"{path}/restart", t=0, status=204)
    assert status() == "running"
    api("POST", f"{path}/rename", name="other", status=204)
    assert api("GET", "/containers/json").json[0]["Names"] == ["/other"]
    assert "container is running" in api("DELETE", path, status=409).json["message"]
    api("POST", f"{path}/stop", t=0, status=204)
    api("POST", f"{path}/stop", status=304)
    assert status() == "exited"
    api("POST", f"{path}/kill", status=409)
    assert api("GET", "/containers/json").json == []
    expected: list[tuple[dict[str, list[str]], int]] = [
        ({"label": ["k=v"]}, 1), ({"label": ["k=x"]}, 0), ({"status": ["exited"]}, 1), ({"name": ["oth"]}, 1),
        ({"id": [identity[:6]]}, 1), ({"ancestor": ["small"]}, 1),
    ]  # fmt: skip
    for filters, count in expected:
        assert len(api("GET", "/containers/json", all=1, filters=filters).json) == count, filters
    assert "invalid filter" in api("GET", "/containers/json", status=400, filters={"colour": ["red"]}).json["message"]
    api("DELETE", path, status=204)
    api("GET", f"{path}/json", status=404)


def test_names_are_unique_and_checked(api: Client) -> None:
    first = api.create("true", name="same")
    again = api("POST", "/containers/create", {"Image": "small", "Cmd": ["true"]}, name="same", status=409)
    assert first[:12] in again.json["message"]
    api("POST", "/containers/create", {"Image": "small"}, name="a b", status=400)
    missing_image = api("POST", "/containers/create", {"Image": "absent"}, status=404).json["message"]
    assert missing_image == "No such image: absent:latest"
    api("POST", "/containers/create", b"{", headers={"Content-Type": "application/json"}, status=400)


def test_archives_go_in_and_out(api: Client) -> None:
    identity = api.create("true")
    path = f"/containers/{identity}/archive"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        entry = tarfile.TarInfo("new")
        entry.size, entry.uid, entry.mode = 3, 77, 0o640
        tar.addfile(entry, io.BytesIO(b"abc"))
    api("PUT", path, packed.getvalue(), path="/tmp")
    answer = api("GET", path, path="/tmp/new")
    shown = json.loads(base64.b64decode(answer.headers["X-Docker-Container-Path-Stat"]))
    assert (shown["name"], shown["size"], shown["mode"]) == ("new", 3, 0o640)
    with tarfile.open(fileobj=io.BytesIO(answer.body)) as tar:
        member = tar.getmember("new")
        extracted = tar.extractfile(member)
        assert extracted is not None
        assert (extracted.read(), member.uid, member.mode) == (b"abc", 77, 0o640)
    link = json.loads(base64.b64decode(api("HEAD", path, path="/etc/link").headers["X-Docker-Container-Path-Stat"]))
    assert (link["linkTarget"], link["mode"] >> 27 & 1) == ("motd", 1)
    api("HEAD", path, path="/absent", status=404)
    api("PUT", path, packed.getvalue(), path="/absent", status=404)
    api("PUT", path, packed.getvalue(), path="/etc/motd", status=400)
    assert api("GET", f"/containers/{identity}/changes").json == [
        {"Path": "/tmp", "Kind": 0}, {"Path": "/tmp/new", "Kind": 1},
    ]  # fmt: skip
    with tarfile.open(fileobj=io.BytesIO(api("GET", f"/containers/{identity}/export").body)) as tar:
        assert "tmp/new" in tar.getnames()


def test_archives_see_volumes_and_respect_read_only_ones(server: Server) -> None:
    api = server.client()
    mounts = [
        {"Type": "volume", "Source": "arch", "Target": "/data"},
        {"Type": "volume", "Source": "arch", "Target": "/fixed", "ReadOnly": True},
    ]
    identity = api.create("true", HostConfig={"Mounts": mounts, "ReadonlyRootfs": True})
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as out:
        out.addfile(tarfile.TarInfo("f"))
    api("PUT", f"/containers/{identity}/archive", tar.getvalue(), path="/data")
    for path, kind in (("/fixed", "mounted volume"), ("/etc", "container rootfs")):
        answer = api("PUT", f"/containers/{identity}/archive", tar.getvalue(), path=path, status=400)
        assert answer.json == {"message": f"{kind} is marked read-only"}
    api("HEAD", f"/containers/{identity}/archive", path="/fixed/f")
    with tarfile.open(fileobj=io.BytesIO(api("GET", f"/containers/{identity}/archive", path="/fixed").body)) as found:
        assert found.getnames() == ["fixed", "fixed/f"]


def test_published_ports_are_shown_while_it_runs(api: Client) -> None:
    identity = api.create(
        "sleep", "60", ExposedPorts={"81/udp": {}}, HostConfig={"PortBindings": {"80/tcp": [{"HostPort": ""}]}}
    )
    api("POST", f"/containers/{identity}/start")
    ports = api("GET", f"/containers/{identity}/json").json["NetworkSettings"]["Ports"]
    assert ports["81/udp"] is None
    assert int(ports["80/tcp"][0]["HostPort"]) > 0
    listed = api("GET", "/containers/json").json[0]["Ports"]
    assert {"PrivatePort": 81, "Type": "udp"} in listed
    api("DELETE", f"/containers/{identity}", force=1)


def test_health_is_shown(api: Client) -> None:
    check = {"Test": ["CMD", "true"], "Interval": 100_000_000}
    identity = api.create("sleep", "60", Healthcheck=check)
    api("POST", f"/containers/{identity}/start")
    eventually(
        lambda: api("GET", f"/containers/{identity}/json").json["State"]["Health"]["Status"] == "healthy", "not healthy"
    )
    assert "(healthy)" in api("GET", "/containers/json", filters={"health": ["healthy"]}).json[0]["Status"]
    api("POST", f"/containers/{identity}/stop", t=0)
    assert api("GET", f"/containers/{identity}/json").json["State"]["Health"]["Status"] == "unhealthy", "as in Docker"
    api("DELETE", f"/containers/{identity}", force=1)


def test_the_options_of_tmpfs_have_an_effect(api: Client) -> None:
    mounts: Any = {
        "Tmpfs": {"/a": "rw,size=1m,mode=0700,uid=1000", "/b": ""},
        "Mounts": [
            {"Type": "tmpfs", "Target": "/c", "TmpfsOptions": {"SizeBytes": 1 << 20, "Mode": 0o750}},
            {"Type": "tmpfs", "Target": "/d"},
        ],
    }  # fmt: skip
    code, output = api.run("stat", "-c", "%n %a %u", "/a", "/b", "/c", "/d", HostConfig=mounts)
    assert code == 0
    assert output == {1: b"/a 700 1000\n/b 1777 0\n/c 750 0\n/d 1777 0\n"}
    for given, words in (({"/t": "foo"}, 'invalid tmpfs option ["foo"]'), ({"t": ""}, "must be absolute")):
        body = {"Image": "small", "Cmd": ["true"], "HostConfig": {"Tmpfs": given}}
        assert words in api("POST", "/containers/create", body, status=400).json["message"]
