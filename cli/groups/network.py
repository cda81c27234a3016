"""`rootlay network`: networks as records of names (rootlay.store.networks.networks)."""

from __future__ import annotations

from typing import Any

from rootlay.cli.docker.options import FILTER, FORCE, FORMAT, LIST_FORMAT, NO_TRUNC, PRUNE_FILTER, QUIET
from rootlay.cli.docker.pruning import prune_verb
from rootlay.cli.groups.volume import pairs_of
from rootlay.cli.several import each
from rootlay.cli.spec import Argument, Context, Kind, Option, Values, Verb
from rootlay.cli.subverbs import make_group
from rootlay.cli.verbs.inspect import inspect_all

_NO_SWARM = "rootlay has no swarm; leave it out"
_RECORDED = "it is recorded and shown; containers have addresses of 127.64.0.0/10, and there are no interfaces"


def _create(values: Values, context: Context) -> int:
    from rootlay.cli.docker.ask import ask

    body = {
        "Name": values.required("network"),
        "Driver": values.text("driver"),
        "Labels": pairs_of(values.many("label")),
        "Options": pairs_of(values.many("opt")),
        "Internal": values.flag("internal"),
        "Attachable": values.flag("attachable"),
        "EnableIPv6": values.flag("ipv6"),
        "IPAM": {"Driver": values.text("ipam_driver"), "Config": _subnets(values)},
    }
    context.out.line(ask(context, "POST", "/networks/create", body)["Id"])
    return 0


def _subnets(values: Values) -> list[dict[str, Any]]:
    """Return Docker's IPAM configuration: a range and a gateway for each subnet, in their order."""
    names = (("subnet", "Subnet"), ("ip_range", "IPRange"), ("gateway", "Gateway"))
    lists = [[(key, text) for text in values.many(name)] for name, key in names]
    count = max(map(len, lists))
    return [dict(each[number] for each in lists if number < len(each)) for number in range(count)]


def _connect(values: Values, context: Context) -> int:
    from rootlay.cli.docker.ask import ask, path_of

    config = {
        "IPAMConfig": {"IPv4Address": values.text("ip") or "", "IPv6Address": values.text("ip6") or ""},
        "Links": list(values.many("link")),
        "Aliases": list(values.many("alias")),
        "DriverOpts": pairs_of(values.many("driver_opt")),
    }
    body = {"Container": values.required("container"), "EndpointConfig": config}
    ask(context, "POST", path_of("networks", values.required("network"), "/connect"), body)
    return 0


def _disconnect(values: Values, context: Context) -> int:
    from rootlay.cli.docker.ask import ask, path_of

    body = {"Container": values.required("container"), "Force": values.flag("force")}
    ask(context, "POST", path_of("networks", values.required("network"), "/disconnect"), body)
    return 0


def _list(values: Values, context: Context) -> int:
    from rootlay.cli.docker.ask import ask, filters_of
    from rootlay.cli.docker.rows import NETWORKS, network_rows
    from rootlay.cli.docker.table import natural, print_rows

    found = ask(context, "GET", "/networks", filters=filters_of(values.many("filter")))
    named = sorted(found, key=lambda each: natural(each["Name"]))
    rows = network_rows(named, trunc=not values.flag("no_trunc"))
    print_rows(context, NETWORKS, rows, values.text("format"), quiet=values.flag("quiet"))
    return 0


def _inspect(values: Values, context: Context) -> int:
    return inspect_all(values, context, ("network",))


def _remove(values: Values, context: Context) -> int:
    from rootlay.cli.docker.ask import ask, path_of
    from rootlay.store.networks.networks import UnknownNetwork

    def remove(name: str) -> None:
        try:
            ask(context, "DELETE", path_of("networks", name))
        except UnknownNetwork:
            if not values.flag("force"):
                raise
            return
        context.out.line(name)

    return each(values.many("network"), remove, context, "network rm")


def _prune(values: Values, context: Context) -> int:
    warning = "This will remove all custom networks not used by at least one container."
    return prune_verb(context, values, "networks", warning)


