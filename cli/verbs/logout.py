"""`rootlay logout`: remove the login of a registry."""

from __future__ import annotations

from rootlay.cli.registryoptions import REGISTRY_OPTIONS, settings_of
from rootlay.cli.spec import Argument, Context, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.store.registry.login import logout, parse_domain

    domain = parse_domain(values.text("host"))
    known = logout(domain, settings_of(values, context))
    context.out.line(f"Removed the login for {domain}" if known else f"Not logged in to {domain}")
    return 0


VERB = Verb(
    name="logout",
    help="Log out of a registry.",
    action=action,
    options=REGISTRY_OPTIONS,
    arguments=(Argument("host", "Registry (default: Docker Hub).", required=False),),
)
