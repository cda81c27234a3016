"""`rootlay api`: serve the Docker Engine API."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from rootlay.cli.spec import Context, Option, UsageError, Values, Verb
from rootlay.store.model.errors import RootlayError

SOCKET_NAME = "docker.sock"
_START_S = 10.0
_NAME_MAX = 107  # of a UNIX socket


class MissingExtra(RootlayError):
    """The packages of the extra `api` are not installed."""

    exit_code = 81

    def __init__(self, package: str) -> None:
        super().__init__(f"the API needs the package {package}: install it with `pip install 'rootlay[api]'`")
        self.package = package


def action(values: Values, context: Context) -> int:
    try:
        import h11
    except ImportError:
        raise MissingExtra("h11") from None
    del h11
    if values.flag("env"):
        return _start_and_print(values, context)
    return _serve(values, context)


def _serve(values: Values, context: Context) -> int:
    from rootlay.cli.api.server import listen_tcp, listen_unix, serve
    from rootlay.store.store import ImageStore

    ImageStore.open(context.root)
    address = values.text("tcp")
    if address is not None:
        if values.text("socket") is not None:
            raise UsageError("--socket and --tcp: only one of them")
        host, port = _tcp(address)
        listener = listen_tcp(host, port)
        bound = listener.socket.getsockname()
        shown = f"tcp://{host}:{bound[1]}"
    else:
        path = socket_path(values, context)
        listener, shown = listen_unix(path), f"unix://{path}"
    serve(listener, context, lambda: context.out.line(f"DOCKER_HOST={shown}", flush=True))
    return 0


def _tcp(address: str) -> tuple[str, int]:
    """Parse HOST:PORT. Raises UsageError: it is not of this form, or not an address of this machine alone."""
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not port.isdigit() or int(port) > 65535:
        raise UsageError(f"--tcp {address}: expected 127.0.0.1:PORT")
    if not (host.startswith("127.") or host == "::1"):
        raise UsageError(
            f"--tcp {address}: a user that reaches the port can run programs as you: only 127.0.0.1 and ::1 are allowed"
        )
    return host, int(port)


def socket_path(values: Values, context: Context) -> Path:
    """Return the socket: the given one, else that of the store, in the user's runtime directory if there is one; below
    /tmp for a store with a path that is too long."""
    given = values.text("socket")
    if given is not None:
        return Path(os.path.abspath(given.removeprefix("unix://")))
    runtime = context.environ.get("XDG_RUNTIME_DIR")
    if runtime and not context.root_given and os.access(runtime, os.W_OK):
        return Path(runtime) / "rootlay" / SOCKET_NAME
    path = context.root / SOCKET_NAME
    if len(os.fsencode(path)) <= _NAME_MAX:
        return path
    digest = hashlib.sha256(os.fsencode(context.root)).hexdigest()[:12]
    return Path(f"/tmp/rootlay-{os.geteuid()}/{digest}.sock")


def _start_and_print(values: Values, context: Context) -> int:
    """Start a server in the background unless one runs, and print the setting for the shell."""
    if values.text("tcp") is not None:
        raise UsageError("--env: of a UNIX socket only")
    path = socket_path(values, context)
    if not _answers(path):
        command = [sys.executable, "-P", "-m", "rootlay.cli.entry"]
        command += ["--root", str(context.root), "api", "--socket", str(path)]
        log = context.root / "api.log"
        context.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        with log.open("ab") as out:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=out, start_new_session=True
            )
        deadline = time.monotonic() + _START_S
        while not _answers(path):
            if process.poll() is not None or time.monotonic() > deadline:
                context.err.line(f"rootlay: the API does not start: see {log}")
                return 1
            time.sleep(0.02)
    context.out.line(f"export DOCKER_HOST={shlex.quote(f'unix://{path}')}")
    context.out.line("export DOCKER_BUILDKIT=0")  # docker build and docker compose build: ADR 32
    return 0


def _answers(path: Path) -> bool:
    import socket

    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
        probe.connect(str(path))
        return True
    return False


VERB = Verb(
    name="api",
    help=(
        "Serve the Docker Engine API, for docker, docker compose, docker-py and other clients. The server keeps no "
        "state: it may end at any moment, and containers run on."
    ),
    action=action,
    options=(
        Option(("--socket",), "text", "UNIX socket to serve, of mode 0600 (default: of the store).", "PATH"),
        Option(
            ("--tcp",),
            "text",
            "Serve a TCP port instead: every user of this machine can then use it.",
            "127.0.0.1:PORT",
        ),
        Option(
            ("--env",),
            "flag",
            "Start a server in the background unless one runs, and print the variables that docker needs.",
        ),
    ),
    exits="0 success; 80 the address is taken; 81 the extra `rootlay[api]` is not installed.",
    examples=('eval "$(rootlay api --env)"', "rootlay api --socket /tmp/docker.sock"),
)
