"""The history of an image: `created_by` of each instruction in Docker's (BuildKit's) form, and the times of all steps.

BuildKit's own marks are left out: ` # buildkit` at the end, `buildkit.dockerfile.v0` as the comment. Ours is the
comment `rootlay.dockerfile.v0`.
Source: moby/buildkit, frontend/dockerfile/dockerfile2llb/convert.go (commitToHistory and its callers),
exporter/containerimage/writer.go (normalizeLayersAndHistory: times).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from rootlay.store.model.imageconfig import History, RunConfig
from rootlay.store.model.value import replace
from rootlay.vfs.build.language.instruction import (
    Add,
    Arg,
    Cmd,
    Copy,
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
    Workdir,
)
from rootlay.vfs.build.language.syntax import Pair
from rootlay.vfs.build.result.configure import health_of, words_of

COMMENT = "rootlay.dockerfile.v0"
EPOCH = "1970-01-01T00:00:00Z"


def created_by(instruction: Instruction, config: RunConfig) -> str:
    """Return the text for an expanded instruction other than RUN; empty if Docker writes no history (ONBUILD).

    Args:
        config: the config after the instruction.
    """
    if isinstance(instruction, (Copy, Add)):
        return _copy(instruction)
    if isinstance(instruction, (Cmd, Entrypoint)):
        return f"{instruction.keyword} [{_quoted(words_of(instruction.command, config))}]"
    if isinstance(instruction, (Env, Label, Arg)):
        return " ".join((instruction.keyword, *map(_pair, instruction.pairs)))
    if isinstance(instruction, Healthcheck):
        return _health(instruction)
    if isinstance(instruction, Onbuild):
        return ""
    words: Sequence[str] = ()
    if isinstance(instruction, (Expose, Volume, Shell)):
        words = (
            instruction.ports if isinstance(instruction, Expose)
            else instruction.paths if isinstance(instruction, Volume) else instruction.words
        )  # fmt: skip
        return f"{instruction.keyword} [{' '.join(words)}]"
    plain = {Maintainer: "name", User: "user", Workdir: "path", Stopsignal: "signal"}
    return f"{instruction.keyword} {getattr(instruction, plain[type(instruction)])}"


def run_created_by(argv: Sequence[str], args: Iterable[tuple[str, str]]) -> str:
    """Return the text for a RUN: `RUN |1 VERSION=3 /bin/sh -c make`, with the build arguments that it could see."""
    told = [f"{name}={value}" for name, value in args]
    return " ".join(("RUN", *((f"|{len(told)}", *told) if told else ()), *argv))


def _copy(instruction: Copy | Add) -> str:
    words = [instruction.keyword]
    if isinstance(instruction, Copy) and instruction.parents:
        words.append("--parents")
    words += [f"--chown={instruction.chown}"] if instruction.chown else []
    words += [f"--chmod={instruction.chmod}"] if instruction.chmod else []
    words += instruction.paths
    words += [f"<<{file.name}" for file in instruction.files]
    return " ".join((*words, instruction.destination))


def _pair(pair: Pair) -> str:
    return pair.key if pair.value is None else f"{pair.key}={pair.value}"


def _quoted(words: Iterable[str]) -> str:
    return " ".join(json.dumps(word, ensure_ascii=False) for word in words)


def _health(instruction: Healthcheck) -> str:
    """Return Go's `%q` of the struct: texts quoted, durations as `"30s"`, the number of retries as a character."""
    test = _quoted(health_of(instruction)["Test"])
    times = (instruction.interval, instruction.timeout, instruction.start_period, instruction.start_interval)
    shown = " ".join(f'"{go_duration(ns)}"' for ns in times)
    return f"HEALTHCHECK &{{[{test}] {shown} '\\x{instruction.retries:02x}'}}"


def go_duration(ns: int) -> str:
    """Return a duration in Go's notation: `0s`, `1.5s`, `2m0s`, `1h0m0s`, `200ms`."""
    if ns < 1_000_000_000:
        for unit, factor in (("ms", 1_000_000), ("µs", 1000), ("ns", 1)):
            if ns >= factor:
                return f"{ns / factor:g}{unit}"
        return "0s"
    minutes, rest = divmod(ns, 60_000_000_000)
    seconds = f"{rest / 1e9:.9f}".rstrip("0").rstrip(".") + "s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{seconds}" if hours else f"{minutes}m{seconds}" if minutes else seconds


def settle_times(history: Sequence[History], inherited: int) -> tuple[History, ...]:
    """Give steps without a time one: that of the next step with a layer before the first such, of the one before later.

    So a build of cached steps gives the same config, byte for byte. `inherited` steps are the base image's.
    """
    own = history[inherited:]
    known = next((step.created for step in own if step.created), "")
    before = next((step.created for step in reversed(history[:inherited]) if step.created), "")
    current = known or before or EPOCH
    settled = []
    for step in own:
        current = step.created or current
        settled.append(replace(step, created=current))
    return (*history[:inherited], *settled)
