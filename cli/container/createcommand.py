"""The shared part of run and create: from a command line to a container."""

from __future__ import annotations

import os
from pathlib import Path

from rootlay.cli.container.runoptions import to_options
from rootlay.cli.spec import Context, UsageError, Values
from rootlay.store.containers.record import ContainerRecord
from rootlay.store.model.errors import UnknownImage
from rootlay.vfs.containers.create import ContainerOptions


def make_container(values: Values, context: Context, *, to_run: bool = False) -> ContainerRecord:
    """Create the container that the options describe. `to_run`: its program starts immediately."""
    from rootlay.vfs.containers.create import create_container

    if "/" in (image := values.text("image") or ""):
        from rootlay.cli.bundlestore import for_image

        context = for_image(context, image)
    options = to_options(values, context, auto_remove=values.flag("rm"), to_run=to_run)
    if _is_read_only(context.root):
        from rootlay.cli.upperroot import for_upper

        context, options = for_upper(context, options)
    cidfile = values.text("cidfile")
    if cidfile and os.path.lexists(cidfile):
        raise UsageError(f"--cidfile {cidfile}: the file exists: remove it, or name another")
    policy = "missing"
    if values.has("pull"):
        from rootlay.cli.container.pullmissing import pull_policy

        policy = pull_policy(values.text("pull"))
    if policy == "always":
        _pull(values, context, options, again=True)
    try:
        record = create_container(context.root, options, context.environ)
    except UnknownImage as error:
        if policy == "never" or error.reference != options.image or not _pull(values, context, options):
            raise
        record = create_container(context.root, options, context.environ)
    if cidfile:
        _keep_id(record, cidfile)
    return record


def _is_read_only(root: Path) -> bool:
    """Return whether there is a store at `root` in which no container can be made."""
    return (root / "oci-layout").exists() and not os.access(root / "containers", os.W_OK | os.X_OK)


def _pull(values: Values, context: Context, options: ContainerOptions, *, again: bool = False) -> bool:
    """Pull the image if it is missing (`again`: also if not), and return whether it may come from a registry."""
    from rootlay.cli.container.pullmissing import can_pull, pull_image, pull_once

    if not can_pull(options.image):
        return False
    quiet = values.has("quiet") and values.flag("quiet")
    pull = pull_image if again else pull_once
    pull(context, options.image, options.platform, quiet=quiet)
    return True


def _keep_id(record: ContainerRecord, cidfile: str) -> None:
    from rootlay.vfs.run.removal import remove_container

    try:
        with open(cidfile, "x", encoding="ascii") as file:
            file.write(record.id)
    except OSError:
        remove_container(record, force=True)
        raise
