"""The settings of a container that hold for its processes: set by the child before it becomes the engine."""

from __future__ import annotations

import os
from pathlib import Path

from rootlay.store.containers.record import ContainerRecord
from rootlay.store.containers.settings import Settings
from rootlay.store.model.value import value
from rootlay.vfs.settings.limits import LimitRefused, Plan, apply_plan, plan_limits
from rootlay.vfs.settings.ulimits import check_ulimits, set_ulimits

OOM_SCORE = Path("/proc/self/oom_score_adj")


@value
class ChildSettings:
    """What a child has to set. Made, and checked, before the fork."""

    settings: Settings
    container_id: str
    plan: Plan | None = None

    def apply(self) -> None:
        """Set everything for this process. Raises OSError, ValueError: it is not permitted any more."""
        if self.plan is not None:
            apply_plan(self.plan, self.container_id)
        set_ulimits(self.settings.ulimits)
        if self.settings.oom_score_adj:
            OOM_SCORE.write_text(str(self.settings.oom_score_adj))


def child_settings(record: ContainerRecord) -> ChildSettings:
    """Return what the children of a container have to set.

    Raises:
        LimitRefused, HardLimitTooLow: this user cannot set it on this machine.
    """
    settings = record.config.settings
    check_ulimits(settings.ulimits)
    if settings.oom_score_adj < (own := int(OOM_SCORE.read_text())) and settings.oom_score_adj and os.geteuid():
        raise LimitRefused(f"--oom-score-adj={settings.oom_score_adj}", f"only root can go below {own}")
    plan = plan_limits(settings.limits, int(record.id[:8], 16)) if settings.limits else None
    return ChildSettings(settings, record.id, plan)
