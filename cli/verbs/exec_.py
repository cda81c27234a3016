"""`rootlay exec`: run one more program in a container. Unlike with Docker, the container need not be running."""

from __future__ import annotations

import os

from rootlay.cli.container.programoptions import CONFINE, confine_mode, env_files, variables, working_directory
from rootlay.cli.runcommand import run_extra, start_session
from rootlay.cli.spec import Argument, Context, Option, UsageError, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.store.containers.containers import Containers
    from rootlay.vfs.run.program import container_reader, make_program, merge_env

    record = Containers(context.root).find(values.required("container"))
    confine = confine_mode(values)
    words = values.many("command")
    words = words[1:] if words[0] == "--" else words
    if not words:
        raise UsageError("a program is needed: rootlay exec [OPTIONS] CONTAINER PROGRAM [ARGUMENT…]")
    directory = working_directory(values)
    if directory is not None:
        from rootlay.vfs.containers.mounted import require_directory

        require_directory(record, directory)
    program = make_program(
        record,
        container_reader(record),
        argv=words,
        env=dict(
            entry.split("=", 1) for entry in merge_env((), (*env_files(values), *variables(values)), context.environ)
        ),
        cwd=directory,
        user=values.text("user"),
        tty=values.flag("tty"),
    )
    if values.flag("detach"):
        if os.fork():
            return 0
        os.setsid()
    if values.flag("interactive") and values.flag("tty") and os.isatty(0) and not values.flag("detach"):
        from rootlay.cli.container.execterminal import run_on_terminal

        session = start_session(record, trace=values.text("trace"), patch=True, confine=confine, joins=True)
        return run_on_terminal(session, program, values.text("detach_keys"))
    return run_extra(
        record,
        program,
        stdin=values.flag("interactive"),
        tty=values.flag("tty"),
        trace=values.text("trace"),
        patch=True,
        confine=confine,
    )


VERB = Verb(
    name="exec",
    help="Run a command in a container. The container may be stopped.",
    action=action,
    options=(
        Option(("-i", "--interactive"), "flag", "Keep standard input open."),
        Option(("-t", "--tty"), "flag", "Allocate a pseudo-terminal."),
        Option(("-d", "--detach"), "flag", "Run in the background."),
        Option(("-e", "--env"), "many", "Set an environment variable.", "NAME[=VALUE]"),
        Option(("-w", "--workdir"), "text", "Working directory inside.", "DIR"),
        Option(("-u", "--user"), "text", "User inside.", "NAME|UID[:GROUP|GID]"),
        Option(("--trace",), "text", "Log each remapped system call to this file; - for standard error.", "FILE"),
        CONFINE,
        Option(("--env-file",), "many", "Read environment variables from a file, one NAME=VALUE per line.", "FILE"),
        Option(
            ("--privileged",),
            "flag",
            "Extended privileges.",
            accepted="programs have the rights of the user who runs rootlay",
        ),
        Option(
            ("--detach-keys",),
            "text",
            "With -it: keys that detach from the program (default: ctrl-p,ctrl-q).",
            "KEYS",
        ),
    ),
    arguments=(Argument("container", "Name or ID."), Argument("command", "Command and its arguments.", many=True)),
    passes_on=True,
    exits=(
        "The program's exit code; 128 + n if signal n ended it; 127, 126 and 125 as for run; 0 after the detach keys."
    ),
)
