"""`rootlay build`: make an image from a Dockerfile."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from rootlay.cli.build.accepted import ACCEPTED_OPTIONS
from rootlay.cli.build.attest import attestations_of, platforms_of
from rootlay.cli.build.call import CALL_OPTIONS, answer, method_of
from rootlay.cli.build.options import BUILD_OPTIONS, to_options
from rootlay.cli.build.output import OUTPUT_OPTIONS, deliver, parse_outputs, summary
from rootlay.cli.build.progress import PROGRESS_OPTIONS, how_of, open_report
from rootlay.cli.build.sources import open_named, surroundings
from rootlay.cli.registryoptions import REGISTRY_OPTIONS
from rootlay.cli.spec import Argument, Context, Option, Values, Verb

if TYPE_CHECKING:
    from rootlay.vfs.build.build import BuildResult
    from rootlay.vfs.build.context.buildcontext import BuildContext
    from rootlay.vfs.build.options.options import BuildOptions

CANCELLED = 130


def action(values: Values, context: Context) -> int:
    from rootlay.store.store import ImageStore
    from rootlay.vfs.build.build import build
    from rootlay.vfs.build.context.buildcontext import open_context
    from rootlay.vfs.build.language.parser import parse
    from rootlay.vfs.build.result.failure import BuildCancelled

    outputs = parse_outputs(values, context)
    wanted, platforms = attestations_of(values), platforms_of(values)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)  # to stop commands and remove containers
    try:
        with tempfile.TemporaryDirectory(prefix="rootlay-context-") as scratch, ExitStack() as stack:
            around = surroundings(Path(scratch), values, context)
            source = stack.enter_context(open_context(values.required("context"), around))
            name, text = source.dockerfile(values.text("file"), around.stdin)
            dockerfile = parse(text, name)
            store = ImageStore.open(context.root)
            if method_of(values)[0] != "build":
                return answer(values, context, store, dockerfile, text, _ignored(source, name))
            trees, images = open_named(store, values, context, Path(scratch), stack)
            options = to_options(values, context, trees, images)
            with open_report(values, context) as report:

                def one(each: BuildOptions) -> BuildResult:
                    return build(store, dockerfile, source.visible(name), each, report)

                if wanted or len(platforms) > 1:
                    from rootlay.vfs.build.attested import build_index

                    place = values.required("context")
                    origin = name, text, place if "://" in place else ""
                    result = build_index(store, one, options, platforms, wanted, origin)
                else:
                    result = one(options)
            deliver(store, result, outputs, values, context, report.note)
    except KeyboardInterrupt:
        if threading.active_count() > 1:  # threads that wait for the network: Python would wait for them
            context.err.line("rootlay: the build was cancelled", flush=True)
            os._exit(CANCELLED)
        raise BuildCancelled from None
    if how_of(values, context) != "quiet":
        summary(result, outputs, context)
    return 0


def _ignored(source: BuildContext, dockerfile_name: str) -> Callable[[str], bool]:
    """Return whether .dockerignore leaves out a path that is in the context."""
    visible = source.visible(dockerfile_name)

    def ignored(path: str) -> bool:
        from rootlay.vfs.build.context.source import clean, resolve

        place = clean(os.fsencode(path))
        if "*" in path or "$" in path or place == b"/":
            return False
        return source.tree.lstat(resolve(source.tree, place)) is not None and visible.lstat(place) is None

    return ignored


VERB = Verb(
    name="build",
    help="Build an image from a Dockerfile.",
    action=action,
    options=(
        Option(("-t", "--tag"), "many", "Image name; repeatable.", "NAME[:TAG]"),
        Option(
            ("-f", "--file"),
            "text",
            "Path of the Dockerfile; - for standard input (default: CONTEXT/Dockerfile).",
            "FILE",
        ),
        *BUILD_OPTIONS,
        *OUTPUT_OPTIONS,
        *PROGRESS_OPTIONS,
        *CALL_OPTIONS,
        *ACCEPTED_OPTIONS,
        *REGISTRY_OPTIONS,
    ),
    arguments=(
        Argument(
            "context", ("Build context: a directory, an archive, a git repository, a URL, or - for standard input.")
        ),
    ),
    exits="0 success; 60 error in the Dockerfile; 61 a RUN failed; 62 another instruction failed.",
    examples=(
        "rootlay build -t app .",
        "rootlay build -t app:2 -f build/Dockerfile --target test .",
        "rootlay build -o out --target binaries .",
        "rootlay build https://host/team/app.git#v1:docker",
    ),
)
