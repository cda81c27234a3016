"""`rootlay context`: there is one context, `default`: the store."""

from __future__ import annotations

from collections.abc import Callable

from rootlay.cli.docker.options import FORMAT, LIST_FORMAT, QUIET
from rootlay.cli.spec import Argument, Context, Option, UsageError, Values, Verb
from rootlay.cli.subverbs import make_group

NAME = "default"
_ONE = "rootlay has one context, the store; choose another store with --root DIR or ROOTLAY_ROOT"


def _list(values: Values, context: Context) -> int:
    from rootlay.cli.docker.table import Listing, print_rows

    titles = {
        "Name": "NAME",
        "Description": "DESCRIPTION",
        "DockerEndpoint": "DOCKER ENDPOINT",
        "Error": "ERROR",
    }
    columns = r"{{.Name}}{{if .Current}} *{{end}}\t{{.Description}}\t{{.DockerEndpoint}}\t{{.Error}}"
    row = {
        "Name": NAME,
        "Description": "The store of rootlay",
        "DockerEndpoint": _endpoint(context),
        "Current": True,
        "Error": "",
    }
    listing = Listing("*formatter.clientContextContext", titles, columns, "{{.Name}}")
    print_rows(context, listing, [row], values.text("format"), quiet=values.flag("quiet"))
    return 0


def _endpoint(context: Context) -> str:
    return context.environ.get("DOCKER_HOST") or f"file://{context.root}"


def _show(values: Values, context: Context) -> int:
    del values
    context.out.line(NAME)
    return 0


def _require(names: tuple[str, ...]) -> None:
    for name in names:
        if name != NAME:
            raise UsageError(f"context {name!r} does not exist: {_ONE}")


def _inspect(values: Values, context: Context) -> int:
    from rootlay.cli.docker.table import print_inspected

    _require(values.many("name"))
    document = {
        "Name": NAME,
        "Metadata": {},
        "Endpoints": {"docker": {"Host": _endpoint(context), "SkipTLSVerify": False}},
        "TLSMaterial": {},
        "Storage": {"MetadataPath": str(context.root), "TLSPath": "<IN MEMORY>"},
    }
    print_inspected(context, [document], values.text("format"))
    return 0


def _use(values: Values, context: Context) -> int:
    _require((values.required("name"),))
    context.out.line(NAME)
    return 0


def _refuse(verb: str) -> Callable[[Values, Context], int]:
    def action(values: Values, context: Context) -> int:
        raise UsageError(f"context {verb}: {_ONE}")

    return action


_NAME = Argument("name", "Name of the context.", required=False)
_SETTINGS = (
    Option(("--description",), "text", "Description of the context.", "TEXT", accepted=_ONE),
    Option(("--docker",), "many", "Endpoint of the context.", "KEY=VALUE", accepted=_ONE),
)
VERBS = (
    Verb("ls", "List contexts: there is one.", _list, (LIST_FORMAT, QUIET)),
    Verb("show", "Show the name of the current context.", _show),
    Verb(
        "inspect",
        "Show details of the context.",
        _inspect,
        (FORMAT,),
        (Argument("name", "Contexts.", required=False, many=True),),
    ),
    Verb("use", "Use the context `default`.", _use, (), (Argument("name", "Name of the context."),)),
    Verb(
        "create",
        "Refused: there is one context.",
        _refuse("create"),
        (*_SETTINGS, Option(("--from",), "text", "Context to copy.", "NAME", accepted=_ONE)),
        (_NAME,),
    ),
    Verb("update", "Refused: there is one context.", _refuse("update"), _SETTINGS, (_NAME,)),
    Verb(
        "rm",
        "Refused: there is one context.",
        _refuse("rm"),
        (Option(("-f", "--force"), "flag", "Remove the current context, too.", accepted=_ONE),),
        (Argument("name", "Contexts.", required=False, many=True),),
    ),
    Verb(
        "export",
        "Refused: there is one context.",
        _refuse("export"),
        (),
        (_NAME, Argument("file", "File.", required=False)),
    ),
    Verb(
        "import",
        "Refused: there is one context.",
        _refuse("import"),
        (),
        (_NAME, Argument("file", "File.", required=False)),
    ),
)

VERB = make_group("context", "Contexts", VERBS)
