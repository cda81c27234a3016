"""The rules about the instructions of a stage."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from rootlay.vfs.build.language import instruction as tree
from rootlay.vfs.build.language.dockerfile import Dockerfile, Stage
from rootlay.vfs.build.language.words import split_keyword
from rootlay.vfs.build.lint.finding import Finding, find
from rootlay.vfs.build.lint.variables import near, used

EnvironmentOf = Callable[[str], "frozenset[str] | None"]
"""The names of the variables of a base image; None if they are not known."""
Ignored = Callable[[str], bool]
"""Whether .dockerignore leaves out a path of the context."""

_ONCE = (tree.Cmd, tree.Entrypoint, tree.Healthcheck)
_SECRET = re.compile(r"(?:.+_)?(?:apikey|auth|credential|credentials|key|password|pword|passwd|secret|token)(?:_.+)?$")
_PUBLIC = re.compile(r"(?:.*_)?public(?:_.*)?$")
_PREDEFINED = frozenset(
    f"{side}{part}" for side in ("BUILD", "TARGET") for part in ("PLATFORM", "OS", "ARCH", "VARIANT", "OSVERSION")
) | frozenset(
    name for each in ("http", "https", "ftp", "no", "all") for name in (f"{each}_proxy", f"{each}_PROXY".upper())
)
_EXPANDED = (tree.Label, tree.Env, tree.Copy, tree.Add, tree.User, tree.Workdir, tree.Expose, tree.Volume,
             tree.Stopsignal)  # fmt: skip


def check_instructions(dockerfile: Dockerfile, environment_of: EnvironmentOf, ignored: Ignored) -> Iterator[Finding]:
    """Yield what is wrong with the instructions of all stages."""
    environments: dict[str, frozenset[str] | None] = {}
    absolute: dict[str, bool] = {}
    for stage in dockerfile.stages:
        base = stage.base.image.lower()
        known = environments[base] if base in environments else environment_of(stage.base.image)
        names, is_absolute = set(known or ()), absolute.get(base, False)
        for each in stage.instructions:
            yield from _check_one(each, ignored)
            if known is not None and isinstance(each, _EXPANDED):
                yield from _check_variables(each, names)
            names |= _defined(each)
            if isinstance(each, tree.Workdir):
                if not each.path.startswith(("/", "$")) and not is_absolute:
                    message = f'Relative workdir "{each.path}" can have unexpected results if the base image changes'
                    yield find("WorkdirRelativePath", message, each.source)
                is_absolute = True
        yield from _check_repeated(stage)
        if stage.name:
            environments[stage.name] = None if known is None else frozenset(names)
            absolute[stage.name] = is_absolute


def _check_one(each: tree.Instruction, ignored: Ignored) -> Iterator[Finding]:
    source = each.source
    if isinstance(each, tree.Maintainer):
        yield find("MaintainerDeprecated", "Maintainer instruction is deprecated in favor of using label", source)
    elif isinstance(each, tree.Cmd | tree.Entrypoint):
        if each.command.shell:
            message = (
                f"JSON arguments recommended for {each.keyword} to prevent unintended behavior related to OS signals"
            )
            yield find("JSONArgsRecommended", message, source)
    elif isinstance(each, tree.Env | tree.Label | tree.Arg):
        yield from _check_pairs(each)
    elif isinstance(each, tree.Expose):
        yield from _check_ports(each)
    elif isinstance(each, tree.Copy | tree.Add) and not (isinstance(each, tree.Copy) and each.from_):
        for path in each.paths:
            if ignored(path):
                message = f'Attempting to {each.keyword.title()} file "{path}" that is excluded by .dockerignore'
                yield find("CopyIgnoredFile", message, source)


def _check_pairs(each: tree.Env | tree.Label | tree.Arg) -> Iterator[Finding]:
    _, _, rest = split_keyword(each.source.text)
    first = rest.split(maxsplit=1)[0] if rest.split() else ""
    if isinstance(each, tree.Env | tree.Label) and "=" not in first:
        message = f'"{each.keyword} key=value" should be used instead of legacy "{each.keyword} key value" format'
        yield find("LegacyKeyValueFormat", message, each.source)
    for pair in each.pairs if isinstance(each, tree.Env | tree.Arg) else ():
        name = pair.key.lower()
        if _SECRET.fullmatch(name) and not _PUBLIC.fullmatch(name):
            message = f'Do not use ARG or ENV instructions for sensitive data ({each.keyword} "{pair.key}")'
            yield find("SecretsUsedInArgOrEnv", message, each.source)


def _check_ports(each: tree.Expose) -> Iterator[Finding]:
    for text in each.ports:
        protocol = text.rpartition("/")[2] if "/" in text else ""
        if protocol != protocol.lower():
            message = f"Defined protocol '{text}' in EXPOSE instruction should be lowercase"
            yield find("ExposeProtoCasing", message, each.source)
        if ":" in text and "$" not in text:
            message = f"EXPOSE instruction should not define an IP address or host-port mapping, found '{text}'"
            yield find("ExposeInvalidFormat", message, each.source)


def _check_variables(each: tree.Instruction, names: set[str]) -> Iterator[Finding]:
    rest = split_keyword(each.source.text)[2]
    for name in dict.fromkeys(used(rest)):
        if name not in names and name not in _PREDEFINED:
            hint = near(name, names).replace("mean ", "mean $")
            yield find("UndefinedVar", f"Usage of undefined variable '${name}'{hint}", each.source)


def _defined(each: tree.Instruction) -> set[str]:
    return {pair.key for pair in each.pairs} if isinstance(each, tree.Env | tree.Arg) else set()


def _check_repeated(stage: Stage) -> Iterator[Finding]:
    for kind in _ONCE:
        found = [each for each in stage.instructions if isinstance(each, kind)]
        for each in found[:-1]:
            message = (
                f"Multiple {kind.keyword} instructions should not be used in the same stage because only the last "
                "one will be used"
            )
            yield find("MultipleInstructionsDisallowed", message, each.source)


def check_casing(dockerfile: Dockerfile) -> Iterator[Finding]:
    """Yield the keywords in the other case than most, and empty continuation lines."""
    everything = [*dockerfile.args]
    instructions: list[tree.Instruction] = [*everything]
    for stage in dockerfile.stages:
        instructions += [stage.base, *stage.instructions]
    words = [each.source.text.split(maxsplit=1)[0] for each in instructions]
    upper = sum(word == word.upper() for word in words)
    is_upper = upper >= sum(word == word.lower() for word in words)
    for word, each in zip(words, instructions, strict=True):
        if word != (word.upper() if is_upper else word.lower()):
            kind = "uppercase" if is_upper else "lowercase"
            message = f"Command '{word}' should match the case of the command majority ({kind})"
            yield find("ConsistentInstructionCasing", message, each.source)
        if each.source.gap is not None:
            yield Finding("NoEmptyContinuation", "Empty continuation line", each.source.gap, each.source.gap)
