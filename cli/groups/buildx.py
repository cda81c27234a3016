"""`rootlay buildx`: the names of docker buildx. There is one builder: rootlay itself."""

from __future__ import annotations

from rootlay.cli.docker.options import LIST_FORMAT
from rootlay.cli.groups.builder import VERBS as BUILDER
from rootlay.cli.groups.imagetools import VERB as IMAGETOOLS
from rootlay.cli.spec import Argument, Context, Option, UsageError, Values, Verb
from rootlay.cli.subverbs import make_group
from rootlay.cli.verbs.bake import VERB as BAKE
from rootlay.store.model.value import replace

_ONE = "there is one builder, rootlay itself, without a daemon; leave it out, or use the builder `default`"
_NAME = "default"


def _list(values: Values, context: Context) -> int:
    from rootlay.cli.docker.table import Listing, print_rows
    from rootlay.store.model.platform import host_platform

    titles = {"Name": "NAME/NODE", "DriverEndpoint": "DRIVER/ENDPOINT", "Status": "STATUS", "Platforms": "PLATFORMS"}
    columns = r"{{.Name}}\t{{.DriverEndpoint}}\t{{.Status}}\t{{.Platforms}}"
    row = {
        "Name": _NAME,
        "DriverEndpoint": "rootlay",
        "Status": "running",
        "Platforms": str(host_platform()),
        "Current": True,
    }
    print_rows(context, Listing("*buildx.lsContext", titles, columns, "{{.Name}}"), [row], values.text("format"))
    return 0


def _inspect(values: Values, context: Context) -> int:
    from rootlay.store.model.platform import host_platform

    if (values.text("name") or _NAME) != _NAME:
        raise UsageError(f"buildx inspect {values.text('name')}: no builder of that name: {_ONE}")
    lines = (f"Name:   {_NAME}", "Driver: rootlay", "", "Nodes:", f"Name:      {_NAME}", "Endpoint:  rootlay")
    context.out.lines((*lines, "Status:    running", f"Platforms: {host_platform()}"))
    return 0


def _use(values: Values, context: Context) -> int:
    if values.required("name") != _NAME:
        raise UsageError(f"buildx use {values.required('name')}: no builder of that name: {_ONE}")
    return 0


def _version(values: Values, context: Context) -> int:
    from importlib.metadata import version

    context.out.line(f"rootlay buildx v{version('rootlay')}")
    return 0


def _refuse(verb: str, reason: str = _ONE) -> Verb:
    def action(values: Values, context: Context) -> int:
        raise UsageError(f"buildx {verb}: {reason}")

    words = Argument("words", "Ignored.", required=False, many=True)
    return Verb(verb, f"Refused: {reason}.", action, (), (words,), passes_on=True)


VERBS = (
    BAKE,
    *(replace(verb) for verb in BUILDER),
    Verb("ls", "List builders: there is one.", _list, (LIST_FORMAT,)),
    Verb(
        "inspect",
        "Show the builder.",
        _inspect,
        (Option(("--bootstrap",), "flag", "Start it.", accepted="it needs no start"),),
        (Argument("name", "Builder.", required=False),),
    ),
    Verb(
        "use",
        "Use the builder `default`.",
        _use,
        (
            Option(("--default",), "flag", "Make it the default.", accepted="it always is"),
            Option(("--global",), "flag", "In every context.", accepted="there is one context"),
        ),
        (Argument("name", "Builder."),),
    ),
    Verb("version", "Show the version.", _version),
    _refuse("create"),
    _refuse("rm"),
    _refuse("stop"),
    _refuse("dial-stdio"),
    _refuse("history", "builds are not recorded; the steps of an image are in `rootlay history`"),
    IMAGETOOLS,
    _refuse("install", "`rootlay docker-link DIR` makes a `docker` command"),
    _refuse("uninstall", "`rootlay docker-link DIR` makes a `docker` command; remove it with rm"),
)
VERB = make_group("buildx", "Builds", VERBS, {"build": "build"})
