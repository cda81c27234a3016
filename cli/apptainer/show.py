"""`inspect` and `cache`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from rootlay.cli.apptainer.bring import bring
from rootlay.cli.apptainer.imagefile import runscript, variables
from rootlay.cli.apptainer.report import Report
from rootlay.cli.apptainer.sources import BadImageFile, Source, parse_source
from rootlay.cli.listing import size
from rootlay.cli.spec import Context, UsageError, Values
from rootlay.store.model.image import Image


def inspect(values: Values, context: Context, report: Report) -> int:
    """Print labels, or what the options choose, of an image."""
    source = parse_source(values.required("image"))
    found = _of_directory(source) if source.kind == "directory" else _of_image(source, values, context, report)
    every = values.flag("all")
    wanted = [
        name
        for name, flags in (
            ("labels", ("labels",)),
            ("environment", ("environment",)),
            ("runscript", ("runscript",)),
            ("startscript", ("startscript",)),
            ("deffile", ("deffile",)),
        )
        if every or any(values.flag(flag) for flag in flags)
    ]
    wanted = wanted or ["labels"]
    if every or values.flag("json"):
        attributes = {name: found[name] for name in wanted}
        context.out.json({"data": {"attributes": attributes}, "type": "container"}, indent=4)
        return 0
    for name in wanted:
        if name == "labels":
            context.out.lines(f"{key}: {text}" for key, text in sorted(found["labels"].items()))
        elif name == "environment":
            context.out.lines(line for text in found[name].values() for line in text.splitlines())
        else:
            context.out.lines(found[name].splitlines())
    return 0


def _of_image(source: Source, values: Values, context: Context, report: Report) -> dict[str, Any]:
    image = _read_file(source) if source.kind == "file" else bring(source, values, context, report)
    config = image.config.config
    labels = {
        **config.labels,
        "org.label-schema.build-arch": image.config.platform.architecture or "amd64",
        "org.label-schema.schema-version": "1.0",
        "org.label-schema.usage.apptainer.version": "rootlay",
    }
    script = runscript(image)
    return {
        "labels": labels,
        "environment": {"/.singularity.d/env/10-docker2singularity.sh": variables(config.env)},
        "runscript": script,
        "startscript": script,
        "deffile": f"bootstrap: docker\nfrom: {next(iter(image.references), source.text)}\n",
    }


def _read_file(source: Source) -> Image:
    from rootlay.store.bundle.format import Bundle
    from rootlay.store.exchange.ociload import read_image

    bundle = Bundle(Path(source.place))
    try:
        return read_image(bundle)
    finally:
        bundle.close()


def _of_directory(source: Source) -> dict[str, Any]:
    top = Path(source.place, ".singularity.d")
    if not (top.is_dir() or os.path.isdir(Path(source.place, "bin")) or os.path.isdir(Path(source.place, "usr"))):
        raise BadImageFile(source.text, "the directory is not the root of a file system: it has neither bin nor usr")

    def read(name: str) -> str:
        try:
            return (top / name).read_text(errors="surrogateescape")
        except OSError:
            return ""

    try:
        labels = json.loads(read("labels.json") or "{}")
    except ValueError:
        raise BadImageFile(source.text, ".singularity.d/labels.json is not JSON") from None
    environment = {
        f"/.singularity.d/env/{path.name}": read(f"env/{path.name}") for path in sorted(top.glob("env/*.sh"))
    }
    return {
        "labels": labels if isinstance(labels, dict) else {},
        "environment": environment,
        "runscript": read("runscript"),
        "startscript": read("startscript"),
        "deffile": read("Singularity"),
    }


def cache(values: Values, context: Context, report: Report) -> int:
    """List the images that need not be fetched, or remove what no image and no container needs.

    Images with a name stay: users of rootlay have made them.
    """
    from rootlay.store.store import ImageStore

    word = values.text("action")
    store = ImageStore.open(context.root)
    if word == "list":
        images = {record.id: record for record in store.images()}
        if values.flag("verbose"):
            context.out.line(f"{'NAME':<40} {'DATE CREATED':<22} {'SIZE':<12} TYPE")
            for image in images.values():
                name = image.reference or str(image.id)
                context.out.line(f"{name:<40} {image.created[:19]:<22} {size(image.size):<12} oci")
        total = sum(image.size for image in images.values())
        context.out.line(f"There are {len(images)} container file(s) using {size(total)} and 0 oci blob file(s)")
        return 0
    if word == "clean":
        from rootlay.store.layout.partialblob import remove_partials

        store.sweep()
        remove_partials(store.layout, 0)
        report.info("Removed unfinished downloads; `rootlay prune` and `rootlay rmi` remove images")
        return 0
    raise UsageError("cache: expected list or clean")
