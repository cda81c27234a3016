"""The API over its socket: what is answered, in which form, and what survives."""

from __future__ import annotations

import os
import socket
import stat
import threading
import time
from typing import Any

from tests.cli.api.conftest import Server, eventually
from tests.support.docker.client import Client
from tests.support.docker.schema import answer_schema, missing, problems


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


#: Members of dockerd's answers that may be missing.
OPTIONAL = frozenset(
    """
    SizeRw SizeRootFs NodeID ImageManifestDescriptor Manifests Containerd ConfigFrom Descriptor Variant OsVersion
    VirtualSize Container ContainerConfig Peers Config CDISpecDirs ClusterAdvertise ClusterStore ProductLicense
    DefaultAddressPools HttpProxy ServerVersion CpuCfsPeriod KernelMemory BuilderSize KernelMemoryTCP Experimental
    """.split()
)


def test_errors_have_dockers_form(api: Client) -> None:
    for method, path, status in (
        ("GET", "/nothing", 404), ("DELETE", "/info", 405), ("GET", "/swarm", 503), ("GET", "/plugins", 501),
        ("GET", "/containers/none/json", 404), ("GET", "/images/none/json", 404), ("GET", "/networks/absent", 404),
        ("GET", "/volumes/none", 404), ("GET", "/exec/none/json", 404), ("POST", "/containers/none/start", 404),
        ("POST", "/session", 501),
    ):  # fmt: skip
        answer = api(method, path, status=status)
        assert list(answer.json) == ["message"], path
        assert answer.json["message"], path


def test_answers_fit_dockers_schemas(api: Client) -> None:
    api.create("true", name="one", Labels={"a": "b"}, HostConfig={"Binds": ["vol:/v"]})
    for path, schema_path in (
        ("/info", "/info"), ("/version", "/version"), ("/containers/json?all=1", "/containers/json"),
        ("/images/json", "/images/json"), ("/networks", "/networks"), ("/volumes", "/volumes"),
        ("/system/df", "/system/df"), ("/images/small/json", "/images/{name}/json"),
        ("/images/small/history", "/images/{name}/history"), ("/containers/one/json", "/containers/{id}/json"),
        ("/networks/bridge", "/networks/{id}"),
    ):  # fmt: skip
        answer, schema = api("GET", path).json, answer_schema("GET", schema_path)
        assert problems(answer, schema) == [], path
        if isinstance(answer, dict):
            assert missing(answer, schema) - OPTIONAL == set(), path


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
