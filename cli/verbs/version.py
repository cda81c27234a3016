"""`rootlay version`: the versions of rootlay, and of the Docker API that it speaks, in Docker's form."""

from __future__ import annotations

from typing import Any

from rootlay.cli.docker.options import FORMAT
from rootlay.cli.spec import Context, Values, Verb

_TABLE = """\
{{with .Client -}}
Client:
 Version:\t{{.Version}}
 API version:\t{{.APIVersion}}
 Go version:\t{{.GoVersion}}
 Git commit:\t{{.GitCommit}}
 Built:\t{{.BuildTime}}
 OS/Arch:\t{{.Os}}/{{.Arch}}
 Context:\t{{.Context}}
{{- end}}
{{with .Server}}
Server: {{.Platform.Name}}
 {{range .Components -}}
 {{.Name}}:
  Version:\t{{.Version}}
  {{range $key, $value := .Details -}}
  {{$key}}:\t{{$value}}
  {{end}}
 {{- end}}
{{- end}}"""


def action(values: Values, context: Context) -> int:
    from rootlay.cli.docker.ask import ask
    from rootlay.cli.docker.client import BUILT, context_name
    from rootlay.cli.docker.table import parse
    from rootlay.cli.template.errors import TemplateError
    from rootlay.cli.template.tabwriter import align
    from rootlay.cli.template.values import Struct, to_json

    server = ask(context, "GET", "/version")
    client = {
        "Platform": server["Platform"],
        "Version": server["Version"],
        "ApiVersion": server["ApiVersion"],
        "DefaultAPIVersion": server["ApiVersion"],
        **{name: server[name] for name in BUILT},
        "Context": context_name(context.environ),
    }
    given = values.text("format")
    if given == "json":
        context.out.formatted(to_json({"Client": client, "Server": server}) + "\n")
        return 0
    data = Struct("formatter.VersionInfo", {"Client": _struct(client), "Server": _struct(server)})
    template = parse(given.replace("\\t", "\t").replace("\\n", "\n") if given else _TABLE)
    try:
        text = template.execute(data)
    except TemplateError as error:
        from rootlay.cli.spec import UsageError

        raise UsageError(f"template parsing error: {error}") from None
    if given:
        context.out.formatted(text + "\n")
    else:
        context.out.lines(align(text))
    return 0


def _struct(document: dict[str, Any]) -> Any:
    """Return a version as Go's struct: `ApiVersion` of the JSON is its field APIVersion."""
    from rootlay.cli.template.values import Struct

    names = {"ApiVersion": "APIVersion", "MinAPIVersion": "MinAPIVersion"}
    left_out = {"Experimental": False}  # by JSON
    return Struct(
        "types.Version", left_out | {names.get(name, name): item for name, item in document.items()}, document
    )


VERB = Verb(
    name="version",
    help="Show the versions of rootlay and of the Docker API that it speaks.",
    action=action,
    options=(FORMAT,),
    examples=('rootlay version --format "{{.Server.Version}}"',),
)
