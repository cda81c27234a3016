"""`rootlay mcp`: a sandbox for agents, by the Model Context Protocol."""

from __future__ import annotations

from rootlay.cli.spec import Argument, Context, Option, UsageError, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.vfs.api.store import Store
    from rootlay.vfs.sandbox.sandbox import Sandbox

    try:
        import mcp  # noqa: F401 -- before anything is made
    except ImportError as error:
        raise UsageError("mcp needs the MCP SDK: install rootlay[mcp]") from error
    from rootlay.cli.mcp.server import make_server

    interpreter = values.required("interpreter")
    if interpreter not in ("shell", "python"):
        raise UsageError(f"--interpreter {interpreter[:40]}: expected shell or python")
    image = Store(context.root).image(values.required("image"))
    setup = ["sh", "-c", values.required("setup")] if values.text("setup") else None
    with Sandbox(
        image, setup=setup, network=values.required("network"), confine=values.required("confine"), pool=0
    ) as sandbox:  # fmt: skip
        server, sessions = make_server(sandbox, interpreter)
        try:
            server.run("stdio")
        finally:
            sessions.close()
    return 0


VERB = Verb(
    name="mcp",
    help="Serve a sandbox of an image to agents: an MCP server with the tools run, read, write, diff, snapshot, "
    "rollback and fork, on standard input and output.",
    action=action,
    options=(
        Option(("--interpreter",), "text", "Interpreter of `run`: shell or python.", "NAME", default="shell"),
        Option(("--setup",), "text", "Shell command that prepares the container first.", "COMMAND"),
        Option(("--network",), "text", "none or host.", "MODE", default="none"),
        Option(("--confine",), "text", "require, auto or off, as for run.", "MODE", default="require"),
    ),
    arguments=(Argument("image", "Image."),),
    examples=("rootlay mcp debian", "rootlay mcp --interpreter python python:3.13"),
)
