"""The API over its socket: what is answered, in which form, and what survives."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import socket
import stat
import tarfile
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.cli.api.conftest import Server
from tests.support.docker.client import Client, demultiplex, read_all
from tests.support.docker.schema import answer_schema, missing, problems


def eventually(check: Callable[[], object], what: str, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def test_the_socket_is_the_users_alone(server: Server) -> None:
    assert stat.S_IMODE(os.stat(server.socket).st_mode) == 0o600


def test_ping_and_versions(server: Server) -> None:
    answer = server.client()("GET", "/_ping")
    assert answer.body == b"OK"
    assert answer.headers["Api-Version"] == "1.47"
    assert answer.headers["Ostype"] == "linux"
    assert Client(server.socket, "1.24")("GET", "/version").json["MinAPIVersion"] == "1.24"
    old = Client(server.socket, "1.23")("GET", "/version", status=400).json["message"]
    assert "too old" in old
    new = Client(server.socket, "1.99")("GET", "/version", status=400).json["message"]
    assert "too new" in new


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("DELETE", "/info", 405), ("GET", "/swarm", 503), ("GET", "/plugins", 501),
     ("GET", "/containers/none/json", 404), ("GET", "/images/none/json", 404), ("GET", "/networks/absent", 404),
     ("GET", "/volumes/none", 404), ("GET", "/exec/none/json", 404), ("POST", "/containers/none/start", 404),
     ("POST", "/session", 501)],
)  # fmt: skip
def test_errors_have_dockers_form(api: Client, method: str, path: str, status: int) -> None:
    answer = api(method, path, status=status)
    assert list(answer.json) == ["message"]
    assert answer.json["message"]


@pytest.mark.parametrize(
    ("path", "schema_path"),
    [("/info", "/info"), ("/version", "/version"), ("/containers/json?all=1", "/containers/json"),
     ("/images/json", "/images/json"), ("/networks", "/networks"), ("/volumes", "/volumes"),
     ("/system/df", "/system/df"), ("/images/small/json", "/images/{name}/json"),
     ("/images/small/history", "/images/{name}/history"), ("/containers/one/json", "/containers/{id}/json"),
     ("/networks/bridge", "/networks/{id}")],
)  # fmt: skip
def test_answers_fit_dockers_schemas(api: Client, path: str, schema_path: str) -> None:
    api.create("true", name="one", Labels={"a": "b"}, HostConfig={"Binds": ["vol:/v"]})
    answer = api("GET", path).json
    schema = answer_schema("GET", schema_path)
    assert problems(answer, schema) == []
    if isinstance(answer, dict):
        optional = {
            "SizeRw",
            "SizeRootFs",
            "NodeID",
            "ImageManifestDescriptor",
            "Manifests",
            "Containerd",
            "ConfigFrom",
        }
        optional |= {
            "Descriptor",
            "Variant",
            "OsVersion",
            "VirtualSize",
            "Container",
            "ContainerConfig",
            "Peers",
            "Config",
        }
        optional |= {"CDISpecDirs", "ClusterAdvertise", "ClusterStore", "ProductLicense", "DefaultAddressPools"}
        optional |= {
            "HttpProxy",
            "ServerVersion",
            "CpuCfsPeriod",
            "KernelMemory",
            "BuilderSize",
            "KernelMemoryTCP",
            "Experimental",
        }
        assert missing(answer, schema) - optional == set()


def test_run_to_the_end_with_both_streams(api: Client) -> None:
    code, output = api.run("sh", "-c", "echo out; echo err >&2; exit 3")
    assert code == 3
    assert output == {1: b"out\n", 2: b"err\n"}


def test_logs_by_stream_tail_time_and_follow(api: Client) -> None:
    identity = api.create("sh", "-c", "echo one; sleep 0.3; echo two >&2; sleep 0.3; echo three")
    api("POST", f"/containers/{identity}/start")
    path = f"/containers/{identity}/logs"
    whole = demultiplex(api("GET", path, stdout=1, stderr=1, follow=1).body)
    assert whole == {1: b"one\nthree\n", 2: b"two\n"}
    assert demultiplex(api("GET", path, stdout=1, tail=1).body) == {1: b"three\n"}
    stamped = demultiplex(api("GET", path, stdout=1, timestamps=1).body)[1].split()
    assert stamped[1] == b"one"
    assert len(stamped[0]) == len("2026-01-01T00:00:00.000000000Z")
    later = demultiplex(api("GET", path, stdout=1, since=stamped[2].decode()).body)
    assert later == {1: b"three\n"}
    assert "at least one stream" not in api("GET", path, stdout=1).headers
    assert "choose at least one stream" in api("GET", path, status=400).json["message"]


def test_attach_before_the_start_misses_nothing_and_passes_input(api: Client) -> None:
    identity = api.create("cat", OpenStdin=True, StdinOnce=True, AttachStdin=True)
    link, head = api.take_over(f"/containers/{identity}/attach", stream=1, stdin=1, stdout=1, stderr=1)
    assert head.startswith(b"HTTP/1.1 101 UPGRADED\r\n")
    link.sendall(b"hello\n")
    link.shutdown(socket.SHUT_WR)
    api("POST", f"/containers/{identity}/start")
    assert demultiplex(read_all(link)) == {1: b"hello\n"}
    assert api("POST", f"/containers/{identity}/wait").json["StatusCode"] == 0


def test_a_client_without_input_may_close_its_direction(api: Client) -> None:
    identity = api.create("sh", "-c", "sleep 0.3; echo late")
    link, _ = api.take_over(f"/containers/{identity}/attach", stream=1, stdout=1)
    link.shutdown(socket.SHUT_WR)
    api("POST", f"/containers/{identity}/start")
    assert demultiplex(read_all(link)) == {1: b"late\n"}


def test_two_clients_read_the_same_and_the_output_of_a_removed_container_is_whole(server: Server) -> None:
    api = server.client()
    identity = api.create("sh", "-c", "echo gone; exit 5", HostConfig={"AutoRemove": True})
    links = [api.take_over(f"/containers/{identity}/attach", stream=1, stdout=1)[0] for _ in range(2)]
    codes: list[Any] = []
    path = f"/containers/{identity}/wait"
    waiting = threading.Thread(target=lambda: codes.append(api("POST", path, condition="removed").json))
    waiting.start()
    directory = server.command.root / "containers" / identity
    eventually(lambda: list(directory.glob("wait-*")), "nobody waits")
    api("POST", f"/containers/{identity}/start")
    assert [demultiplex(read_all(link)) for link in links] == [{1: b"gone\n"}] * 2
    waiting.join(20)
    assert codes == [{"StatusCode": 5}]
    api("GET", f"/containers/{identity}/json", status=404)


def test_a_terminal_has_the_size_that_is_asked_for_and_raw_output(api: Client) -> None:
    identity = api.create("sh", "-c", "read line; echo got $line", Tty=True, OpenStdin=True)
    link, _ = api.take_over(f"/containers/{identity}/attach", stream=1, stdin=1, stdout=1)
    api("POST", f"/containers/{identity}/start")
    api("POST", f"/containers/{identity}/resize", h=33, w=77)
    link.sendall(b"abc\n")
    assert read_all(link).replace(b"\r", b"").endswith(b"got abc\n")


def test_detach_keys_leave_the_program_running(api: Client) -> None:
    identity = api.create("sleep", "60", Tty=True, OpenStdin=True)
    api("POST", f"/containers/{identity}/start")
    link, _ = api.take_over(f"/containers/{identity}/attach", stream=1, stdin=1, stdout=1, detachKeys="ctrl-a,x")
    link.sendall(b"\x01x")
    read_all(link)
    assert api("GET", f"/containers/{identity}/json").json["State"]["Running"]
    bad = api("POST", f"/containers/{identity}/attach", status=400, detachKeys="ctrl-").json["message"]
    assert "detach keys" in bad
    api("DELETE", f"/containers/{identity}", force=1)


def test_exec_attached_detached_with_input_and_as_another_user(api: Client) -> None:
    identity = api.create("sleep", "60")
    api("POST", f"/containers/{identity}/start")

    def made(*words: str, **members: Any) -> str:
        body = {"Cmd": list(words), "AttachStdout": True, "AttachStderr": True, **members}
        return str(api("POST", f"/containers/{identity}/exec", body, status=201).json["Id"])

    one = made(
        "sh", "-c", "echo $A; id -u; pwd; cat; exit 7", Env=["A=b"], User="user", WorkingDir="/etc", AttachStdin=True
    )
    link, _ = api.take_over(f"/exec/{one}/start", {})
    link.sendall(b"in\n")
    link.shutdown(socket.SHUT_WR)
    assert demultiplex(read_all(link)) == {1: b"b\n1234\n/etc\nin\n"}
    shown = api("GET", f"/exec/{one}/json").json
    assert (shown["ExitCode"], shown["Running"], shown["ContainerID"]) == (7, False, identity)
    assert problems(shown, answer_schema("GET", "/exec/{id}/json")) == []
    two = made("sh", "-c", "sleep 1; exit 4")
    api("POST", f"/exec/{two}/start", {"Detach": True}, status=200)
    assert api("GET", f"/exec/{two}/json").json["Running"]
    eventually(lambda: api("GET", f"/exec/{two}/json").json["ExitCode"] == 4, "no exit code")
    three = made("missing")
    link, _ = api.take_over(f"/exec/{three}/start", {})
    assert b"executable file not found" in read_all(link)
    assert api("GET", f"/exec/{three}/json").json["ExitCode"] == 127
    api("POST", f"/containers/{identity}/kill")
    answer = api("POST", f"/containers/{identity}/exec", {"Cmd": ["true"]}, status=409)
    assert "is not running" in answer.json["message"]


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


def test_images_are_tagged_saved_removed_loaded_and_committed(api: Client) -> None:
    api("POST", "/images/small/tag", repo="host/team/small", tag="2", status=201)
    assert "host/team/small:2" in api("GET", "/images/host/team/small:2/json").json["RepoTags"]
    saved = api("GET", "/images/host/team/small:2/get").body
    identity = api.create("true")
    api("DELETE", f"/containers/{identity}")
    removed = api("DELETE", "/images/host/team/small:2").json
    assert removed == [{"Untagged": "host/team/small:2"}]
    loaded = api("POST", "/images/load", saved)
    assert loaded.lines[-1] == {"stream": "Loaded image: host/team/small:2\n"}
    container = api.create("sh", "-c", "echo x > /made")
    api("POST", f"/containers/{container}/start")
    api("POST", f"/containers/{container}/wait")
    made = api("POST", "/commit", {}, container=container, repo="made", tag="1", changes="ENV A=b", status=201).json[
        "Id"
    ]
    assert api("GET", "/images/made:1/json").json["Id"] == made
    assert "A=b" in api("GET", "/images/made:1/json").json["Config"]["Env"]
    assert api.run("cat", "/made", image="made:1")[1] == {1: b"x\n"}
    assert api("GET", "/images/made:1/history").json[0]["Size"] > 0
    names = [
        tag for image in api("GET", "/images/json", filters={"reference": ["made"]}).json for tag in image["RepoTags"]
    ]
    assert names == ["made:1"]


def _context(**files: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return packed.getvalue()


def test_a_classic_build(api: Client) -> None:
    context = _context(Dockerfile='FROM small\nARG V\nCOPY f /f\nRUN echo made $V\nCMD ["cat", "/f"]\n', f="content\n")
    answer = api("POST", "/build", context, t="built:1", buildargs={"V": "seven"}, labels={"l": "m"})
    said = "".join(line.get("stream", "") for line in answer.lines)
    assert "Step 1/3 : FROM small" in said
    assert "made seven" in said
    assert said.endswith("Successfully tagged built:1\n")
    assert api("GET", "/images/built:1/json").json["Config"]["Labels"] == {"l": "m"}
    assert api.run(image="built:1")[1] == {1: b"content\n"}
    failed = api("POST", "/build", _context(Dockerfile="FROM small\nRUN exit 3\n")).lines[-1]
    assert "3" in failed["error"]
    assert failed["errorDetail"]["message"] == failed["error"]
    wrong = api("POST", "/build", _context(Dockerfile="FRUM small\n"), status=400)
    assert "FRUM" in wrong.json["message"]
    assert "DOCKER_BUILDKIT=0" in api("POST", "/build", context, version=2, status=501).json["message"]


def test_volumes_and_networks_keep_records(server: Server) -> None:
    api = server.client()
    made = api("POST", "/volumes/create", {"Name": "data", "Labels": {"a": "b"}}, status=201).json
    assert made["Mountpoint"].endswith("/volumes/data/_data")
    mount = {"Type": "volume", "Source": "data", "Target": "/data"}
    assert api.run("sh", "-c", "echo kept > /data/f", HostConfig={"Mounts": [mount]})[0] == 0
    assert api.run("cat", "/data/f", HostConfig={"Binds": ["data:/data:ro"]})[1] == {1: b"kept\n"}
    assert "in use" in api("DELETE", "/volumes/data", status=409).json["message"]
    network = api("POST", "/networks/create", {"Name": "net", "Labels": {"c": "d"}}, status=201).json["Id"]
    api("POST", "/networks/create", {"Name": "net"}, status=409)
    aliases = {"EndpointsConfig": {"net": {"Aliases": ["db"]}}}
    member = api.create("sleep", "60", name="server", HostConfig={"NetworkMode": "net"}, NetworkingConfig=aliases)
    api("POST", f"/containers/{member}/start")
    other: dict[str, Any] = {"EndpointsConfig": {"net": {}}}
    code, output = api.run("cat", "/etc/hosts", HostConfig={"NetworkMode": "net"}, NetworkingConfig=other)
    assert code == 0
    assert re.search(rb"^127\.\d+\.\d+\.\d+\tdb$", output[1], re.M)
    assert server.command.out("fsck").strip() == "nothing wrong was found"
    inside = api("GET", f"/networks/{network}").json
    assert [each["Name"] for each in inside["Containers"].values()] == ["server"]
    assert "active endpoints" in api("DELETE", "/networks/net", status=403).json["message"]
    api("POST", "/networks/net/disconnect", {"Container": member})
    api("POST", "/networks/net/connect", {"Container": member, "EndpointConfig": {"Aliases": ["cache"]}})
    shown = api("GET", f"/containers/{member}/json").json["NetworkSettings"]["Networks"]["net"]
    assert shown["Aliases"] == ["cache"]
    for container in api("GET", "/containers/json", all=1).json:
        api("DELETE", f"/containers/{container['Id']}", force=1, v=1)
    api("DELETE", "/networks/net", status=204)
    api("DELETE", "/volumes/data", status=204)
    api("DELETE", "/networks/bridge", status=403)


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


def test_events_of_the_past_and_of_now(server: Server) -> None:
    api = server.client()
    begin = time.time() - 1
    api.run("true")
    past = api("GET", "/events", since=begin, until=time.time()).lines
    assert [event["Action"] for event in past if event["Type"] == "container"] == ["create", "start", "die"]
    found: list[Any] = []
    until = time.time() + 3
    listening = threading.Thread(target=lambda: found.extend(api("GET", "/events", until=until).lines))
    listening.start()
    time.sleep(0.5)
    identity = api.create("sh", "-c", "exit 3")
    api("POST", f"/containers/{identity}/start")
    api("POST", f"/containers/{identity}/wait")
    api("DELETE", f"/containers/{identity}")
    listening.join(20)
    assert [event["Action"] for event in found] == ["create", "connect", "start", "disconnect", "die", "destroy"]
    assert found[4]["Actor"]["Attributes"]["exitCode"] == "3"


def test_a_killed_server_loses_nothing(server: Server) -> None:
    api = server.client()
    identity = api.create("sh", "-c", "while :; do echo tick; sleep 0.1; done")
    api("POST", f"/containers/{identity}/start")
    link, _ = api.take_over(f"/containers/{identity}/attach", stream=1, stdout=1)
    server.kill()
    assert link.recv(8)  # a connection that is open goes on
    link.close()
    eventually(lambda: _refuses(api), "a child of the killed server still answers")
    server.restart()
    assert api("GET", f"/containers/{identity}/json").json["State"]["Running"]
    before = len(api("GET", f"/containers/{identity}/logs", stdout=1).body)
    eventually(lambda: len(api("GET", f"/containers/{identity}/logs", stdout=1).body) > before, "no output any more")
    api("DELETE", f"/containers/{identity}", force=1)
    assert server.command.out("fsck").strip() == "nothing wrong was found"


def _refuses(api: Client) -> bool:
    try:
        api("GET", "/_ping")
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


def test_a_second_server_on_the_socket_is_refused(server: Server) -> None:
    message = server.command.fails("api", "--socket", str(server.socket), code=80)
    assert "another `rootlay api` serves it" in message


def test_requests_that_are_not_http_end_their_connection_only(server: Server) -> None:
    for junk in (
        b"\0\1\2\r\n\r\n",
        b"GET / HTTP/9\r\n\r\n",
        b"POST /info HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
    ):
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(10)
            link.connect(str(server.socket))
            link.sendall(junk)
            assert link.recv(1 << 16).startswith(b"HTTP/1.1 400")
    assert server.client()("GET", "/_ping").body == b"OK"


def test_a_websocket_attaches(api: Client) -> None:
    identity = api.create("sh", "-c", "read line; echo got $line", OpenStdin=True)
    link = socket.socket(socket.AF_UNIX)
    link.settimeout(20)
    link.connect(str(api.path))
    link.sendall(
        f"GET /v1.47/containers/{identity}/attach/ws?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: x\r\n"
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    head = b""
    while b"\r\n\r\n" not in head:
        head += link.recv(1)
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in head  # the example of RFC 6455
    api("POST", f"/containers/{identity}/start")
    mask, text = b"\1\2\3\4", b"abc\n"
    link.sendall(b"\x82\x84" + mask + bytes(byte ^ mask[i & 3] for i, byte in enumerate(text)))
    data = read_all(link)
    assert b"\x82\x08got abc\n" in data


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
