"""`rootlay build`: make an image from a Dockerfile."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from rootlay.cli.listing import size
from rootlay.cli.registryoptions import REGISTRY_OPTIONS, settings_of
from rootlay.cli.spec import Argument, Context, Option, UsageError, Values, Verb

if TYPE_CHECKING:
    from rootlay.vfs.build.build import BuildResult
    from rootlay.vfs.build.buildcontext import Surroundings
    from rootlay.vfs.build.options import BuildOptions


def action(values: Values, context: Context) -> int:
    from rootlay.cli.buildprogress import PlainReport
    from rootlay.store.store import Store
    from rootlay.vfs.build.build import build
    from rootlay.vfs.build.buildcontext import open_context
    from rootlay.vfs.build.parser import parse
    from rootlay.vfs.build.report import Silent

    with tempfile.TemporaryDirectory(prefix="rootlay-context-") as scratch:
        around = _surroundings(Path(scratch), values, context)
        with open_context(values.required("context"), around) as source:
            name, text = source.dockerfile(values.text("file"), around.stdin)
            dockerfile = parse(text, name)
            report = Silent() if values.flag("quiet") else PlainReport(context.err)
            store = Store.open(context.root)
            result = build(store, dockerfile, source.visible(name), _options(values, context), report)
    if values.text("iidfile"):
        Path(values.required("iidfile")).write_text(str(result.image.id), encoding="ascii")
    if not values.flag("quiet"):
        _summary(result, context)
    print(result.image.id, file=context.out)
    return 0


def _surroundings(scratch: Path, values: Values, context: Context) -> Surroundings:
    from rootlay.vfs.build.buildcontext import Surroundings

    return Surroundings(scratch, sys.stdin.buffer, context.environ, settings_of(values, context))


def _options(values: Values, context: Context) -> BuildOptions:
    from rootlay.vfs.build.options import BuildOptions

    epoch = values.text("source_date_epoch") or context.environ.get("SOURCE_DATE_EPOCH")
    if epoch is not None and not epoch.isdigit():
        raise UsageError(f"SOURCE_DATE_EPOCH={epoch}: expected seconds since 1970")
    return BuildOptions(
        tags=values.many("tag"),
        target=values.text("target") or "",
        build_args=_pairs(values.many("build_arg"), context),
        labels={text.partition("=")[0]: text.partition("=")[2] for text in values.many("label")},
        no_cache=values.flag("no_cache"),
        keep_failed=values.flag("keep_failed"),
        epoch_s=None if epoch is None else int(epoch),
    )


def _pairs(texts: tuple[str, ...], context: Context) -> dict[str, str]:
    """`NAME=value`; NAME alone takes the caller's value, and is left out where there is none."""
    found = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if sign:
            found[name] = value
        elif name in context.environ:
            found[name] = context.environ[name]
    return found


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
        Option(("--target",), "text", "The stage to build, by name or number (the last one by default).", "STAGE"),
        Option(("--build-arg",), "many", "Value of an ARG; NAME alone takes the caller's.", "NAME[=VALUE]"),
        Option(("--label",), "many", "Label the image.", "KEY=VALUE"),
        Option(("--no-cache",), "flag", "Make every layer anew."),
        Option(("--keep-failed",), "flag", "Keep the container of a RUN that fails, to look into it."),
        Option(("--iidfile",), "text", "Write the image's ID to this file.", "FILE"),
        Option(
            ("--source-date-epoch",),
            "text",
            "Time of the image, and the latest that a file may have (SOURCE_DATE_EPOCH by default).",
            "SECONDS",
        ),
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
