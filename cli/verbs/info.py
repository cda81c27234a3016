"""`rootlay info`: what the store holds and what the machine can do, in Docker's form."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rootlay.cli.docker.options import FORMAT
from rootlay.cli.spec import Context, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.cli.docker.ask import ask
    from rootlay.cli.docker.client import client_info

    found = ask(context, "GET", "/info")
    found["ClientInfo"] = client_info(ask(context, "GET", "/version"), context.environ)
    given = values.text("format")
    if given:
        from rootlay.cli.docker.inspected import INFO, execute
        from rootlay.cli.docker.table import parse
        from rootlay.cli.template.values import to_json

        text = to_json(found) if given == "json" else execute(parse(given), found, INFO)
        context.out.formatted(text + "\n")
        return 0
    context.out.lines(_lines(found))
    return 0


def _lines(found: dict[str, Any]) -> Iterator[str]:
    from rootlay.cli.docker.units import binary_size

    yield from ("Client:", f" Context:    {found['ClientInfo']['Context']}", " Debug Mode: false", "", "Server:")
    yield f" Containers: {found['Containers']}"
    for name in ("Running", "Paused", "Stopped"):
        yield f"  {name}: {found[f'Containers{name}']}"
    yield f" Images: {found['Images']}"
    yield f" Server Version: {found['ServerVersion']}"
    yield f" Storage Driver: {found['Driver']}"
    yield from (f"  {name}: {text}" for name, text in found["DriverStatus"])
    yield f" Logging Driver: {found['LoggingDriver']}"
    yield f" Cgroup Driver: {found['CgroupDriver']}"
    yield " Plugins:"
    yield from (f"  {kind}: {' '.join(found['Plugins'][kind])}" for kind in ("Volume", "Network", "Log"))
    yield f" Swarm: {found['Swarm']['LocalNodeState']}"
    yield f" Runtimes: {' '.join(sorted(found['Runtimes']))}"
    yield f" Default Runtime: {found['DefaultRuntime']}"
    yield " Security Options:"
    for option in found["SecurityOptions"]:
        name, _, more = option.removeprefix("name=").partition(",")
        yield f"  {name}"
        yield from (
            f"   {part.partition('=')[0].title()}: {part.partition('=')[2]}" for part in more.split(",") if part
        )
    yield f" Kernel Version: {found['KernelVersion']}"
    yield f" Operating System: {found['OperatingSystem']}"
    yield f" OSType: {found['OSType']}"
    yield f" Architecture: {found['Architecture']}"
    yield f" CPUs: {found['NCPU']}"
    yield f" Total Memory: {binary_size(found['MemTotal'])}"
    yield f" Name: {found['Name']}"
    yield f" ID: {found['ID']}"
    yield f" Docker Root Dir: {found['DockerRootDir']}"
    for name, key in (("HTTP Proxy", "HttpProxy"), ("HTTPS Proxy", "HttpsProxy"), ("No Proxy", "NoProxy")):
        if found[key]:
            yield f" {name}: {found[key]}"
    yield " Insecure Registries:"
    yield from (f"  {text}" for text in found["RegistryConfig"]["InsecureRegistryCIDRs"])


VERB = Verb("info", "Show what the store holds, and what this machine can do.", action, (FORMAT,))
