"""`rootlay port`: list the published ports of a container."""

from __future__ import annotations

from rootlay.cli.spec import Argument, Context, UsageError, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.store.containers.containers import Containers
    from rootlay.vfs.run.ports import parse_ports

    record = Containers(context.root).find(values.required("container"))
    wanted = values.text("port")
    if wanted is not None:
        number, _, protocol = wanted.partition("/")
        if not number.isdigit() or protocol not in ("", "tcp", "udp"):
            raise UsageError(f"{wanted[:40]}: expected PORT[/tcp|/udp]")
        wanted = f"{int(number)}/{protocol or 'tcp'}"
    lines = []
    for port in sorted(parse_ports(record.config.ports), key=lambda port: (port.protocol, port.inside)):
        address = f"[{port.address}]" if ":" in port.address else port.address or "0.0.0.0"
        if wanted is None:
            lines.append(f"{port.inside}/{port.protocol} -> {address}:{port.outside}")
        elif wanted == f"{port.inside}/{port.protocol}":
            lines.append(f"{address}:{port.outside}")
    if wanted is not None and not lines:
        context.err.line(f"rootlay: no public port '{wanted}' published for {values.required('container')}")
        return 1
    context.out.lines(lines)
    return 0


VERB = Verb(
    name="port",
    help="List the published ports of a container, or the address of one.",
    action=action,
    arguments=(
        Argument("container", "Name or ID."),
        Argument("port", "PORT[/tcp|/udp] inside.", required=False),
    ),
)
