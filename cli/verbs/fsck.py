"""`rootlay fsck`: check the store, and repair it."""

from __future__ import annotations

from typing import Any

from rootlay.cli.progress import clear_progress, show_progress
from rootlay.cli.spec import Context, Option, Values, Verb

CLEAN, REPAIRED, DAMAGED = 0, 1, 4


def action(values: Values, context: Context) -> int:
    from rootlay.store.check.finding import Outcome, quarantined
    from rootlay.store.check.run import check_store
    from rootlay.vfs.build.cache.check import check_build_cache
    from rootlay.vfs.containers.check import check_uppers

    as_json = values.flag("json")
    outcomes: list[Outcome] = []
    more = (check_uppers, check_build_cache)
    counts: dict[str, int] = {}
    deep, repair = values.flag("deep"), values.flag("repair")
    with show_progress(context, "checking") as progress:
        for outcome in check_store(context.root, deep=deep, repair=repair, more=more, progress=progress, counts=counts):
            outcomes.append(outcome)
            if not as_json:
                clear_progress(progress)
                context.out.line(_line(outcome), flush=True)
    kept = quarantined(context.root)
    still_open = sum(outcome.is_open for outcome in outcomes)
    if as_json:
        rows = [_row(outcome) for outcome in outcomes]
        context.out.json({"findings": rows, "quarantine": kept, "looked_at": counts})
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
        context.out.line(f"in quarantine: {row['kept']} ({row['code']}: {row['text']})")
    if not found:
        context.out.line("nothing wrong was found")
    elif still_open:
        context.out.line(f"{still_open} of {found} findings are not repaired")
    else:
        context.out.line(f"{found} findings, no damage left")


VERB = Verb(
    name="fsck",
    help="Check the store, and repair it.",
    action=action,
    options=(
        Option(("--deep",), "flag", "Also read all content: every digest, index, view and hydrated file."),
        Option(("--repair",), "flag", "Rebuild what can be rebuilt; move the rest to the directory `quarantine`."),
        Option(("--json",), "flag", "As JSON."),
    ),
    exits="0 no damage, 1 all damage was repaired, 4 damage remains.",
    examples=("rootlay fsck", "rootlay fsck --deep --repair"),
)
