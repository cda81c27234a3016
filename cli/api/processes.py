"""The processes of a container: `top` and `stats`."""

from __future__ import annotations

import time
from typing import Any

from rootlay.cli.api.call import Call
from rootlay.cli.api.errors import conflict
from rootlay.vfs.docker.containers import status_of
from rootlay.vfs.docker.usage import process_table, usage_json
from rootlay.vfs.run.processes import list_guests

_INTERVAL_S = 1.0


def top(call: Call) -> dict[str, Any]:
    """GET /containers/{id}/top"""
    record = call.container()
    if not status_of(record).running:
        raise conflict(f"container {record.id} is not running")
    pids = [guest.pid for guest in list_guests(record.real_path)]
    titles, rows = process_table(pids, call.text("ps_args") or "-ef")
    record.note("top")
    return {"Titles": titles, "Processes": rows}


def stats(call: Call) -> None:
    """GET /containers/{id}/stats"""
    record = call.container()
    stream = call.truth("stream", True)
    before: dict[str, Any] = {}
    client = call.exchange.connection.client.fileno()
    if not stream and not call.truth("one-shot"):
        before = usage_json(record, {})
        time.sleep(_INTERVAL_S)
    with call.exchange.stream() as body:
        while True:
            now = usage_json(record, before)
            body.send(now)
            if not stream or not record.path.exists():
                return
            before = now
            if _client_left_within(call, client):
                return


def _client_left_within(call: Call, client: int) -> bool:
    import select

    poll = select.poll()
    poll.register(client, select.POLLIN)
    return bool(poll.poll(_INTERVAL_S * 1000)) and call.exchange.client_left()
