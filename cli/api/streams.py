"""Streams of containers: logs, attach by a taken-over connection or by WebSocket, and the size of terminals.

Docker's format for programs without a terminal: each piece has a header of 8 bytes, the stream in the first and the
length as a big-endian number in the last four. With a terminal the bytes are raw.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterator

from rootlay.cli.api.call import Call, Reply
from rootlay.cli.api.errors import ApiError, bad_parameter, conflict
from rootlay.cli.api.exchange import MULTIPLEXED_STREAM, RAW_STREAM
from rootlay.store.containers.record import ContainerRecord
from rootlay.vfs.docker.containers import status_of
from rootlay.vfs.docker.times import full_nano, parse_moment
from rootlay.vfs.run.attachment import Attachment, BadKeys, parse_keys
from rootlay.vfs.run.containerlog import STDERR, STDOUT, Lines, LogReader, Piece, has_writer
from rootlay.vfs.run.status import is_running
from rootlay.vfs.run.terminal import resize_terminal
from rootlay.vfs.run.watching import Watch

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
    stamps, follow = call.truth("timestamps"), call.truth("follow")
    tty = record.config.tty
    with call.exchange.stream(kind_of(call, tty)) as body:
        emit = framed(body.write, tty, wanted)
        for line in _lines(call, record, count, follow):
            if line.time_ns < since or line.stream not in wanted:
                continue
            if until and line.time_ns > until:
                break
            emit(line.stream, (full_nano(line.time_ns).encode() + b" " if stamps else b"") + line.data)


def _lines(call: Call, record: ContainerRecord, count: int | None, follow: bool) -> Iterator[Piece]:
    """Yield the last `count` lines, and with `follow` all later ones until the program ends or the client leaves."""
    reader, lines = LogReader(record), Lines()
    client = call.exchange.connection.client.fileno()
    with Watch([record.path]) as watch, contextlib.closing(reader):
        runs = follow and (is_running(record) or has_writer(record))
        found = (line for piece in reader.pieces(whole=not runs) for line in lines.add(piece))
        yield from found if count is None else deque(found, count)
        while runs:
            runs = is_running(record) or has_writer(record)
            for piece in reader.pieces(whole=not runs):
                yield from lines.add(piece)
            if runs and watch.wait(1.0, also=[client]) and call.exchange.client_left():
                return
        yield from lines.rest()


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
    client, early = call.exchange.take_over(kind_of(call, tty))
    emit = framed(client.sendall, tty, _wanted(call))
    takes = call.truth("stdin") and record.config.stdin and call.truth("stream")
    attachment = Attachment(
        record, emit, client=client.fileno() if takes else -1, early=early, logs=call.truth("logs"),
        keys=keys if tty else b"",
    )  # fmt: skip
    with contextlib.suppress(OSError), contextlib.closing(attachment):
        attachment.run(follow=call.truth("stream"), hangup=client.fileno())
    with contextlib.suppress(OSError):
        client.shutdown(socket.SHUT_RDWR)


def attach_websocket(call: Call) -> None:
    """GET /containers/{id}/attach/ws"""
    from rootlay.cli.api.websocket import accept

    record, keys = call.container(), _keys(call)
    _check_attachable(record)
    wanted = _wanted(call) or frozenset({STDOUT, STDERR})
    with accept(call.exchange) as link:
        takes = record.config.stdin
        attachment = Attachment(
            record, framed(link.send, True, wanted), client=link.input if takes else -1, logs=call.truth("logs"),
            keys=keys if record.config.tty else b"",
        )  # fmt: skip
        with contextlib.suppress(OSError), contextlib.closing(attachment):
            attachment.run(follow=True, hangup=call.exchange.connection.client.fileno())


def resize(call: Call) -> Reply:
    """POST /containers/{id}/resize"""
    record = call.container()
    if not is_running(record):
        raise conflict(f"Container {record.id} is not running")
    resize_process(call, record.state().pid)
    return Reply(200)


def resize_process(call: Call, pid: int) -> None:
    """Set the size of a process's terminal. Raises ApiError: it has none."""
    rows, columns = call.query["h"], call.query["w"]
    if rows is None or columns is None or not (0 <= rows < 1 << 16 and 0 <= columns < 1 << 16):
        raise bad_parameter("h and w are numbers of rows and columns")
    if not resize_terminal(pid, rows, columns):
        raise ApiError(500, "the process has no terminal")
