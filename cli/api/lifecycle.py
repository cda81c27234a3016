"""Start, stop and wait of containers."""

from __future__ import annotations

from typing import Any

from rootlay.cli.api.call import NO_CONTENT, Call, Reply
from rootlay.cli.api.errors import ApiError, bad_parameter, conflict, not_started
from rootlay.store.containers.record import ContainerRecord
from rootlay.vfs.docker.containers import status_of
from rootlay.vfs.lifecycle.pause import pause_container, unpause_container
from rootlay.vfs.lifecycle.start import start_container
from rootlay.vfs.lifecycle.stop import kill_container, stop_container
from rootlay.vfs.run.program import NotStarted
from rootlay.vfs.run.status import EndWait
from rootlay.vfs.settings.signals import BadSignal, parse_signal


def start(call: Call) -> Reply:
    """POST /containers/{id}/start"""
    record = call.container()
    status = status_of(record)
    if status.kind == "paused":
        raise conflict("cannot start a paused container, try unpause instead")
    if status.running:
        return Reply(304)
    start_record(record)
    return NO_CONTENT


def start_record(record: ContainerRecord) -> None:
    """Start the main program of a container. Raises ApiError with the text that clients make exit codes of."""
    try:
        start_container(record)
    except NotStarted as error:
        raise ApiError(
            400 if error.run_code in (126, 127) else 500,
            "failed to create task for container: failed to create shim task: OCI runtime create failed: runc "
            f"create failed: unable to start container process: {not_started(record, record.config.argv[0], error)}",
        ) from None


def stop(call: Call) -> Reply:
    """POST /containers/{id}/stop"""
    record = call.container()
    if not status_of(record).running:
        return Reply(304)
    _stop(call, record)
    return NO_CONTENT


def restart(call: Call) -> Reply:
    """POST /containers/{id}/restart"""
    record = call.container()
    if status_of(record).running:
        _stop(call, record)
    start_record(record)
    record.note("restart")
    return NO_CONTENT


def _stop(call: Call, record: ContainerRecord) -> None:
    text = call.text("signal")
    stop_container(record, patience_s=call.query["t"], signal_number=parse_signal(text) if text else None)


def kill(call: Call) -> Reply:
    """POST /containers/{id}/kill"""
    record = call.container()
    try:
        number = parse_signal(call.text("signal") or "KILL")
    except BadSignal:
        raise bad_parameter(
            f"cannot kill container: {call.names['id']}: invalid signal: {call.text('signal')}"
        ) from None
    if not status_of(record).running:
        raise conflict(f"cannot kill container: {call.names['id']}: container {record.id} is not running")
    kill_container(record, number)
    return NO_CONTENT


def pause(call: Call) -> Reply:
    """POST /containers/{id}/pause"""
    record = call.container()
    status = status_of(record)
    if not status.running:
        raise conflict(f"Container {record.id} is not running")
    if status.kind == "paused":
        raise conflict(f"Container {record.id} is already paused")
    pause_container(record)
    return NO_CONTENT


def unpause(call: Call) -> Reply:
    """POST /containers/{id}/unpause"""
    record = call.container()
    if status_of(record).kind != "paused":
        raise ApiError(409 if status_of(record).running else 500, f"Container {record.id} is not paused")
    unpause_container(record)
    return NO_CONTENT


def wait(call: Call) -> None:
    """POST /containers/{id}/wait: the head of the answer is sent before the wait, because clients start after it."""
    record = call.container()
    condition = call.text("condition") or "not-running"
    if condition not in ("not-running", "next-exit", "removed"):
        raise bad_parameter(f"invalid condition: {condition!r}")
    found = EndWait(record)
    try:
        with call.exchange.stream() as body:
            code = {"not-running": found.not_running, "next-exit": found.next_exit, "removed": found.removed}[
                condition
            ](call.exchange.client_left)
            answer: dict[str, Any] = {"StatusCode": code}
            body.send(answer)
    finally:
        found.close()
