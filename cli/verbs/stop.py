"""`rootlay stop`: end a container's programs."""

from __future__ import annotations

import contextlib
import os
import signal
import time

from rootlay.cli.several import each
from rootlay.cli.spec import Argument, Context, Option, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.store.container import Containers

    patience = values.number("time")

    def stop(name: str) -> None:
        record = Containers(context.root).find(name)
        stop_container(os.path.realpath(record.path), record.state().pid, 10 if patience is None else patience)
        context.out.line(name)

    return each(values.many("container"), stop, context, "stop")


def stop_container(path: str, main_pid: int, patience_s: float) -> None:
    """SIGTERM to the main program, SIGKILL to all that is left of the container after the patience."""
    from rootlay.vfs.run.processes import iter_guests, kill_guests

    guests = set(iter_guests(path))
    targets = {main_pid} & guests or guests
    for pid in targets:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + patience_s
    while targets & set(iter_guests(path)) and time.monotonic() < deadline:
        time.sleep(0.02)
    kill_guests(path)


VERB = Verb(
    name="stop",
    help="Stop containers: SIGTERM to the main program, and SIGKILL to whatever is left after a while.",
    action=action,
    options=(Option(("-t", "--time"), "int", "Seconds to wait before killing (10).", "SECONDS"),),
    arguments=(Argument("container", "Name or ID.", many=True),),
)
