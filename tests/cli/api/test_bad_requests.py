"""Requests that are wrong: one clear answer, nothing made, and the server goes on."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any
from unittest.mock import ANY

import pytest

from rootlay.cli.api.exchange import JSON_BYTES
from rootlay.cli.api.shapes import CREATE
from tests.cli.api.conftest import Server
from tests.support.docker.client import Client

Json = dict[str, Any]


def say(server: Server, data: bytes) -> bytes:
    """Send bytes and end that direction; return the answer."""
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(20)
        link.connect(str(server.socket))
        link.sendall(data)
        link.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: link.recv(65536), b""))


def host(**members: Any) -> Json:
    return {"HostConfig": members}


WRONG: list[tuple[Json, str]] = [
    (host(Ulimits=[{"Name": "nofile", "Soft": 1e30, "Hard": 1}]), "HostConfig.Ulimits.Soft: a whole number"),
    (host(Ulimits=[{"Name": "nofile", "Soft": -5}]), "nofile"),
    (host(RestartPolicy={"Name": "on-failure", "MaximumRetryCount": "x"}), "MaximumRetryCount: a whole number"),
    (host(RestartPolicy={"Name": "on-failure", "MaximumRetryCount": -3}), "on-failure:-3"),
    (host(RestartPolicy={"Name": "on-failurex"}), "on-failurex"),
    (host(PidsLimit=float("inf")), "HostConfig.PidsLimit"),
    (host(Memory=1 << 63), "HostConfig.Memory"),
    (host(GroupAdd=[5]), "HostConfig.GroupAdd: a text"),
    (host(Mounts=[1]), "HostConfig.Mounts: an object"),
    ({"HostConfig": [1]}, "HostConfig: an object"),
    ({"Env": [1]}, "Env: a text"),
    ({"Hostname": 5}, "Hostname: a text"),
    ({"Labels": {"a": 1}}, "Labels.a: a text"),
    ({"Tty": "false"}, "Tty: true or false"),
    ({"Cmd": ["\ud800"]}, "Cmd: a text"),
    (host(Mounts=[{"Type": "volume", "Target": "/m", "VolumeOptions": {"Subpath": "\0"}}]), "Subpath: a text"),
    (host(Mounts=[None]), "must be absolute"),
    (host(VolumesFrom=[None]), "--volumes-from : expected"),
    (host(PortBindings={"": None}), "invalid port specification: ''"),
    ({"Volumes": ["/x"]}, "Volumes: an object"),
    ({"Volumes": {"x": {}}}, "mount path must be absolute"),
    ({"NetworkingConfig": {"EndpointsConfig": {"a": 1}}}, "NetworkingConfig.EndpointsConfig.a: an object"),
    (host(ExtraHosts=["a:1.2.3.4\n6.6.6.6 b"]), "invalid IP address in add-host"),
    (host(ExtraHosts=["a b=::1"]), "extra host 'a b:::1': expected one word"),
    (host(ExtraHosts=["a"]), "bad format for add-host: 'a'"),
    (host(Dns=["1.1.1.1\nnameserver 6.6.6.6"]), "DNS server '1.1.1.1\\nnameserver 6.6.6.6': expected one word"),
    ({"Hostname": "a\nb"}, "host name 'a\\nb': expected one word"),
    ({"NetworkingConfig": {"EndpointsConfig": {"bridge": {"Aliases": ["a\tb"]}}}}, "network alias 'a\\tb': expected"),
    ({"Healthcheck": {"Test": ["CMD", "a"], "Interval": -1}}, "Interval in Healthcheck cannot be less than 1ms"),
    ({"Healthcheck": {"StartPeriod": 999_999}}, "StartPeriod in Healthcheck cannot be less than 1ms"),
    ({"Healthcheck": {"Retries": -1}}, "Retries in Healthcheck cannot be negative"),
    ({"Image": None}, "no command"),
    ({"Cmd": None}, "no command specified"),
]


def test_members_of_another_kind_are_named_and_make_nothing(server: Server) -> None:
    api = server.client()
    for given, words in WRONG:
        answer = api("POST", "/containers/create", {"Image": "small", "Cmd": ["true"], **given}, status=400)
        assert words in answer.json["message"], given
    deep = b"[" * 100_000
    head = b"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: %d\r\n\r\n" % len(deep)
    assert b"nested too deeply" in say(server, head + deep)
    assert api("GET", "/containers/json?all=1").json == []


ODD: list[Any] = [
    None, -1, 1 << 62, 1.5, True, "", "x", "-1:2", "/x:/y:z", [], [None], [[]], [{}], [1], ["x"], {}, {"a": None},
    {"": None}, {"a": [None]}, {"80/tcp": None}, {"80/tcp": [None]}, {"a": {"b": [{"c": None}]}},
]  # fmt: skip


def places(shape: Any, before: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the way to each member, and to the items of lists."""
    yield before
    if isinstance(shape, dict):
        for name, inner in shape.items():
            yield from places(inner, (*before, "80/tcp" if name == "*" else name))
    elif isinstance(shape, list):
        yield from places(shape[0], (*before, 0))


