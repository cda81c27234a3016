"""`rootlay build`: make an image from a Dockerfile."""

from __future__ import annotations

import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from rootlay.cli.buildoptions import BUILD_OPTIONS, IMAGE_SCHEME, named_contexts, to_options
from rootlay.cli.listing import size
from rootlay.cli.registryoptions import REGISTRY_OPTIONS, settings_of
from rootlay.cli.spec import Argument, Context, Option, Values, Verb

if TYPE_CHECKING:
    from rootlay.vfs.build.build import BuildResult
    from rootlay.vfs.build.buildcontext import Surroundings


def action(values: Values, context: Context) -> int:
    from rootlay.cli.buildprogress import PlainReport
    from rootlay.store.store import Store
    from rootlay.vfs.build.build import build
    from rootlay.vfs.build.buildcontext import open_context
    from rootlay.vfs.build.failure import BuildCancelled
    from rootlay.vfs.build.parser import parse
    from rootlay.vfs.build.report import Silent

    with tempfile.TemporaryDirectory(prefix="rootlay-context-") as scratch, ExitStack() as stack:
        around = _surroundings(Path(scratch), values, context)
        source = stack.enter_context(open_context(values.required("context"), around))
        name, text = source.dockerfile(values.text("file"), around.stdin)
        dockerfile = parse(text, name)
        trees = {}
        for number, (key, place) in enumerate(named_contexts(values).items()):
            if not place.startswith(IMAGE_SCHEME):
                own = Path(scratch, f"context-{number}")
                own.mkdir()
                trees[key] = stack.enter_context(open_context(place, _surroundings(own, values, context))).tree
        report = Silent() if values.flag("quiet") else PlainReport(context.err)
        store = Store.open(context.root)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler)  # so that commands are stopped, and containers removed
        try:
            result = build(store, dockerfile, source.visible(name), to_options(values, context, trees), report)
        except KeyboardInterrupt:
            raise BuildCancelled from None
    if values.text("iidfile"):
        Path(values.required("iidfile")).write_text(str(result.image.id), encoding="ascii")
    if not values.flag("quiet"):
        _summary(result, context)
    print(result.image.id, file=context.out)
    return 0


def _surroundings(scratch: Path, values: Values, context: Context) -> Surroundings:
    from rootlay.vfs.build.buildcontext import Surroundings

    return Surroundings(scratch, sys.stdin.buffer, context.environ, settings_of(values, context))


def _summary(result: BuildResult, context: Context) -> None:
    image = result.image
    own = image.manifest.layers[result.inherited_layers :]
    steps = result.cached_steps + result.made_steps
    print(
        f"{steps} steps, {result.cached_steps} of them cached, {result.seconds:.1f}s; {len(own)} new layers "
        f"({', '.join(size(layer.size) for layer in own) or 'none'}) on {result.inherited_layers}, "
        f"{size(image.size)} in all",
        file=context.err,
    )
    if image.references:
        print(f"named {', '.join(image.references)}", file=context.err)


VERB = Verb(
    name="build",
    help="Make an image from a Dockerfile.",
    action=action,
    options=(
        Option(("-t", "--tag"), "many", "Name of the image; repeatable.", "NAME[:TAG]"),
        Option(
            ("-f", "--file"), "text", "The Dockerfile; - for standard input (CONTEXT/Dockerfile by default).", "FILE"
        ),
        *BUILD_OPTIONS,
        Option(("--iidfile",), "text", "Write the image's ID to this file.", "FILE"),
        *REGISTRY_OPTIONS,
        Option(("-q", "--quiet"), "flag", "Print the image's ID only."),
    ),
    arguments=(
        Argument("context", "Where COPY and ADD read from: a directory, an archive, a git repository, a URL, or - ."),
    ),
    exits="0 done; 60 the Dockerfile is wrong; 61 a RUN failed; 62 another instruction failed.",
    examples=(
        "rootlay build -t app .",
        "rootlay build -t app:2 -f build/Dockerfile --target test .",
        "rootlay build https://host/team/app.git#v1:docker",
    ),
)
