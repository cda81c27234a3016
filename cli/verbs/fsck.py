"""`rootlay fsck`: check the store, and repair it."""

from __future__ import annotations

import json
from typing import Any

from rootlay.cli.progress import clear_counts, show_counts
from rootlay.cli.spec import Context, Option, Values, Verb

CLEAN, REPAIRED, DAMAGED = 0, 1, 4


def action(values: Values, context: Context) -> int:
    from rootlay.store.check.finding import Outcome, quarantined
    from rootlay.store.check.run import check_store
    from rootlay.vfs.build.check import check_build_cache
    from rootlay.vfs.check import check_uppers

    as_json = values.flag("json")
    outcomes: list[Outcome] = []
    more = (check_uppers, check_build_cache)
    counts: dict[str, int] = {}
    found = check_store(
        context.root,
        deep=values.flag("deep"),
        repair=values.flag("repair"),
        more=more,
        tell=show_counts(context),
        counts=counts,
    )
    for outcome in found:
        outcomes.append(outcome)
        if not as_json:
            clear_counts(context)
            print(_line(outcome), file=context.out)
    clear_counts(context)
    kept = quarantined(context.root)
    still_open = sum(outcome.is_open for outcome in outcomes)
    if as_json:
        rows = [_row(outcome) for outcome in outcomes]
        print(json.dumps({"findings": rows, "quarantine": kept, "looked_at": counts}, indent=2), file=context.out)
    else:
        _print_end(context, still_open, len(outcomes), kept)
    if still_open:
        return DAMAGED
    return REPAIRED if any(not outcome.finding.leftover for outcome in outcomes) else CLEAN


def _line(outcome: Any) -> str:
    finding = outcome.finding
    after = "" if outcome.status == "found" else f" [{outcome.status}{': ' if outcome.reason else ''}{outcome.reason}]"
    return f"{finding.code}: {finding.place}: {finding.text}{after}"


def _row(outcome: Any) -> dict[str, object]:
    finding = outcome.finding
    return {
        "code": finding.code,
        "place": finding.place,
        "text": finding.text,
        "damage": not finding.leftover,
        "repairable": finding.fix is not None,
        "status": outcome.status,
        "reason": outcome.reason,
    }


def _print_end(context: Context, still_open: int, found: int, kept: list[dict[str, str]]) -> None:
    for row in kept:
        print(f"in quarantine: {row['kept']} ({row['code']}: {row['text']})", file=context.out)
    if not found:
        print("nothing wrong was found", file=context.out)
    elif still_open:
        print(f"{still_open} of {found} findings are damage that is still there", file=context.out)
    else:
        print(f"{found} findings, no damage left", file=context.out)


VERB = Verb(
    name="fsck",
    help="Check everything in the store against what docs/format.md promises, and repair it.",
    action=action,
    options=(
        Option(("--deep",), "flag", "Read all content, too: every digest, index, view and hydrated file."),
        Option(("--repair",), "flag", "Rebuild what can be rebuilt, move the rest to the folder `quarantine`."),
        Option(("--json",), "flag", "As JSON."),
    ),
    exits="0 if nothing is damaged, 1 if all damage was repaired, 4 if damage is left.",
    examples=("rootlay fsck", "rootlay fsck --deep --repair"),
)
