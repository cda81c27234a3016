"""`rootlay kernel`: Jupyter kernels that run in an image.

A kernel is a directory with a `kernel.json`, which Jupyter finds by itself. Ours start `rootlay kernel start`, a
`run --rm` with two more binds: the directory of the notebook, and that of Jupyter's connection file. The kernel listens
on the addresses of this file: a container without a network of its own has the host's.
Specification: jupyter_client, "Making kernels for Jupyter" (kernel specs).
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from rootlay.cli.listing import Column, print_table
from rootlay.cli.several import each
from rootlay.cli.spec import Argument, Context, Option, UsageError, Values, Verb
from rootlay.cli.subverbs import make_group

SPEC = "kernel.json"
CONNECTION = "{connection_file}"
COMMAND = ("python3", "-m", "ipykernel_launcher", "-f", CONNECTION)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
PREFIX = Option(
    ("--prefix",), "text", "Below DIR/share/jupyter (default: Jupyter's directory of the user).", "DIR"
)  # fmt: skip


def directory(values: Values, context: Context) -> Path:
    """Return the directory that has the kernels, as jupyter_core finds it."""
    if prefix := values.text("prefix"):
        return Path(prefix, "share/jupyter/kernels")
    environ = context.environ
    if given := environ.get("JUPYTER_DATA_DIR"):
        return Path(given, "kernels")
    data = environ.get("XDG_DATA_HOME") or Path(environ.get("HOME") or Path.home(), ".local/share")
    return Path(data, "jupyter/kernels")


def iter_kernels(kernels: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return our kernels with their specs, by name."""
    found = []
    for file in sorted(kernels.glob(f"*/{SPEC}")):
        try:
            spec = json.loads(file.read_text("utf-8"))
            if "rootlay" in spec["metadata"]:
                found.append((file.parent.name, spec))
        except (OSError, ValueError, TypeError, KeyError):
            continue  # another program's
    return found


def _install(values: Values, context: Context) -> int:
    from rootlay.store.disk.durable import replace_file

    image, command = values.required("image"), values.many("command")
    name = values.text("name") or re.sub(r"[^A-Za-z0-9._-]+", "-", f"rootlay-{image}").strip("-").lower()
    if not NAME.fullmatch(name):
        raise UsageError(f"--name {name}: letters, digits, dots, dashes and underscores only")
    if command and not any(CONNECTION in word for word in command):
        raise UsageError(f"the command lacks {CONNECTION}, which Jupyter replaces by the path of the connection file")
    options = [f"--volume={bind}" for bind in values.many("volume")] + [f"--env={e}" for e in values.many("env")]
    if not command:
        _require_ipykernel(image, options, context)
    start = [sys.executable, "-P", "-m", "rootlay.cli.entry"]
    start += ["--root", os.path.abspath(context.root), "kernel", "start"]
    spec = {
        "argv": [*start, *options, f"--connection-file={CONNECTION}", image, *(command or COMMAND)],
        "display_name": values.text("display_name") or f"Python in {image} (rootlay)",
        "language": values.text("language") or "python",
        "interrupt_mode": "signal",
        "metadata": {"rootlay": {"image": image, "root": os.path.abspath(context.root)}},
    }
    place = directory(values, context) / name
    if place.exists() and name not in dict(iter_kernels(place.parent)):
        raise UsageError(f"--name {name}: {place} is a kernel that rootlay has not made: choose another --name")
    place.mkdir(parents=True, exist_ok=True)
    replace_file(place / SPEC, (json.dumps(spec, indent=1) + "\n").encode())
    context.out.line(f"{name}: {place}")
    return 0


