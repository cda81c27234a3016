"""The options of wrapped commands, and whether those of a directory have them already."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from rootlay.store.containers.record import Bind, ContainerConfig
from rootlay.store.model.value import value
from rootlay.vfs.run.program import merge_env
from rootlay.vfs.wrap.settings import BELOW_DIRECTORY, HIDDEN, Settings

OF_EACH_START = frozenset({"HOSTNAME", "HOME"})
"""Variables that `-e NAME` alone does not set: they are the caller's at each start."""
SHOWN = ("home", "tmp", "cwd")


@value
class WrapOptions:
    """What the commands of a directory share.

    `upper` is shared (the default), private or throw-away; `network` host (the default) or none; `confine` auto (the
    default), require or off. If they are empty, further commands of a directory have those that its commands have.

    `home`, `tmp`, `cwd`: the user's home, /tmp and the working directory are visible inside at the same paths.
    """

    image: str
    upper: str = ""
    relocatable: bool = False
    env: tuple[str, ...] = ()
    user: str | None = None
    working_dir: str | None = None
    binds: tuple[Bind, ...] = ()
    home: bool = True
    tmp: bool = True
    cwd: bool = True
    network: str = ""
    confine: str = ""


def iter_missing(
    options: WrapOptions, settings: Settings, config: ContainerConfig, environ: Mapping[str, str]
) -> Iterator[str]:
    """Yield the options, as on a command line, that commands with these settings and this container do not have."""
    if options.upper not in ("", settings.first("upper")):
        yield f"--upper {options.upper}"
    if options.relocatable and not settings.first("root").startswith(f"{os.fsdecode(BELOW_DIRECTORY)}/{HIDDEN}/"):
        yield "--relocatable"
    known = {text for key, text in settings.pairs if key == "env"}
    without_value = OF_EACH_START - {text.partition("=")[0] for text in options.env if "=" in text}
    for text in merge_env((), options.env, environ):
        if text not in known and text.partition("=")[0] not in without_value:
            yield f"-e {text}"
    if options.user not in (None, config.user):
        yield f"-u {options.user}"
    if options.working_dir not in (None, config.working_dir):
        yield f"-w {options.working_dir}"
    for bind in options.binds:
        if bind not in config.binds:
            yield f"-v {bind.host}:{bind.target}{':ro' if bind.read_only else ''}"
    for name in SHOWN:
        if settings.first(name) and not getattr(options, name):
            yield f"--no-{name}"
    for name, found in (("network", config.network), ("confine", config.confine)):
        if getattr(options, name) not in ("", found):
            yield f"--{name} {getattr(options, name)}"
