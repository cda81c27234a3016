"""Random operations on an overlay and on a plain directory must not be told apart.

ROOTLAY_TEST_EXAMPLES sets the number of random histories (default 25, a few seconds); ROOTLAY_TEST_STEPS the
operations in each (default 40).
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

from tests.support.oracles.overlay_machine import OverlayMachine

EXAMPLES = int(os.environ.get("ROOTLAY_TEST_EXAMPLES", "25"))
STEPS = int(os.environ.get("ROOTLAY_TEST_STEPS", "40"))

OverlayMachine.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    # Not "explain": it traces every line, and a failing history would take minutes.
    phases=[Phase.generate, Phase.shrink],
    database=None,  # the source tree may be read-only
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestOverlayAgainstPlainDirectory = OverlayMachine.TestCase
