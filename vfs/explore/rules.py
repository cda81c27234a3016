"""Rules of `rootlay explore --ci`: those of dive, with its names, defaults and the format of its `.dive-ci` file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from rootlay.store.model.errors import RootlayError
from rootlay.store.model.value import value
from rootlay.vfs.explore.waste import Waste

DEFAULTS = {"lowestEfficiency": "0.9", "highestWastedBytes": "disabled", "highestUserWastedPercent": "0.1"}
_OFF = ("", "disabled", "off", "false")
_UNITS = {"": 1, "B": 1} | {
    prefix + tail: base ** (power + 1)
    for power, prefix in enumerate("KMGTPE")
    for tail, base in (("B", 1000), ("", 1000), ("IB", 1024), ("I", 1024))
}

Outcome = Literal["PASS", "FAIL", "SKIP"]


class BadRule(RootlayError):
    """A rule's name or limit is not understood."""


@value
class Verdict:
    """The outcome of one rule, with the reason for a failure."""

    rule: str
    outcome: Outcome
    reason: str = ""


def read_rules(path: Path) -> dict[str, str]:
    """Return the rules of a `.dive-ci` file: `rules:` with a limit for each name.

    Raises:
        BadRule: it is not such a file, or PyYAML is not installed.
        OSError: it cannot be read.
    """
    try:
        import yaml
    except ImportError as error:
        raise BadRule(
            f"{path}: PyYAML is not installed; install rootlay[explore], or give the rules as options"
        ) from error
    try:
        document = yaml.safe_load(path.read_bytes())
    except yaml.YAMLError as error:
        raise BadRule(f"{path}: not a YAML document") from error
    rules = document.get("rules") if isinstance(document, dict) else None
    if not isinstance(rules, dict):
        raise BadRule(f"{path}: has no `rules:`; write one limit for each of {', '.join(DEFAULTS)}")
    return {str(name): str(limit) for name, limit in rules.items()}


def check_rules(waste: Waste, rules: dict[str, str]) -> list[Verdict]:
    """Return the outcome of each rule; those that `rules` does not name have dive's defaults.

    Raises:
        BadRule: a name is unknown, or a limit is not a number in range.
    """
    if unknown := sorted(rules.keys() - DEFAULTS.keys()):
        raise BadRule(f"{unknown[0]}: not a rule; the rules are {', '.join(DEFAULTS)}")
    wanted = {**DEFAULTS, **rules}
    lowest = _share("lowestEfficiency", wanted)
    most = _size("highestWastedBytes", wanted)
    share = _share("highestUserWastedPercent", wanted)
    return [
        _verdict("lowestEfficiency", lowest, waste.efficiency, lowest is not None and waste.efficiency < lowest),
        _verdict("highestWastedBytes", most, waste.wasted_bytes, most is not None and waste.wasted_bytes > most),
        _verdict(
            "highestUserWastedPercent", share, waste.wasted_user_share,
            share is not None and waste.wasted_user_share > share,
        ),
    ]  # fmt: skip


def _verdict(rule: str, limit: float | None, figure: float, failed: bool) -> Verdict:
    if limit is None:
        return Verdict(rule, "SKIP", "rule disabled")
    shown = f"{figure:.4f}" if isinstance(figure, float) else str(figure)
    return Verdict(rule, "FAIL", f"the image has {shown}, the limit is {limit:g}") if failed else Verdict(rule, "PASS")


def _share(rule: str, rules: dict[str, str]) -> float | None:
    text = rules[rule].strip().lower()
    if text in _OFF:
        return None
    try:
        limit = float(text)
    except ValueError:
        limit = -1.0
    if not 0 <= limit <= 1:
        raise BadRule(f"{rule}: {rules[rule]}: expected a number from 0 to 1, or disabled")
    return limit


def _size(rule: str, rules: dict[str, str]) -> int | None:
    text = rules[rule].strip().lower()
    if text in _OFF:
        return None
    number = text.rstrip("bikmgtpe ")
    try:
        return int(float(number) * _UNITS[text[len(number) :].strip().upper()])
    except (ValueError, KeyError) as error:
        raise BadRule(f"{rule}: {rules[rule]}: expected a size such as 20MB, or disabled") from error
