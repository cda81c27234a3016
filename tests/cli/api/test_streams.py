"""Streams: logs, attach, exec, terminals and WebSockets, over the API."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest

from tests.cli.api.conftest import Server, eventually
from tests.support.docker.client import Client, demultiplex, read_all
from tests.support.docker.schema import answer_schema, problems


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


@pytest.mark.parametrize("tty", [True, False])
def test_a_resize_waits_for_the_start_of_its_exec(api: Client, tty: bool) -> None:
    identity = api.create("sleep", "60")
    api("POST", f"/containers/{identity}/start")
    wanted = {"Cmd": ["sh", "-c", "read line; exit 3"], "Tty": tty, "AttachStdin": True, "AttachStdout": True}
    path = f"/exec/{api('POST', f'/containers/{identity}/exec', wanted).json['Id']}"
    codes: list[int] = []
    ask = threading.Thread(target=lambda: codes.append(api("POST", f"{path}/resize", h=33, w=77).status))
    ask.start()
    link, _ = api.take_over(f"{path}/start", {"Tty": tty})
    ask.join(20)
    assert codes == [200]
    link.sendall(b"end\n")
    read_all(link)
    eventually(lambda: api("GET", f"{path}/json").json["ExitCode"] == 3, "the end is not recorded")
    assert "process does not exist" in api("POST", f"{path}/resize", status=404, h=1, w=2).json["message"]
    api("DELETE", f"/containers/{identity}", force=1)
