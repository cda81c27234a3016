"""`/build`: classic builds from a tar, and the answer to BuildKit's clients."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rootlay.cli.api.archive import body_file
from rootlay.cli.api.call import Call
from rootlay.cli.api.errors import bad_parameter, not_implemented
from rootlay.cli.api.filters import parse_filters
from rootlay.cli.api.transfer import NO_BUILDKIT, Lines
from rootlay.cli.registryoptions import default_settings
from rootlay.store.model.image import Image
from rootlay.store.model.manifest import Platform
from rootlay.store.model.platform import host_platform, parse_platform
from rootlay.store.model.progress import Progress
from rootlay.store.registry.pull import pull
from rootlay.store.store import ImageStore
from rootlay.vfs.build.build import build as build_image
from rootlay.vfs.build.cache.usage import prune_cache
from rootlay.vfs.build.context.buildcontext import STDIN, Surroundings, open_context
from rootlay.vfs.build.language.parser import parse
from rootlay.vfs.build.options.options import BuildOptions
from rootlay.vfs.build.result.report import Step
from rootlay.vfs.docker.times import parse_moment


class LinesReport:
    """A report of a build in the lines of Docker's classic builder. Thread safe."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._lock = threading.Lock()

    def start(self, step: Step) -> None:
        self._say(f"Step {step.position}/{step.total} : {step.text}\n")

    def output(self, step: Step, data: bytes) -> None:
        del step
        self._say(data.decode("utf-8", "replace"))

    def finish(self, step: Step, seconds: float, size_bytes: int, *, cached: bool) -> None:
        del step, seconds, size_bytes
        if cached:
            self._say(" ---> Using cache\n")

    def fail(self, step: Step, seconds: float) -> None:
        del step, seconds

    def note(self, text: str) -> None:
        self._say(f"[Warning] {text}\n")

    def _say(self, text: str) -> None:
        with self._lock:
            self._lines.send(stream=text)


class Quiet(LinesReport):
    """A report of a build that says nothing: `q`."""

    def _say(self, text: str) -> None:
        del text


def build(call: Call) -> None:
    """POST /build"""
    if call.text("version") == "2":
        raise not_implemented(NO_BUILDKIT)
    if call.text("outputs"):
        raise not_implemented("outputs: only BuildKit's clients have them, and " + NO_BUILDKIT)
    options = _options(call)
    store, lines = ImageStore.open(call.root), Lines(call.exchange)
    quiet = call.truth("q")
    with lines.whole(), store.staging() as scratch:
        with _context(call, scratch) as (source, around):
            name, text = source.dockerfile(call.text("dockerfile") or None, around.stdin)
            for _ in call.exchange.body():
                pass
            report = (Quiet if quiet else LinesReport)(lines)
            result = build_image(store, parse(text, name), source.visible(name), options, report)
        identity = str(result.image.id)
        lines.send(aux={"ID": identity})
        if quiet:
            lines.send(stream=f"{identity}\n")
            return
        lines.send(stream=f"Successfully built {identity.partition(':')[2][:12]}\n")
        for tag in options.tags:
            lines.send(stream=f"Successfully tagged {tag if ':' in tag.rpartition('/')[2] else f'{tag}:latest'}\n")


@contextlib.contextmanager
def _context(call: Call, scratch: Path) -> Iterator[Any]:
    """Open the context: the body, or the URL of `remote`. Yields it and its surroundings."""
    with ExitStack() as stack:
        stream = body_file(call.exchange)
        place = scratch / "context"
        place.mkdir()
        around = Surroundings(place, stream, call.context.environ, default_settings(call.context))
        remote = call.text("remote")
        yield (
            stack.enter_context(open_context(remote if remote not in ("", "client-session") else STDIN, around)),
            around,
        )


def _options(call: Call) -> BuildOptions:
    arguments, labels = call.query["buildargs"] or {}, call.query["labels"] or {}
    if not isinstance(arguments, dict) or not isinstance(labels, dict):
        raise bad_parameter("buildargs and labels are JSON objects")
    mode = call.text("networkmode") or "default"
    wanted = call.text("platform")
    platform = parse_platform(wanted) if wanted else host_platform()
    return BuildOptions(
        tags=tuple(call.query["t"]),
        target=call.text("target"),
        build_args={name: str(text) for name, text in arguments.items() if text is not None},
        labels={name: str(text) for name, text in labels.items()},
        platform=platform,
        no_cache=call.truth("nocache"),
        pull=call.text("pull").lower() not in ("", "0", "false"),
        network="none" if mode == "none" else "host",
        hosts=tuple((entry.partition(":")[2], entry.partition(":")[0]) for entry in call.query["extrahosts"]),
        settings=default_settings(call.context),
        fetch=_fetch(call),
    )


def _fetch(call: Call) -> Any:
    def fetch(reference: str, platform: Platform, progress: Progress) -> Image:
        store = ImageStore.open(call.root)
        return pull(store, reference, default_settings(call.context), platform=platform, progress=progress).image

    return fetch


def prune(call: Call) -> dict[str, Any]:
    """POST /build/prune"""
    filters = parse_filters(
        call.query["filters"], frozenset("until id parent type description inuse shared private".split())
    )
    now = 0
    older = 0.0
    for text in filters.get("until", []):
        import time

        now = time.time_ns()
        older = max(older, (now - parse_moment(text, now)) / 1e9)
    gone, freed = prune_cache(ImageStore.open(call.root), everything=call.truth("all"), older_than_s=older)
    return {"CachesDeleted": [item.id for item in gone] or None, "SpaceReclaimed": freed}


def session(call: Call) -> None:
    """POST /session: of BuildKit's clients."""
    del call
    raise not_implemented(NO_BUILDKIT)
