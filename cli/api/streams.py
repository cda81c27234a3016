"""Streams of containers: logs, attach by a taken-over connection or by WebSocket, and the size of terminals.

Docker's format for programs without a terminal: each piece has a header of 8 bytes, the stream in the first and the
length as a big-endian number in the last four. With a terminal the bytes are raw.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable

from rootlay.cli.api.call import Call, Reply
from rootlay.cli.api.errors import ApiError, bad_parameter, conflict
from rootlay.cli.api.exchange import MULTIPLEXED_STREAM, RAW_STREAM
from rootlay.store.containers.record import ContainerRecord
from rootlay.vfs.docker.containers import status_of
from rootlay.vfs.docker.times import full_nano, parse_moment
from rootlay.vfs.lifecycle.logs import iter_log
from rootlay.vfs.run.attachment import Attachment, BadKeys, parse_keys
from rootlay.vfs.run.containerlog import STDERR, STDOUT
from rootlay.vfs.run.status import is_running
from rootlay.vfs.run.terminal import resize_terminal

_HEADER = struct.Struct(">BxxxI")


def kind_of(call: Call, tty: bool) -> str:
    """Return the content type of a stream."""
    return RAW_STREAM if tty or call.version < (1, 42) else MULTIPLEXED_STREAM


def framed(send: Callable[[bytes], object], tty: bool, wanted: frozenset[int]) -> Callable[[int, bytes], None]:
    """Return a function that sends pieces of the wanted streams, with headers unless `tty`."""

    def emit(stream: int, data: bytes) -> None:
        if data and stream in wanted:
            send(data if tty else _HEADER.pack(stream, len(data)) + data)

    return emit


def _wanted(call: Call) -> frozenset[int]:
    return frozenset(stream for name, stream in (("stdout", STDOUT), ("stderr", STDERR)) if call.truth(name))


def logs(call: Call) -> None:
    """GET /containers/{id}/logs"""
    record, wanted = call.container(), _wanted(call)
    if not wanted:
        raise bad_parameter("Bad parameters: you must choose at least one stream")
    try:
        since, until = parse_moment(call.text("since", "0")), parse_moment(call.text("until", "0"))
    except ValueError:
        raise bad_parameter(f"invalid value of since or until: {call.text('since')} {call.text('until')}") from None
    tail = call.text("tail", "all")
    count = int(tail) if tail.isdigit() else None
    stamps, tty = call.truth("timestamps"), record.config.tty
    with call.exchange.stream(kind_of(call, tty)) as body:
        emit = framed(body.write, tty, wanted)
        lines = iter_log(
            record, since_ns=since, until_ns=until or None, tail=count, follow=call.truth("follow"),
            stop=call.exchange.client_left,
        )  # fmt: skip
        for line in lines:
            emit(line.stream, (full_nano(line.time_ns).encode() + b" " if stamps else b"") + line.data)


def _check_attachable(record: ContainerRecord) -> None:
    if status_of(record).kind == "paused":
        raise conflict(f"Container {record.id} is paused. Unpause the container before attach")


def _keys(call: Call) -> bytes:
    try:
        return parse_keys(call.text("detachKeys"))
    except BadKeys as error:
        raise bad_parameter(str(error)) from None


def attach(call: Call) -> None:
    """POST /containers/{id}/attach"""
    record, keys = call.container(), _keys(call)
    _check_attachable(record)
    tty = record.config.tty
    takes = call.truth("stdin") and record.config.stdin and call.truth("stream")
    record.note("attach")
    # Before the answer: a client starts the program when it has that, and output from then on is its own.
    attachment = Attachment(
        record, lambda stream, data: emit(stream, data), logs=call.truth("logs"), keys=keys if tty else b""
    )
    with contextlib.closing(attachment):
        client, early = call.exchange.take_over(kind_of(call, tty))
        emit = framed(client.sendall, tty, _wanted(call))
        if takes:
            attachment.take_input(client.fileno(), early)
        with contextlib.suppress(OSError):
            attachment.run(follow=call.truth("stream"), hangup=client.fileno())
    with contextlib.suppress(OSError):
        client.shutdown(socket.SHUT_RDWR)


def attach_websocket(call: Call) -> None:
    """GET /containers/{id}/attach/ws"""
    from rootlay.cli.api.websocket import accept

    record, keys = call.container(), _keys(call)
    _check_attachable(record)
    wanted = _wanted(call) or frozenset({STDOUT, STDERR})
    record.note("attach")
    attachment = Attachment(
        record, lambda stream, data: emit(stream, data), logs=call.truth("logs"),
        keys=keys if record.config.tty else b"",
    )  # fmt: skip
    with contextlib.closing(attachment), accept(call.exchange) as link:
        emit = framed(link.send, True, wanted)
        if record.config.stdin:
            attachment.take_input(link.input)
        with contextlib.suppress(OSError):
            attachment.run(follow=True, hangup=call.exchange.connection.client.fileno())


def resize(call: Call) -> Reply:
    """POST /containers/{id}/resize"""
    record, (rows, columns) = call.container(), terminal_size(call)
    if not is_running(record):
        raise conflict(f"Container {record.id} is not running")
    if not resize_terminal(record.state().pid, rows, columns):
        raise ApiError(500, "the process has no terminal")
    record.note("resize", height=str(rows), width=str(columns))
    return Reply(200)


def terminal_size(call: Call) -> tuple[int, int]:
    """Return the numbers of rows and columns that a client wants. Raises ApiError."""
    rows, columns = call.query["h"], call.query["w"]
    if rows is None or columns is None or not (0 <= rows < 1 << 16 and 0 <= columns < 1 << 16):
        raise bad_parameter("h and w are numbers of rows and columns")
    return rows, columns
