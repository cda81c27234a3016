"""`build --call`: answers about a Dockerfile without building it: check, outline and targets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rootlay.cli.spec import Context, Option, UsageError, Values

if TYPE_CHECKING:
    from rootlay.store.store import ImageStore
    from rootlay.vfs.build.language.dockerfile import Dockerfile, Stage
    from rootlay.vfs.build.lint.finding import Finding

CALL_OPTIONS = (
    Option(
        ("--call",),
        "text",
        "Answer instead of a build: check, outline or targets, with `,format=json` as JSON.",
        "METHOD",
        default="build",
    ),
    Option(("--check",), "flag", "Check the Dockerfile by BuildKit's rules; short for --call=check."),
)
_CONTEXT_LINES = 2
CLEAN = "Check complete, no warnings found."
"""BuildKit's text."""
_KNOWN = ("build", "check", "lint", "outline", "targets")


def method_of(values: Values) -> tuple[str, bool]:
    """Return the method of --call, and whether its answer is JSON. Raises UsageError."""
    text = "check" if values.flag("check") else values.required("call")
    name, _, rest = text.partition(",")
    if name not in _KNOWN or rest not in ("", "format=json", "format=text"):
        raise UsageError(f"--call={text}: expected build, check, outline or targets, and maybe ,format=json")
    return "check" if name == "lint" else name, rest == "format=json"


def answer(
    values: Values, context: Context, store: ImageStore, dockerfile: Dockerfile, text: bytes, ignored: Any
) -> int:
    """Print the answer to --call. Return the exit code: 1 if the check found something."""
    method, as_json = method_of(values)
    if method == "targets":
        return _targets(context, dockerfile, as_json)
    if method == "outline":
        return _outline(values, context, dockerfile, as_json)
    return _check(context, store, dockerfile, text.decode("utf-8", "replace"), ignored, as_json)


def _targets(context: Context, dockerfile: Dockerfile, as_json: bool) -> int:
    last = dockerfile.stages[-1]
    rows = [
        {"name": stage.name or "", "base": stage.base.image, "default": stage is last} for stage in dockerfile.stages
    ]
    if as_json:
        context.out.json({"targets": rows})
        return 0
    _table(
        context,
        [("TARGET", "BASE"), *((_shown(row), str(row["base"])) for row in rows if row["name"] or row["default"])],
    )
    return 0


def _shown(row: dict[str, Any]) -> str:
    return f"{row['name'] or '(unnamed)'}{' (default)' if row['default'] else ''}"


def _outline(values: Values, context: Context, dockerfile: Dockerfile, as_json: bool) -> int:
    from rootlay.vfs.build.graph import find_target

    target = find_target(dockerfile, values.text("target") or "")
    stages = list(_needed(dockerfile, target))
    arguments = {pair.key: pair.value or "" for arg in dockerfile.args for pair in arg.pairs}
    mounts: dict[str, dict[str, bool]] = {"secret": {}, "ssh": {}}
    for stage in stages:
        for each in stage.instructions:
            if each.keyword == "ARG":
                arguments |= {pair.key: pair.value or arguments.get(pair.key, "") for pair in each.pairs}  # type: ignore[attr-defined]
            for mount in getattr(each, "mounts", ()):
                fields = dict(field.partition("=")[::2] for field in mount.split(","))
                if fields.get("type") in mounts:
                    kind = fields["type"]
                    name = fields.get("id") or (
                        fields.get("target", "").rpartition("/")[2] if kind == "secret" else "default"
                    )
                    mounts[kind][name] = fields.get("required", "false") in ("", "true")
    found = {
        "name": target.name or "",
        "args": [{"name": name, "value": value} for name, value in arguments.items()],
        "secrets": [{"name": name, "required": needed} for name, needed in mounts["secret"].items()],
        "ssh": [{"name": name, "required": needed} for name, needed in mounts["ssh"].items()],
    }
    if as_json:
        context.out.json(found)
        return 0
    context.out.line(f"TARGET: {target.name or '(unnamed)'}")
    for title, column, rows in (
        ("BUILD ARG", "VALUE", [(name, value) for name, value in arguments.items()]),
        ("SECRET", "REQUIRED", [(name, str(needed).lower()) for name, needed in mounts["secret"].items()]),
        ("SSH", "REQUIRED", [(name, str(needed).lower()) for name, needed in mounts["ssh"].items()]),
    ):
        if rows:
            context.out.line("")
            _table(context, [(title, column), *rows])
    return 0


def _needed(dockerfile: Dockerfile, target: Stage) -> Iterator[Stage]:
    """Yield the stages that a target is built from, itself included."""
    pending, seen = [target], set()
    while pending:
        stage = pending.pop()
        if stage.index in seen:
            continue
        seen.add(stage.index)
        yield stage
        names = [stage.base.image, *(getattr(each, "from_", None) or "" for each in stage.instructions)]
        found = (dockerfile.find_stage(name, stage.index) for name in names if name)
        pending += [each for each in found if each is not None]


def _table(context: Context, rows: list[tuple[str, str]]) -> None:
    from rootlay.cli.template.tabwriter import align
    from rootlay.store.model.errors import printable_text

    context.out.lines(align("\n".join("\t".join(map(printable_text, row)) for row in rows)))


def _check(context: Context, store: ImageStore, dockerfile: Dockerfile, text: str, ignored: Any, as_json: bool) -> int:
    from rootlay.vfs.build.lint.check import check
    from rootlay.vfs.build.lint.finding import RULES

    def environment_of(image: str) -> frozenset[str] | None:
        from rootlay.store.model.errors import RootlayError

        if image.lower() == "scratch":
            return frozenset({"PATH"})
        try:
            return frozenset(entry.partition("=")[0] for entry in store.image(image).config.config.env) | {"PATH"}
        except RootlayError:
            return None

    found, settings = check(dockerfile, environment_of, ignored)
    if as_json:
        rows = [_row(each, dockerfile.file) for each in found]
        error = {"buildError": {"message": "the checks found problems"}} if found and settings.error else {}
        context.out.json({"warnings": rows, **error})
        return 1 if found else 0
    if found:
        count = "1 warning has" if len(found) == 1 else f"{len(found)} warnings have"
        context.out.line(f"Check complete, {count} been found!")
    else:
        context.out.line(CLEAN)
    lines = text.split("\n")
    for each in found:
        context.out.line("")
        context.out.line(f"WARNING: {each.rule} - {each.url}")
        context.out.lines((RULES[each.rule], each.message) if each.message != RULES[each.rule] else (each.message,))
        context.out.lines(_excerpt(each, dockerfile.file, lines))
    return 1 if found else 0


def _row(each: Finding, file: str) -> dict[str, Any]:
    from rootlay.vfs.build.lint.finding import RULES

    start, end = {"line": each.first_line, "character": 0}, {"line": each.last_line, "character": 0}
    return {
        "ruleName": each.rule,
        "description": RULES[each.rule],
        "url": each.url,
        "detail": each.message,
        "location": {"file": file, "ranges": [{"start": start, "end": end}]},
    }


def _excerpt(each: Finding, file: str, lines: list[str]) -> Iterator[str]:
    """Yield the lines around a finding, with a mark, as BuildKit prints them."""
    yield f"{file}:{each.first_line}"
    yield "-" * 20
    for number in range(max(1, each.first_line - _CONTEXT_LINES), min(len(lines), each.last_line + _CONTEXT_LINES) + 1):
        mark = ">>>" if each.first_line <= number <= each.last_line else "   "
        yield f"{number:4} | {mark} {lines[number - 1].rstrip()}".rstrip()
    yield "-" * 20
