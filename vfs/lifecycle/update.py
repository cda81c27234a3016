"""Changes of a container's settings after its creation: limits and restart policy (`docker update`)."""

from __future__ import annotations

import json

from rootlay.store.containers.record import ContainerRecord
from rootlay.store.containers.settings import Limits
from rootlay.store.disk.durable import replace_file
from rootlay.store.model.value import as_dict, replace
from rootlay.vfs.detached.background import SUPERVISED
from rootlay.vfs.run.processes import iter_guests
from rootlay.vfs.settings.limits import apply_to_running, plan_limits


def update_container(
    record: ContainerRecord, *, limits: Limits | None = None, restart: str | None = None
) -> tuple[ContainerRecord, list[str]]:
    """Change the settings in a container's record (atomic), and the limits of its running programs.

    Args:
        limits: those of its members that are not 0 replace the container's own.
        restart: the new policy, see rootlay.store.containers.settings.

    Returns:
        The changed container, and the options that hold only from its next start on.

    Raises:
        LimitRefused: nothing was changed.
    """
    settings = record.config.settings
    later: list[str] = []
    if restart is not None:
        settings = replace(settings, restart=restart)
    if limits is not None:
        given = {name: item for name, item in as_dict(limits).items() if item}
        merged = replace(settings.limits or Limits(), **given)
        plan = plan_limits(merged, int(record.id[:8], 16))
        settings = replace(settings, limits=merged)
        later = apply_to_running(plan, record.id, list(iter_guests(record.real_path)))
    changed = ContainerRecord(replace(record.config, extra=settings.to_json()), record.path)
    replace_file(record.path / "config.json", json.dumps(changed.config.to_json()).encode(), durable=True)
    if restart is not None and restart != "no":
        (record.path / SUPERVISED).touch()
    changed.note("update")
    return changed, later
