"""`rootlay attach`: connect to a container's main program."""

from __future__ import annotations

from rootlay.cli.container.programoptions import SIG_PROXY
from rootlay.cli.spec import Argument, Context, Option, Values, Verb

KEYS = Option(("--detach-keys",), "text", "Keys that detach from the container (default: ctrl-p,ctrl-q).", "KEYS")


def action(values: Values, context: Context) -> int:
    from rootlay.cli.container.attaching import Client, detach_keys
    from rootlay.store.containers.containers import Containers
    from rootlay.vfs.lifecycle.status import require_running

    record = Containers(context.root).find(values.required("container"))
    keys = detach_keys(values.text("detach_keys"))
    require_running(record, monitored=True)
    sig_proxy = values.flag("sig_proxy") and not record.config.tty
    client = Client(record, stdin=not values.flag("no_stdin"), keys=keys, sig_proxy=sig_proxy)
    return client.run()


VERB = Verb(
    name="attach",
    help="Attach the standard streams to a running container: its output from now on, and its input.",
    action=action,
    options=(KEYS, Option(("--no-stdin",), "flag", "Do not pass standard input on."), SIG_PROXY),
    arguments=(Argument("container", "Name or ID."),),
    exits="The program's exit code; 0 after the detach keys.",
)
