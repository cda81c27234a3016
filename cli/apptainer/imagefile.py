"""`pull` and `build`: an image as a file (a bundle), or as a directory."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

from rootlay.cli.apptainer.bring import bring
from rootlay.cli.apptainer.report import Report, setting
from rootlay.cli.apptainer.sources import Source, parse_source
from rootlay.cli.spec import Context, UsageError, Values
from rootlay.store.model.image import Image

DIRECTORY_BIN = ".singularity.d"


def pull(values: Values, context: Context, report: Report) -> int:
    """Fetch an image and write it as a file. An existing file is kept, unless --force."""
    words = values.many("words")
    if not 1 <= len(words) <= 2:
        raise UsageError("pull: expected [FILE] URI")
    source = parse_source(words[-1])
    if source.kind in ("file", "directory"):
        raise UsageError(f"{source.text}: an image file already; expected docker://NAME or another URI")
    name = (words[0] if len(words) == 2 else values.text("name")) or file_name(source)
    folder = values.text("dir") or setting(context.environ, "PULLFOLDER")
    target = Path(folder, name) if folder else Path(name)
    _require_free(target, values)
    _write(source, target, values, context, report)
    return 0


def file_name(source: Source) -> str:
    """Return the file for an image: `alpine_3.20.sif` for `docker://library/alpine:3.20`."""
    base = source.place.split("@", 1)[0].rstrip("/").rpartition("/")[2]
    name, _, tag = base.partition(":")
    return f"{name}_{tag or 'latest'}.sif"


def build(values: Values, context: Context, report: Report) -> int:
    """Convert an image to a file, or to a directory (--sandbox)."""
    words = values.many("words")
    if len(words) != 2:
        raise UsageError("build: expected TARGET SOURCE")
    target = Path(words[0])
    if os.path.isfile(words[1]) and _is_text(words[1]):
        raise UsageError(f"{words[1]}: definition files are not read; write a Dockerfile, and use `rootlay build`")
    source = parse_source(words[1])
    _require_free(target, values)
    if values.flag("sandbox"):
        _write_directory(source, target, values, context, report)
    elif source.kind in ("file", "directory"):
        _convert(source, target, values, context, report)
    else:
        _write(source, target, values, context, report)
    report.info(f"Build complete: {target}")
    return 0


def _is_text(path: str) -> bool:
    with open(path, "rb") as file:
        head = file.read(4096)
    return b"\0" not in head and b"bootstrap:" in head.lower()


def _require_free(target: Path, values: Values) -> None:
    if os.path.lexists(target) and not values.flag("force"):
        raise UsageError(f"image file already exists: {str(target)!r} - will not overwrite; use --force")
    if not target.absolute().parent.is_dir():
        raise UsageError(f"{target.absolute().parent}: no such directory; make it first")


def _write(source: Source, target: Path, values: Values, context: Context, report: Report) -> None:
    if source.kind == "oras":
        from rootlay.cli.apptainer.orasfile import write

        if write(source, target, values, context, report):
            return
    _bundle(bring(source, values, context, report), target, context, report)


def _bundle(image: Image, target: Path, context: Context, report: Report) -> None:
    from rootlay.cli.progress import show_progress
    from rootlay.store.bundle.writer import write_bundle
    from rootlay.store.store import ImageStore

    report.info(f"Creating image file {target}")
    with show_progress(context, "bundling", hidden=report.level <= 0) as progress:
        write_bundle(ImageStore.open(context.root), image, target, progress)


def _convert(source: Source, target: Path, values: Values, context: Context, report: Report) -> None:
    """Write a file from another image file: the same image. A directory has neither config nor owners."""
    from rootlay.store.store import ImageStore

    if source.kind == "directory":
        raise UsageError(f"{source.text}: a directory has no owners and no config; use `rootlay import` and `bundle`")
    (image,) = ImageStore.open(context.root).load(Path(source.place))
    _bundle(image, target, context, report)


def _write_directory(source: Source, target: Path, values: Values, context: Context, report: Report) -> None:
    from rootlay.store.disk.removetree import remove_tree
    from rootlay.store.store import ImageStore
    from rootlay.vfs.changes.transfer import copy_all_out
    from rootlay.vfs.containers.imageview import open_image

    if source.kind == "directory":
        raise UsageError(f"{source.text}: a directory already; copy it with cp -a")
    store = ImageStore.open(context.root)
    if source.kind == "file":
        (image,) = store.load(Path(source.place))
    else:
        image = bring(source, values, context, report)
    if target.is_dir():
        remove_tree(target)
    report.info(f"Creating sandbox directory {target}")
    left_out: list[str] = []
    with open_image(context.root, image) as overlay:
        copy_all_out(overlay, os.fsencode(target), left_out.append)
    for path in left_out:
        report.warning(f"{path}: a device or socket, left out")
    _write_scripts(image, target)


def _write_scripts(image: Image, target: Path) -> None:
    """Write what Apptainer keeps in an image: how to run it, its variables and labels."""
    config, top = image.config.config, target / DIRECTORY_BIN
    (top / "env").mkdir(parents=True, exist_ok=True)
    (top / "runscript").write_text(runscript(image))
    (top / "runscript").chmod(0o755)
    (top / "env" / "10-docker2singularity.sh").write_text(variables(config.env))
    (top / "labels.json").write_text(json.dumps(dict(config.labels)))


def runscript(image: Image) -> str:
    """Return a script that does what `run` does."""
    config = image.config.config
    entry, command = shlex.join(config.entrypoint or ()), shlex.join(config.cmd or ())
    usual = f"{entry} {command}".strip() or "/bin/sh"
    return f'#!/bin/sh\nif [ $# -gt 0 ]; then\n    exec {entry} "$@"\nfi\nexec {usual}\n'


def variables(env: tuple[str, ...]) -> str:
    """Return a script that sets the image's variables, as defaults."""
    lines = ["#!/bin/sh"]
    for name, sign, text in (entry.partition("=") for entry in env):
        if sign and name == "PATH":
            lines.append(f"export PATH={shlex.quote(text)}")
        elif sign and name.isidentifier():
            lines.append(f': "${{{name}:={shlex.quote(text)}}}"; export {name}')
    return "\n".join(lines) + "\n"