def test_no_value_of_a_member_is_an_error_of_the_server(api: Client) -> None:
    found: list[tuple[Any, bytes]] = []
    for place in list(places(CREATE))[1:]:
        for odd in ODD:
            body = odd
            for key in reversed(place):
                body = [body] if key == 0 else {key: body}
            answer = api("POST", "/containers/create", {"Image": "small", "Cmd": ["true"], **body}, status=ANY)
            if answer.status == 201:
                path = f"/containers/{answer.json['Id']}"
                assert api("GET", f"{path}/json").json["HostConfig"] is not None, body
                api("DELETE", path, v=1)
            elif answer.status >= 500:
                found.append((body, answer.body))
    assert found == []


def test_null_is_what_docker_takes_it_for(api: Client) -> None:
    given: Any = {
        "Env": None, "Labels": {"a": None}, "Healthcheck": None, "ExposedPorts": {"80/tcp": None},
        "HostConfig": {"Dns": None, "PortBindings": {"80/tcp": None}, "Mounts": None, "RestartPolicy": None},
    }  # fmt: skip
    shown = api("GET", f"/containers/{api.create('true', **given)}/json").json
    assert shown["Config"]["Labels"] == {"a": ""}
    assert shown["HostConfig"]["PortBindings"] == {"80/tcp": []}
    assert shown["HostConfig"]["Dns"] == []


def test_the_reason_of_a_status_is_named(server: Server) -> None:
    head = b"GET %s HTTP/1.1\r\nHost: d\r\n\r\n"
    assert say(server, head % b"/version").startswith(b"HTTP/1.1 200 OK\r\n")
    assert say(server, head % b"/containers/none/json").startswith(b"HTTP/1.1 404 Not Found\r\n")


def test_a_large_body_is_refused(server: Server) -> None:
    body = b'{"Image": "%s"}' % (b"x" * JSON_BYTES)
    head = b"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: %d\r\n\r\n" % len(body)
    answer = say(server, head + body)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"too large" in answer


def test_a_body_that_is_not_http_is_answered(server: Server) -> None:
    head = b"POST /containers/create HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n"
    for body in (b"zz\r\n{}\r\n0\r\n\r\n", b"-2\r\n{}\r\n0\r\n\r\n", b"f" * 40 + b"\r\n{}"):
        assert say(server, head + body).startswith(b"HTTP/1.1 400 "), body


def test_names_in_paths_may_be_escaped_and_lead_nowhere(server: Server) -> None:
    api = server.client()
    assert api("GET", "/images/small%3Alatest/json").json["RepoTags"] == ["small:latest"]
    api("POST", "/volumes/create", {"Name": "a.b"}, status=201)
    assert api("GET", "/volumes/a%2Eb").json["Name"] == "a.b"
    for path in ("/volumes/..%2fa.b", "/containers/..%2f..%2fx/json", "/networks/..%2fx", "/exec/..%2fx/json"):
        assert "../" in api("GET", path, status=404).json["message"]
    assert api("GET", "/volumes/%00%ff", status=404).json["message"] == "get \0\udcff: no such volume"


def test_a_burst_of_clients_with_a_time_out_waits_for_its_turn(server: Server) -> None:
    with contextlib.ExitStack() as stack:
        server.process.send_signal(signal.SIGSTOP)
        stack.callback(server.process.send_signal, signal.SIGCONT)
        for _ in range(200):
            link = stack.enter_context(socket.socket(socket.AF_UNIX))
            link.settimeout(20)
            link.connect(str(server.socket))  # an error at once if the queue is full
    assert server.client()("GET", "/_ping").status == 200


def test_the_server_outlives_clients_that_take_all_processes(server: Server) -> None:
    if os.geteuid() == 0:
        pytest.skip("root has no limit of processes")
    path = server.socket.with_name("2.sock")  # a socket's path is short
    # as few as possible: the other processes of the user count, too
    running = sum(len(os.listdir(f"/proc/{pid}/task")) for pid in _own_processes())
    limit = lambda: resource.setrlimit(resource.RLIMIT_NPROC, (running + 12, running + 12))  # noqa: E731
    process = subprocess.Popen(
        [sys.executable, "-m", "rootlay.cli.main", "api", "--socket", str(path)],
        env={**os.environ, "ROOTLAY_ROOT": str(server.command.root)}, stdout=subprocess.PIPE, preexec_fn=limit,
    )  # fmt: skip
    with process, contextlib.ExitStack() as stack:
        assert process.stdout
        process.stdout.readline()
        for _ in range(40):
            link = stack.enter_context(socket.socket(socket.AF_UNIX))
            link.connect(str(path))
        time.sleep(0.5)
        assert process.poll() is None
        stack.close()
        assert Client(path)("GET", "/_ping").body == b"OK"
        process.terminate()
        assert process.wait(10) == 0


def _own_processes() -> list[str]:
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if os.stat(f"/proc/{pid}").st_uid == os.geteuid():
                found.append(pid)
    return found
