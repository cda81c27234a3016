"""The effect of instructions on the image config: pure functions from one config to the next.

Source: moby/buildkit, frontend/dockerfile/dockerfile2llb/convert.go, with the same results, member by member.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from rootlay.store.model.imageconfig import ImageConfig, RunConfig
from rootlay.store.model.value import replace
from rootlay.vfs.build.language.instruction import (
    Cmd,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Instruction,
    Label,
    Maintainer,
    Onbuild,
    Shell,
    Stopsignal,
    User,
    Volume,
)
from rootlay.vfs.build.language.syntax import Command

T = TypeVar("T", bound=Instruction)
DEFAULT_SHELL = ("/bin/sh", "-c")


def shell_of(config: RunConfig) -> tuple[str, ...]:
    """Return the program that runs shell forms: the config's SHELL, else `/bin/sh -c`."""
    return config.shell or DEFAULT_SHELL


def words_of(command: Command, config: RunConfig) -> tuple[str, ...]:
    """Return the argument vector of a command in either form."""
    return (*shell_of(config), *command.words) if command.shell else command.words


def merge_env(env: Iterable[str], pairs: Mapping[str, str]) -> tuple[str, ...]:
    """Merge `NAME=value` entries: a known name keeps its place, a new one is added at the end."""
    merged = dict(entry.split("=", 1) for entry in env if "=" in entry)
    merged.update(pairs)
    return tuple(f"{name}={value}" for name, value in merged.items())


def configure(image: ImageConfig, instruction: Instruction, *, cmd_is_own: bool = False) -> ImageConfig | None:
    """Return the image config after an instruction that changes nothing else; None for other instructions.

    Args:
        instruction: expanded.
        cmd_is_own: whether a CMD was in this stage before (ENTRYPOINT clears an inherited one).
    """
    if isinstance(instruction, Maintainer):
        return replace(image, author=instruction.name)
    if isinstance(instruction, Entrypoint):
        words = words_of(instruction.command, image.config)
        cmd = image.config.cmd if cmd_is_own else None
        return replace(image, config=replace(image.config, entrypoint=words, cmd=cmd))
    change = _CHANGES.get(type(instruction))
    return None if change is None else replace(image, config=change(image.config, instruction))


def _cmd(config: RunConfig, instruction: Cmd) -> RunConfig:
    # ArgsEscaped has a meaning on Windows only, but Docker writes it everywhere.
    extra = {**config.extra, "ArgsEscaped": True}
    return replace(config, cmd=words_of(instruction.command, config), extra=extra)


def _env(config: RunConfig, instruction: Env) -> RunConfig:
    return replace(config, env=merge_env(config.env, {pair.key: pair.value or "" for pair in instruction.pairs}))


def _label(config: RunConfig, instruction: Label) -> RunConfig:
    return replace(config, labels={**config.labels, **{pair.key: pair.value or "" for pair in instruction.pairs}})


def _expose(config: RunConfig, instruction: Expose) -> RunConfig:
    return replace(config, exposed_ports=tuple(dict.fromkeys((*config.exposed_ports, *instruction.ports))))


def _volume(config: RunConfig, instruction: Volume) -> RunConfig:
    return replace(config, volumes=tuple(dict.fromkeys((*config.volumes, *instruction.paths))))


def _user(config: RunConfig, instruction: User) -> RunConfig:
    return replace(config, user=instruction.user)


def _shell(config: RunConfig, instruction: Shell) -> RunConfig:
    return replace(config, shell=instruction.words)


def _stopsignal(config: RunConfig, instruction: Stopsignal) -> RunConfig:
    return replace(config, stop_signal=instruction.signal)


def _onbuild(config: RunConfig, instruction: Onbuild) -> RunConfig:
    triggers = [*(config.extra.get("OnBuild") or ()), instruction.trigger]
    return replace(config, extra={**config.extra, "OnBuild": triggers})


def _healthcheck(config: RunConfig, instruction: Healthcheck) -> RunConfig:
    return replace(config, extra={**config.extra, "Healthcheck": health_of(instruction)})


def health_of(instruction: Healthcheck) -> dict[str, Any]:
    """Return the config's `Healthcheck` member; times in ns."""
    command = instruction.command
    if command is None:
        return {"Test": ["NONE"]}
    # The image's current shell runs CMD-SHELL: SHELL is not put in front of it.
    found: dict[str, Any] = {"Test": ["CMD-SHELL" if command.shell else "CMD", *command.words]}
    numbers = {
        "Interval": instruction.interval,
        "Timeout": instruction.timeout,
        "StartPeriod": instruction.start_period,
        "StartInterval": instruction.start_interval,
        "Retries": instruction.retries,
    }
    return {**found, **{name: number for name, number in numbers.items() if number}}


def triggers_of(config: RunConfig) -> tuple[str, ...]:
    """Return the ONBUILD triggers of an image for the builds on top of it."""
    return tuple(config.extra.get("OnBuild") or ())


def without_triggers(config: RunConfig) -> RunConfig:
    """Return the config for the start of an image on top: the base's own ONBUILDs are not inherited further."""
    return replace(config, extra={name: item for name, item in config.extra.items() if name != "OnBuild"})


_CHANGES: dict[type[Instruction], Callable[[RunConfig, Any], RunConfig]] = {
    Cmd: _cmd,
    Env: _env,
    Label: _label,
    Expose: _expose,
    Volume: _volume,
    User: _user,
    Shell: _shell,
    Stopsignal: _stopsignal,
    Onbuild: _onbuild,
    Healthcheck: _healthcheck,
}
