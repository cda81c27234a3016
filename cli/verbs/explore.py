"""`rootlay explore`: look at the layers of an image or container, file by file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rootlay.cli.spec import Argument, Context, Option, UsageError, Values, Verb

if TYPE_CHECKING:
    from rootlay.vfs.containers.states import Compared
    from rootlay.vfs.explore.layerstack import LayerStack

RULES = {
    "lowest_efficiency": "lowestEfficiency",
    "highest_wasted_bytes": "highestWastedBytes",
    "highest_user_wasted_percent": "highestUserWastedPercent",
}


def action(values: Values, context: Context) -> int:
    rules = {rule: given for name, rule in RULES.items() if (given := values.text(name)) is not None}
    if rules and not values.flag("ci"):
        raise UsageError(f"{next(iter(rules))} is a rule of --ci: give --ci too")
    with _open(values, context) as stack:
        if (page := values.text("html")) is not None:
            _write_page(stack, Path(page))
        if values.flag("json"):
            from rootlay.vfs.explore.report import as_document
            from rootlay.vfs.explore.waste import count_waste

            context.out.json(as_document(stack, count_waste(stack)))
        if values.flag("ci"):
            return _check(stack, rules, Path(values.text("ci_config") or ".dive-ci"), context)
        if page is None and not values.flag("json"):
            _show(stack, context)
    return 0


def _open(values: Values, context: Context) -> LayerStack:
    from rootlay.vfs.explore.opening import open_difference, open_named

    first, second = values.required("image"), values.text("other")
    if second is not None:
        states = [_find(context, reference) for reference in (first, second)]
        return open_difference(context.root, states[0], states[1], (first, second))
    _pull_if_missing(context, first)
    return open_named(context.root, first)


def _show(stack: LayerStack, context: Context) -> None:
    if not context.out.isatty():
        raise UsageError("explore needs a terminal: give --html FILE, --json or --ci for a file or a pipe")
    try:
        from rootlay.cli.explore.app import ExploreApp
    except ImportError as error:
        raise UsageError("explore needs Textual: install rootlay[explore], or give --html FILE") from error
    ExploreApp(stack, Path.cwd()).run()


def _find(context: Context, reference: str) -> Compared:
    """Return one side of a comparison: a bundle, a container, a snapshot or an image."""
    from rootlay.vfs.containers.imageview import find_bundle, open_without_store
    from rootlay.vfs.containers.states import find_state

    if bundle := find_bundle(reference):
        return lambda: open_without_store(context.root, bundle)
    _pull_if_missing(context, reference)
    return find_state(context.root, reference)


def _pull_if_missing(context: Context, reference: str) -> None:
    """Pull an image that the store does not have: of layers that can be lazy, only the table of contents."""
    from rootlay.cli.container.pullmissing import can_pull, pull_image
    from rootlay.store.model.errors import UnknownImage
    from rootlay.vfs.containers.states import find_state

    try:
        find_state(context.root, reference)
    except UnknownImage:
        if not can_pull(reference):
            raise
        pull_image(context, reference, None, quiet=False, lazy=True)


def _write_page(stack: LayerStack, path: Path) -> None:
    from rootlay.store.disk.durable import replace_file
    from rootlay.vfs.explore.page import make_page
    from rootlay.vfs.explore.waste import count_waste

    replace_file(path, make_page(stack, count_waste(stack)).encode())


def _check(stack: LayerStack, rules: dict[str, str], config: Path, context: Context) -> int:
    """Print the figures and the outcome of each rule. Return 1 if one failed."""
    from rootlay.vfs.explore.rules import BadRule, check_rules, read_rules
    from rootlay.vfs.explore.waste import count_waste

    waste = count_waste(stack)
    try:
        given = read_rules(config) if config.exists() or str(config) != ".dive-ci" else {}
        verdicts = check_rules(waste, given | rules)
    except BadRule as error:
        raise UsageError(str(error)) from error
    context.out.lines(
        (
            f"efficiency: {waste.efficiency * 100:.4f} %",
            f"wastedBytes: {waste.wasted_bytes} bytes",
            f"userWastedPercent: {waste.wasted_user_share * 100:.4f} %",
        )
    )
    context.out.lines(f"{v.outcome}: {v.rule}{': ' + v.reason if v.reason else ''}" for v in verdicts)
    failed = any(verdict.outcome == "FAIL" for verdict in verdicts)
    context.out.line(f"Result: {'FAIL' if failed else 'PASS'}")
    return 1 if failed else 0


VERB = Verb(
    name="explore",
    help="Explore the layers of an image or container: what each adds, changes, removes and wastes.",
    action=action,
    options=(
        Option(("--html",), "text", "Write a self-contained HTML page instead.", "FILE"),
        Option(("-j", "--json"), "flag", "Print the analysis as dive's JSON."),
        Option(("--ci",), "flag", "Check rules; the exit code is 1 if one fails. No screen."),
        Option(("--ci-config",), "text", "File of rules (default: .dive-ci).", "FILE"),
        Option(("--lowest-efficiency",), "text", "Rule of --ci: lowest efficiency, 0 to 1 (default: 0.9).", "SHARE"),
        Option(("--highest-wasted-bytes",), "text", "Rule of --ci: most wasted bytes (default: disabled).", "SIZE"),
        Option(
            ("--highest-user-wasted-percent",), "text",
            "Rule of --ci: wasted bytes per byte above the base layer, 0 to 1 (default: 0.1).", "SHARE",
        ),
    ),
    arguments=(
        Argument("image", "IMAGE, CONTAINER, CONTAINER@SNAPSHOT or a bundle's path. A missing image is pulled."),
        Argument("other", "Compare with this one: its changes are the upper layer.", required=False),
    ),
    exits="1: a rule of --ci failed.",
    examples=("rootlay explore debian", "rootlay explore --html layers.html c1", "rootlay explore debian:12 debian:13"),
)  # fmt: skip
