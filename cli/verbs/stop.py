"""`rootlay stop`: end a container's programs."""

from __future__ import annotations

import os
import signal
import time

from rootlay.cli.several import each
from rootlay.cli.spec import Argument, Context, Option, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.store.containers.containers import Containers
    from rootlay.store.model.errors import StillRunning

    patience = values.number("timeout")

    def stop(name: str) -> None:
        record = Containers(context.root).find(name)
        path = os.path.realpath(record.path)
        if not stop_container(path, record.state().pid, 10 if patience is None else patience):
            raise StillRunning(record.name)
        context.out.line(name)

    return each(values.many("container"), stop, context, "stop")


def stop_container(path: str, main_pid: int, patience_s: float) -> bool:
    """Send SIGTERM to the main program, and SIGKILL to all that is left of the container after the patience.

    Returns whether nothing is left.
    """
    from rootlay.vfs.run.killing import kill_guests
    from rootlay.vfs.run.processes import is_guest, iter_guests, signal_guest

    deadline = time.monotonic() + patience_s
    targets = {main_pid} if is_guest(path, main_pid) else set(iter_guests(path)) if patience_s else set()
    for pid in targets:
        signal_guest(path, pid, signal.SIGTERM)
    while (targets := {pid for pid in targets if is_guest(path, pid)}) and time.monotonic() < deadline:
        time.sleep(0.02)
    return kill_guests(path)


VERB = Verb(
    name="stop",
    help="Stop containers: SIGTERM to the main program, then SIGKILL to all remaining programs.",
    action=action,
    options=(
        Option(("-t", "--time", "--timeout"), "int", "Seconds to wait before SIGKILL (default: 10).", "SECONDS"),
        Option(("-s", "--signal"), "text", "Not built yet.", refused="it is not built yet; leave it out"),
    ),
    arguments=(Argument("container", "Name or ID.", many=True),),
)
