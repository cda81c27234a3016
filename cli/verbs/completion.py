"""`rootlay completion`: print the script that completes command lines in a shell."""

from __future__ import annotations

from rootlay.cli.spec import Argument, Context, Option, UsageError, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.cli.completion.scripts import SCRIPTS

    shell = values.required("shell")
    if shell not in SCRIPTS:
        raise UsageError(f"completion {shell[:40]}: expected one of {', '.join(sorted(SCRIPTS))}")
    name = "docker" if "ROOTLAY_AS_DOCKER" in context.environ else "rootlay"
    context.out.formatted(SCRIPTS[shell].replace("@NAME@", name))
    return 0


VERB = Verb(
    name="completion",
    help="Print the script that completes verbs, options, and names of containers and images in a shell.",
    action=action,
    options=(Option(("--no-descriptions",), "flag", "Leave out descriptions.", accepted="the scripts show none"),),
    arguments=(Argument("shell", "bash, zsh or fish."),),
    examples=(
        "source <(rootlay completion bash)",
        "rootlay completion fish > ~/.config/fish/completions/rootlay.fish",
    ),
)
