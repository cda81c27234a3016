"""`rootlay login`: log in to a registry. The password is read from standard input or the terminal, never from an
argument: other users' `ps` and the shell's history would show that."""

from __future__ import annotations

import sys

from rootlay.cli.registryoptions import REGISTRY_OPTIONS, settings_of
from rootlay.cli.spec import Argument, Context, Option, UsageError, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.store.registry.credential import Credential
    from rootlay.store.registry.login import login, parse_domain

    domain = parse_domain(values.text("host"))
    settings = settings_of(values, context)
    user = values.text("username")
    if values.flag("password_stdin"):
        if not user:
            raise UsageError("--password-stdin needs -u USER")
        password = _line_of_input()
    else:
        if not sys.stdin.isatty():
            raise UsageError("there is no terminal to read the password from: use --password-stdin")
        import getpass

        if not user:
            context.out.drawn("Username: ")
            user = _line_of_input().strip()
        try:
            password = getpass.getpass()
        except EOFError:
            password = ""
    if not password or not user:
        raise UsageError("give a user name and a password")
    where = login(domain, Credential(user, password), settings)
    context.out.line(f"Logged in to {domain}; kept in {where}")
    return 0


def _line_of_input() -> str:
    try:
        return sys.stdin.buffer.readline().decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise UsageError("standard input: not UTF-8 text") from None


VERB = Verb(
    name="login",
    help=(
        "Log in to a registry. The login is verified, then stored where docker, podman and skopeo "
        "also look: with the credential helper in ~/.docker/config.json, or in that file (mode "
        "0600, not encrypted)."
    ),
    action=action,
    options=(
        Option(("-u", "--username"), "text", "User name (default: prompt).", "USER"),
        Option(("--password-stdin",), "flag", "Read the password from standard input."),
        Option(
            ("-p", "--password"),
            "text",
            "Password.",
            "PASSWORD",
            refused="other users' `ps` and the shell's history would show it; use --password-stdin",
        ),
        *REGISTRY_OPTIONS,
    ),
    arguments=(Argument("host", "Registry (default: Docker Hub).", required=False),),
    examples=("pass registry | rootlay login -u me --password-stdin registry.example",),
)