def _recorded(flags: tuple[str, ...], kind: Kind, text: str, metavar: str = "", default: Any = None) -> Option:
    return Option(flags, kind, text, metavar, default, accepted=_RECORDED)


_NETWORK = Argument("network", "Name or ID of the network.")
_CONTAINER = Argument("container", "Name or ID of the container.")
VERBS = (
    Verb(
        "create",
        "Create a network: its members find each other by name.",
        _create,
        (
            Option(("-d", "--driver"), "text", "Driver: bridge.", "DRIVER", default="bridge"),
            Option(("--label",), "many", "Label the network.", "KEY=VALUE"),
            _recorded(("-o", "--opt"), "many", "Options of the driver.", "KEY=VALUE"),
            _recorded(("--attachable",), "flag", "Allow containers to be attached."),
            Option(("--internal",), "flag", "Localhost inside is never the machine's."),
            _recorded(("--ipv4",), "flag", "IPv4 addresses (default: true).", default=True),
            _recorded(("--ipv6",), "flag", "IPv6 addresses."),
            _recorded(("--subnet",), "many", "Subnet.", "CIDR"),
            _recorded(("--ip-range",), "many", "Range of addresses.", "CIDR"),
            _recorded(("--gateway",), "many", "Gateway.", "ADDRESS"),
            _recorded(("--aux-address",), "many", "Addresses of other devices.", "NAME=ADDRESS"),
            Option(
                ("--ipam-driver",), "text", "Driver of addresses: default.", "DRIVER", "default",
                accepted=_RECORDED, refused="there is only the driver default", takes=("default",),
            ),
            _recorded(("--ipam-opt",), "many", "Options of that driver.", "KEY=VALUE"),
            Option(("--config-from",), "text", "Network to copy the configuration from.", "NETWORK", refused=_NO_SWARM),
            Option(("--config-only",), "flag", "Create a configuration only.", refused=_NO_SWARM),
            Option(("--ingress",), "flag", "Create the ingress network of a swarm.", refused=_NO_SWARM),
            Option(("--scope",), "text", "Scope: local.", "SCOPE", refused=_NO_SWARM, takes=("local",)),
        ),
        (_NETWORK,),
    ),
    Verb(
        "connect",
        "Connect a container to a network.",
        _connect,
        (
            Option(("--alias",), "many", "Another name of the container in the network.", "NAME"),
            Option(("--link",), "many", "Add a name of another container.", "CONTAINER:NAME"),
            Option(("--ip",), "text", "IPv4 address, of 127.64.0.0/10.", "ADDRESS"),
            _recorded(("--ip6",), "text", "IPv6 address.", "ADDRESS"),
            _recorded(("--link-local-ip",), "many", "Link-local address.", "ADDRESS"),
            _recorded(("--driver-opt",), "many", "Options of the driver.", "KEY=VALUE"),
            _recorded(("--gw-priority",), "int", "Priority of the gateway.", "N"),
        ),
        (_NETWORK, _CONTAINER),
    ),
    Verb(
        "disconnect",
        "Disconnect a container from a network.",
        _disconnect,
        (Option(("-f", "--force"), "flag", "Force it.", accepted="a container can always be disconnected"),),
        (_NETWORK, _CONTAINER),
    ),
    Verb("ls", "List networks.", _list, (FILTER, LIST_FORMAT, NO_TRUNC, QUIET)),
    Verb(
        "inspect",
        "Show details of networks as JSON.",
        _inspect,
        (FORMAT, Option(("-v", "--verbose"), "flag", "More details.", accepted="there is no more to show")),
        (Argument("name", "Networks.", many=True),),
    ),
    Verb(
        "rm",
        "Remove networks.",
        _remove,
        (Option(("-f", "--force"), "flag", "Do not fail for missing networks."),),
        (Argument("network", "Networks.", many=True),),
    ),
    Verb("prune", "Remove networks without a container.", _prune, (PRUNE_FILTER, FORCE)),
)  # fmt: skip

VERB = make_group("network", "Networks", VERBS)
