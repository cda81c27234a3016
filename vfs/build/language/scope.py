"""The variables that an instruction sees: the scopes of ARG and ENV.

1. The global scope holds the platform arguments, then the ARGs before the first FROM. Only FROM sees it; a stage sees
   one of its variables from an `ARG NAME` without a default on. A stage does not see another's ARGs; a stage that is
   FROM another one inherits only its ENVs.
2. A --build-arg gives the value of an ARG that is declared, instead of its default; it also replaces the platform
   arguments.
3. In a stage, the environment of its base comes first; then each ENV and ARG in order, the later one wins. ENV is also
   stored in the image, ARG is not.
4. The proxy arguments need no ARG: given by --build-arg, each RUN has them in its environment, in both cases of
   letters. They are not variables for expansion, and are not kept.
5. The defaults in one ARG see the pairs before them; the values in one ENV do not.

Source: Dockerfile reference, "ARG", "Scope", "Predefined ARGs", "Automatic platform ARGs in the global scope"; BuildKit
frontend/dockerfile/dockerfile2llb/convert.go (dispatchArg, dispatchEnv, buildMetaArgs).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from rootlay.store.model.manifest import Platform
from rootlay.store.model.value import field, replace, value
from rootlay.vfs.build.language.dockerfile import Dockerfile
from rootlay.vfs.build.language.errors import BadDockerfile, BadValue
from rootlay.vfs.build.language.instruction import Arg, Env, From, Instruction
from rootlay.vfs.build.language.lexer import Lexer

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")


@value
class GlobalScope:
    """The variables that FROM sees.

    Args:
        values: variables by name.
        build_args: the values of --build-arg.
        escape: the Dockerfile's escape character.
    """

    values: Mapping[str, str]
    build_args: Mapping[str, str]
    escape: str = "\\"

    @classmethod
    def of(
        cls,
        dockerfile: Dockerfile,
        build_args: Mapping[str, str],
        *,
        build: Platform,
        target: Platform,
        target_stage: str = "",
    ) -> GlobalScope:
        """Return the global scope of a Dockerfile.

        Args:
            build: the platform the build runs on.
            target: the platform of the image.
            target_stage: the name given with --target, or of the last stage.

        Raises:
            BadDockerfile: a default that cannot be expanded.
        """
        values = _platform_args(build, target, target_stage)
        values.update({name: build_args[name] for name in values if name in build_args})
        lexer = Lexer(dockerfile.directives.get("escape", "\\"))
        for instruction in dockerfile.args:
            for key, given in _values(instruction, values, build_args, lexer):
                if given is not None:
                    values[key] = given
        return cls(MappingProxyType(values), MappingProxyType(dict(build_args)), lexer.escape)

    def expand_from(self, base: From) -> From:
        """Return FROM with its variables replaced. Raises BadDockerfile, also if no image is left."""
        lexer = Lexer(self.escape)
        with_name = replace(base, image=_word(lexer, base, base.image, self.values))
        if not with_name.image:
            raise _bad(base, f"the image is empty: a variable in {base.image!r} has no value")
        if base.platform is None:
            return with_name
        return replace(with_name, platform=_word(lexer, base, base.platform, self.values))

    def stage(self, environment: Iterable[str]) -> Scope:
        """Return the scope at the start of a stage; `environment` is its base's `Env`, as NAME=value."""
        env = dict(entry.partition("=")[::2] for entry in environment)
        return Scope(self, MappingProxyType(env), MappingProxyType(env))

    @property
    def proxies(self) -> dict[str, str]:
        """The proxy variables of each RUN's environment."""
        found = {}
        for name, given in self.build_args.items():
            if name.upper() in PROXIES:
                found[name.upper()] = found[name.lower()] = given
        return found


@value
class Scope:
    """The variables that an instruction of a stage sees.

    Args:
        env: the image's `Env`, in order.
        variables: `env` and the ARGs that have a value: for expansion, and, with `proxies`, a RUN's environment.
        args: the ARGs declared so far, in order, with None for those without a value.
    """

    outer: GlobalScope
    env: Mapping[str, str]
    variables: Mapping[str, str]
    args: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def escape(self) -> str:
        """The Dockerfile's escape character."""
        return self.outer.escape

    def arg_values(self, instruction: Arg) -> list[tuple[str, str | None]]:
        """Return each name of an ARG with its value by rules 1, 2 and 5; None if it has none. Raises BadDockerfile."""
        values = dict(self.variables)
        outer, found = self.outer, []
        for key, given in _values(instruction, values, outer.build_args, Lexer(outer.escape)):
            known = outer.values.get(key) if given is None else given
            if known is not None:
                values[key] = known
            found.append((key, known))
        return found

    def after(self, instruction: Instruction) -> Scope:
        """Return the scope after an expanded instruction: ENV and ARG change it."""
        if isinstance(instruction, Env):
            new = {pair.key: pair.value or "" for pair in instruction.pairs}
            return replace(self, env={**self.env, **new}, variables={**self.variables, **new})
        if isinstance(instruction, Arg):
            pairs = {pair.key: pair.value for pair in instruction.pairs}
            given = {key: value for key, value in pairs.items() if value is not None}
            return replace(self, variables={**self.variables, **given}, args={**self.args, **pairs})
        return self

    @property
    def run_environment(self) -> dict[str, str]:
        """Return the environment of a RUN; a declared variable wins over a proxy of the same name."""
        return {**self.outer.proxies, **self.variables}


def _values(
    instruction: Arg, values: dict[str, str], build_args: Mapping[str, str], lexer: Lexer
) -> Iterable[tuple[str, str | None]]:
    """Yield the values name by name, so that a default sees the caller's additions to `values` for those before."""
    for pair in instruction.pairs:
        if pair.key in build_args:
            yield pair.key, build_args[pair.key]
        elif pair.value is None:
            yield pair.key, None
        else:
            yield pair.key, _word(lexer, instruction, pair.value, values)


def _platform_args(build: Platform, target: Platform, target_stage: str) -> dict[str, str]:
    values = {}
    for prefix, platform in (("BUILD", build), ("TARGET", target)):
        values[f"{prefix}PLATFORM"] = str(platform)
        values[f"{prefix}OS"] = platform.os
        values[f"{prefix}ARCH"] = platform.architecture
        values[f"{prefix}VARIANT"] = platform.variant
        values[f"{prefix}OSVERSION"] = ""
    values["TARGETSTAGE"] = target_stage
    return values


def _word(lexer: Lexer, instruction: Instruction, text: str, variables: Mapping[str, str]) -> str:
    try:
        return lexer.word(text, variables)
    except BadValue as error:
        raise _bad(instruction, error.reason) from None


def _bad(instruction: Instruction, reason: str) -> BadDockerfile:
    return BadDockerfile(instruction.source.file, instruction.source.first_line, instruction.keyword, reason)
