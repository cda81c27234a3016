"""What became of the hostile archives, counted: `python -m tests.hostile.report`, as an ordinary user, prints the table
of docs/robustness.md.

EXIT STATUS: 0 each has the outcome that is written for it, 1 one has another.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

from rootlay.store.model.errors import RootlayError
from rootlay.store.store import ImageStore
from tests.hostile.archives import all_cases
from tests.hostile.taking import LIMITS


def main() -> int:
    """The command."""
    if os.geteuid() == 0:
        raise SystemExit("hostile archives are tried as an ordinary user only")
    counts: dict[str, Counter[str]] = {}
    wrong = 0
    with tempfile.TemporaryDirectory() as scratch:
        store = ImageStore.open(Path(scratch) / "store", limits=LIMITS)
        archive = Path(scratch) / "archive"
        for number, case in enumerate(all_cases()):
            archive.write_bytes(case.data)
            try:
                store.import_rootfs(archive, f"image{number}")
                outcome = "ok"
            except RootlayError as error:
                outcome = type(error).__name__
            counts.setdefault(case.group, Counter())[outcome] += 1
            if outcome != case.outcome:
                wrong += 1
                print(f"{case.group}: {case.name}: {outcome} instead of {case.outcome}", file=sys.stderr)
    outcomes = sorted({outcome for found in counts.values() for outcome in found}, key=lambda o: (o != "ok", o))
    print(f"| Archives | {' | '.join('taken' if o == 'ok' else o for o in outcomes)} | all |")
    print("|---" * (len(outcomes) + 2) + "|")
    for group, found in [*counts.items(), ("all", sum(counts.values(), Counter()))]:
        cells = (str(found[outcome] or "") for outcome in outcomes)
        print(f"| {group} | {' | '.join(cells)} | {found.total()} |")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
