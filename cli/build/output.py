"""The results of `build`: the outputs, the ID, the summary."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rootlay.cli.listing import size
from rootlay.cli.registryoptions import settings_of
from rootlay.cli.spec import Context, Option, UsageError, Values
from rootlay.store.model.reference import Reference

if TYPE_CHECKING:
    from rootlay.store.store import ImageStore
    from rootlay.vfs.build.build import BuildResult
    from rootlay.vfs.build.options.output import Output

OUTPUT_OPTIONS = (
    Option(
        ("-o", "--output"),
        "many",
        (
            "Output destination: DIR; - (a tar on standard output); "
            "type=local|tar|oci|docker,dest=PATH; type=registry. Repeatable (default: the store)."
        ),
        "OUTPUT",
    ),
    Option(("--push",), "flag", "Push the image after the build; short for -o type=registry."),
    Option(("--iidfile",), "text", "Write the image ID to a file.", "FILE"),
    Option(("--metadata-file",), "text", "Write the digests and names of the image to a file, as JSON.", "FILE"),
    Option(
        ("--format",),
        "text",
        "Form of the manifest that is pushed: oci or docker. Podman finds a HEALTHCHECK only in docker's.",
        "FORM",
        default="oci",
    ),
)


def parse_outputs(values: Values, context: Context) -> list[Output]:
    """Return all outputs, in order. Raises UsageError."""
    from rootlay.vfs.build.language.errors import BadValue
    from rootlay.vfs.build.options.output import STDOUT, parse_output

    texts = [*values.many("output"), *(["type=registry"] if values.flag("push") else [])]
    try:
        outputs = [parse_output(text) for text in texts]
    except BadValue as error:
        raise UsageError(f"--output {error}") from None
    to_stdout = [output for output in outputs if output.dest == STDOUT]
    if len(to_stdout) > 1:
        raise UsageError("--output: only one output can be standard output")
    if to_stdout and context.out.isatty():
        raise UsageError("will not write an archive to a terminal: use -o type=…,dest=FILE")
    if any(output.push and not output.names for output in outputs) and not values.many("tag"):
        raise UsageError("a push needs a name: use -t")
    return outputs


def deliver(
    store: ImageStore,
    result: BuildResult,
    outputs: Sequence[Output],
    values: Values,
    context: Context,
    note: Callable[[str], None],
) -> None:
    """Write all outputs and the ID. Remove an image that has no name and is not meant for the store."""
    from rootlay.vfs.build.cache.gcroots import needed
    from rootlay.vfs.build.options.output import STDOUT
    from rootlay.vfs.build.result.export import write_output
    from rootlay.vfs.build.result.failure import BuildFailed

    for output in outputs:
        try:
            settings = settings_of(values, context)
            form = values.required("format")
            write_output(store, result.image, result.names, output, context.out.binary, settings, note, form)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            named = f": {error.filename!s}" if error.filename else ""
            raise BuildFailed(None, f"--output {output.dest}{named}: {error.strerror or error}") from error
    if values.text("iidfile"):
        Path(values.required("iidfile")).write_text(str(result.image.id), encoding="ascii")
    if values.text("metadata_file"):
        _write_metadata(Path(values.required("metadata_file")), result)
    if not any(output.dest == STDOUT for output in outputs):
        context.out.line(result.image.id)
    if outputs and not any(output.keeps_image for output in outputs) and result.is_new and not result.image.references:
        store.remove(str(result.image.entry.digest), in_use=lambda: needed(store))


def _write_metadata(path: Path, result: BuildResult) -> None:
    """Write buildx's metadata of an image."""
    import json

    image = result.image
    descriptor = image.entry.to_json()
    if image.manifest.annotations and image.index is None:
        descriptor["annotations"] = dict(image.manifest.annotations)
    found = {
        "containerimage.config.digest": str(image.id),
        "containerimage.descriptor": descriptor,
        "containerimage.digest": str(image.entry.digest),
        **({"image.name": ",".join(str(Reference.parse(name)) for name in result.names)} if result.names else {}),
    }
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def summary(result: BuildResult, outputs: Sequence[Output], context: Context) -> None:
    """Print a line of steps, a line of sizes for each new layer, and the place of the result."""
    image = result.image
    own = image.manifest.layers[result.inherited_layers :]
    steps = result.cached_steps + result.made_steps
    context.err.line(
        f"{steps} steps, {result.cached_steps} of them cached, {result.seconds:.1f}s; {len(own)} new layers "
        f"({', '.join(size(layer.size) for layer in own) or 'none'}) on {result.inherited_layers}, "
        f"{size(image.size)} in all"
    )
    if result.names:
        context.err.line(f"tagged {', '.join(result.names)}")
    for output in outputs:
        if output.dest and output.dest != "-":
            context.err.line(f"wrote {output.dest}")