def _require_ipykernel(image: str, options: list[str], context: Context) -> None:
    """Raise UsageError if Python in the image cannot import ipykernel. Pulls a missing image, as `run` does."""
    import subprocess

    words = [sys.executable, "-P", "-m", "rootlay.cli.entry"]
    words += ["--root", str(context.root), "run", "--rm", *options, image]
    test = [*words, "python3", "-c", "import ipykernel_launcher"]
    done = subprocess.run(test, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode == 0:
        return
    last = (done.stderr.strip().splitlines() or ["no message"])[-1]
    if done.returncode == 1:  # Python's own
        raise UsageError(
            f"{image}: its python3 has no ipykernel ({last}): add `RUN pip install ipykernel`, or give a command"
        )
    raise UsageError(f"{image}: its python3 does not start: {last.removeprefix('rootlay: ')}")


def _start(values: Values, context: Context) -> int:
    """Run the kernel. Jupyter has made the notebook's directory the current one.

    Jupyter interrupts a kernel's process group, others (VS Code) its process: either must come to the kernel once.
    """
    from rootlay.cli.container.createcommand import make_container
    from rootlay.cli.parse import parse
    from rootlay.cli.runcommand import attach
    from rootlay.cli.verblist import load_verb

    here, connection = os.getcwd(), os.path.abspath(values.required("connection_file"))
    binds = dict.fromkeys([here] if here != "/" else [])
    if not os.path.dirname(connection).startswith(here.rstrip("/") + "/"):
        binds[os.path.dirname(connection)] = None
    mounts = [word for path in binds for word in ("--mount", f"type=bind,source={path},target={path}")]
    given = [f"--volume={bind}" for bind in values.many("volume")] + [f"--env={e}" for e in values.many("env")]
    words = ["--rm", "--workdir", here, *mounts, *given, values.required("image"), *values.many("command")]
    record = make_container(parse(load_verb("run"), words), context, to_run=True)
    return attach(record, trace=None, patch=True, own_group=True)


def _list(values: Values, context: Context) -> int:
    rows = [
        {"name": name, "image": spec["metadata"]["rootlay"].get("image", ""), "display_name": spec.get("display_name")}
        for name, spec in iter_kernels(directory(values, context))
    ]
    columns = (
        Column("KERNEL", lambda row: row["name"]),
        Column("IMAGE", lambda row: row["image"]),
        Column("DISPLAY NAME", lambda row: str(row["display_name"])),
    )
    print_table(context, rows, columns, as_json=values.flag("json"))
    return 0


def _remove(values: Values, context: Context) -> int:
    import shutil

    kernels = directory(values, context)

    def remove(name: str) -> None:
        if name not in dict(iter_kernels(kernels)):
            raise UsageError(f"{name}: {kernels} has no kernel of rootlay with this name: see `rootlay kernel list`")
        shutil.rmtree(kernels / name)
        context.out.line(name)

    return each(values.many("kernel"), remove, context, "kernel remove")


BINDS = (
    Option(("-v", "--volume"), "many", "Bind or volume of the container, as for `run`.", "SOURCE:TARGET"),
    Option(("-e", "--env"), "many", "Environment variable, as for `run`.", "KEY=VALUE"),
)
COMMAND_ARGUMENT = Argument(
    "command", f"Command of the kernel (default: {' '.join(COMMAND)}).", required=False, many=True
)
VERBS = (
    Verb(
        "install",
        "Make a Jupyter kernel that runs in an image, in a new container each time. The notebook's directory is bound.",
        _install,
        (
            Option(("--name",), "text", "Name of the kernel (default: made from the image's).", "NAME"),
            Option(("--display-name",), "text", "Name that Jupyter shows.", "TEXT"),
            Option(("--language",), "text", "Language of the kernel (default: python).", "NAME"),
            *BINDS,
            PREFIX,
        ),
        (Argument("image", "Image name or ID, or `host`."), COMMAND_ARGUMENT),
        passes_on=True,
        examples=("rootlay kernel install data-science:1", "rootlay kernel install --name scratch host"),
    ),
    Verb(
        "start",
        "Run a kernel: what the kernel's file calls.",
        _start,
        (Option(("--connection-file",), "text", "Jupyter's connection file.", "FILE"), *BINDS),
        (Argument("image", "Image name or ID, or `host`."), COMMAND_ARGUMENT),
        passes_on=True,
    ),
    Verb("list", "List the kernels of rootlay.", _list, (Option(("--json",), "flag", "As JSON."), PREFIX)),
    Verb(
        "remove",
        "Remove kernels of rootlay.",
        _remove,
        (PREFIX,),
        (Argument("kernel", "Names of kernels.", many=True),),
    ),
)
VERB = make_group("kernel", "Jupyter kernels in images", VERBS)
