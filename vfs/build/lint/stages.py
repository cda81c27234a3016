"""The rules about FROM and the names of stages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from rootlay.store.model.errors import BadReference
from rootlay.store.model.reference import Reference
from rootlay.vfs.build.language.dockerfile import Dockerfile, Stage
from rootlay.vfs.build.language.errors import BadValue
from rootlay.vfs.build.language.lexer import Lexer
from rootlay.vfs.build.lint.finding import Finding, find
from rootlay.vfs.build.lint.variables import near, used

_RESERVED = ("scratch", "context")
_PLATFORMS = frozenset(
    f"{side}{part}" for side in ("BUILD", "TARGET") for part in ("PLATFORM", "OS", "ARCH", "VARIANT", "OSVERSION")
)


def check_stages(dockerfile: Dockerfile) -> Iterator[Finding]:
    """Yield what is wrong with the FROMs."""
    arguments = {pair.key: pair.value for arg in dockerfile.args for pair in arg.pairs}
    names: set[str] = set()
    for stage in dockerfile.stages:
        yield from _check_name(stage, names)
        yield from _check_platform(stage)
        yield from _check_arguments(stage, arguments, dockerfile)


def _check_name(stage: Stage, names: set[str]) -> Iterator[Finding]:
    source = stage.base.source
    words = source.text.split()
    if stage.name is None or len(words) < 3:
        return
    keyword, written = words[-2], words[-1]
    if written != written.lower():
        yield find("StageNameCasing", f"Stage name '{written}' should be lowercase", source)
    if (words[0] == words[0].upper()) != (keyword == keyword.upper()):
        yield find("FromAsCasing", f"'{keyword}' and '{words[0]}' keywords' casing do not match", source)
    if stage.name in _RESERVED:
        message = f'Stage name should not use the same name as reserved stage "{stage.name}"'
        yield find("ReservedStageName", message, source)
    if stage.name in names:
        message = f'Duplicate stage name "{written}", stage names should be unique'
        yield find("DuplicateStageName", message, source)
    names.add(stage.name)


def _check_platform(stage: Stage) -> Iterator[Finding]:
    platform, source = stage.base.platform, stage.base.source
    if platform is None:
        return
    if platform in ("$TARGETPLATFORM", "${TARGETPLATFORM}"):
        message = f"Setting platform to predefined {platform} in FROM is redundant as this is the default behavior"
        yield find("RedundantTargetPlatform", message, source)
    elif "$" not in platform:
        message = f'FROM --platform flag should not use constant value "{platform}"'
        yield find("FromPlatformFlagConstDisallowed", message, source)


def _check_arguments(stage: Stage, arguments: Mapping[str, str | None], dockerfile: Dockerfile) -> Iterator[Finding]:
    known = {*arguments, *_PLATFORMS, "TARGETSTAGE"}
    texts = (stage.base.image, stage.base.platform or "")
    names = [name for text in texts for name in used(text)]
    for name in names:
        if name not in known:
            yield find(
                "UndefinedArgInFrom", f"FROM argument '{name}' is not declared{near(name, known)}", stage.base.source
            )
    if not used(stage.base.image) or not known.issuperset(names):
        return
    values = {key: text or "" for key, text in arguments.items()}
    try:
        image = Lexer(dockerfile.directives.get("escape", "\\")).word(stage.base.image, values)
        Reference.parse(image)
    except (BadValue, BadReference):
        if not re.search(r"\$\{\w+:[-+?]", stage.base.image):
            message = f"Default value for ARG {stage.base.image} results in empty or invalid base image name"
            yield find("InvalidDefaultArgInFrom", message, stage.base.source)
