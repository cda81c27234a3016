"""Changes to the config of an image as Dockerfile instructions: `commit --change` and `import --change`.

Source: moby, builder/dockerfile/builder.go (BuildFromConfig): the instructions that change only the config.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable

from rootlay.store.model.errors import BadManifest
from rootlay.store.model.imageconfig import ImageConfig, RunConfig
from rootlay.store.model.value import replace
from rootlay.vfs.build.language.errors import BadDockerfile
from rootlay.vfs.build.language.expand import expand
from rootlay.vfs.build.language.instruction import Cmd, Instruction, Workdir
from rootlay.vfs.build.language.parser import parse_instructions
from rootlay.vfs.build.language.scope import GlobalScope, Scope
from rootlay.vfs.build.result.configure import configure, words_of

_ALLOWED = "CMD ENTRYPOINT ENV EXPOSE HEALTHCHECK LABEL ONBUILD STOPSIGNAL USER VOLUME WORKDIR".split()


def apply_changes(config: RunConfig, changes: Iterable[str]) -> RunConfig:
    """Apply instructions in order.

    Raises:
        BadManifest: an instruction that is unknown, malformed, or changes more than the config; the message names it.
    """
    has_cmd = False
    for change in changes:
        try:
            found = parse_instructions(change, "change")
            if not found:
                raise BadManifest(f"change {change!r}", "write an instruction and its argument, such as `CMD bash`")
            for instruction in found:
                config = _applied(config, instruction, has_cmd)
                has_cmd = has_cmd or isinstance(instruction, Cmd)
        except BadDockerfile as error:
            raise BadManifest(f"change {change!r}", f"{error.instruction or 'instruction'}: {error.reason}") from None
    return config


def _applied(config: RunConfig, instruction: Instruction, has_cmd: bool) -> RunConfig:
    if instruction.keyword not in _ALLOWED:
        reason = f"is not a valid change command; use one of {', '.join(_ALLOWED)}"
        raise BadDockerfile("change", None, instruction.keyword, reason)
    env = dict(entry.partition("=")[::2] for entry in config.env)
    instruction = expand(instruction, Scope(GlobalScope({}, {}), env, env))
    if isinstance(instruction, Workdir):
        return replace(
            config, working_dir=posixpath.normpath(posixpath.join(config.working_dir or "/", instruction.path))
        )
    if isinstance(instruction, Cmd):
        return replace(config, cmd=words_of(instruction.command, config))
    image = configure(ImageConfig("", "", config=config), instruction, cmd_is_own=has_cmd)
    return config if image is None else image.config
