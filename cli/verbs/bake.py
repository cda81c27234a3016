"""`rootlay buildx bake`: the builds of a bake file, one after the other."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from rootlay.cli.spec import Argument, Context, Option, UsageError, Values, Verb

_PASSED_ON = ("push", "load", "no_cache", "pull", "progress", "provenance", "sbom", "builder")


def action(values: Values, context: Context) -> int:
    from rootlay.cli.bake.targets import Bake

    bake = Bake(context.environ)
    for path in _files(values):
        bake.read(path)
    wanted = bake.expand(values.many("target") or ("default",))
    targets = {name: dict(bake.target(name)) for name in wanted}
    for text in values.many("set"):
        _override(targets, text)
    if values.flag("print"):
        groups = {"default": {"targets": wanted}}
        context.out.json({"group": groups, "target": targets})
        return 0
    for name, target in targets.items():
        context.err.line(f"bake: {name}", flush=True)
        code = _build(values, context, name, target)
        if code:
            return code
    return 0


def _files(values: Values) -> list[Path]:
    from rootlay.cli.bake.targets import DEFAULT_FILES

    given = [Path(text) for text in values.many("file")]
    found = given or [Path(name) for name in DEFAULT_FILES if Path(name).is_file()]
    if not found:
        raise UsageError(f"bake: no bake file here; expected {', '.join(DEFAULT_FILES)}, or use -f")
    return found


def _override(targets: dict[str, dict[str, Any]], text: str) -> None:
    """Apply `--set TARGET.KEY[.NAME]=VALUE`; TARGET may be a pattern. Raises UsageError."""
    import fnmatch

    from rootlay.cli.bake.targets import check_values

    place, sign, item = text.partition("=")
    pattern, _, rest = place.partition(".")
    key, _, name = rest.partition(".")
    if not sign or not key:
        raise UsageError(f"--set {text}: expected TARGET.KEY=VALUE")
    matching = [target for target in targets if fnmatch.fnmatchcase(target, pattern)]
    if not matching:
        raise UsageError(f"--set {text}: could not find any target matching {pattern!r}")
    for target in matching:
        values = targets[target]
        if name:
            known = values.get(key) or {}
            if not isinstance(known, dict):
                raise UsageError(f"--set {text}: {key} of target {target} is not a map")
            values[key] = {**known, name: item}
        else:
            lists = ("tags", "platforms", "cache-from", "cache-to", "output", "secret", "ssh")
            flags = ("no-cache", "pull")
            values[key] = [item] if key in lists else item == "true" if key in flags else item
        check_values(values, f"--set {text}: target {target}")


def _build(values: Values, context: Context, name: str, target: dict[str, Any]) -> int:
    import tempfile

    from rootlay.cli.bake.targets import words_of
    from rootlay.cli.parse import LeaveToTyper, parse
    from rootlay.cli.verbs.build import VERB as BUILD

    words = list(words_of(target))
    extra = [f"--{option.replace('_', '-')}" for option in _PASSED_ON[:4] if values.flag(option)]
    extra += [f"--{option}={values.text(option)}" for option in _PASSED_ON[4:] if values.text(option)]
    with tempfile.TemporaryDirectory(prefix="rootlay-bake-") as directory:
        if target.get("dockerfile-inline") is not None:
            inline = Path(directory) / "Dockerfile"
            inline.write_bytes(os.fsencode(str(target["dockerfile-inline"])))
            words = [f"--file={inline}", *(word for word in words if not word.startswith("--file="))]
        try:
            given = parse(BUILD, [*extra, *words])
        except LeaveToTyper:
            raise UsageError(f"bake: target {name}: `rootlay build` does not accept its values") from None
        return BUILD.action(given, context)


VERB = Verb(
    name="bake",
    help="Build the targets of a bake file (JSON, or HCL without functions), one after the other.",
    action=action,
    options=(
        Option(("-f", "--file"), "many", "Bake file; repeatable (default: docker-bake.json, docker-bake.hcl).", "FILE"),
        Option(("--set",), "many", "Override a value of a target.", "TARGET.KEY=VALUE"),
        Option(("--print",), "flag", "Print the targets, and build nothing."),
        Option(("--push",), "flag", "Push the images."),
        Option(("--load",), "flag", "Keep the images in the store: that is the default."),
        Option(("--no-cache",), "flag", "Do not use cached layers."),
        Option(("--pull",), "flag", "Check the registry for newer base images."),
        Option(("--progress",), "text", "Progress output, as of `build`.", "HOW"),
        Option(("--provenance",), "text", "As of `build`.", "VALUE"),
        Option(("--sbom",), "text", "As of `build`.", "VALUE"),
        Option(("--builder",), "text", "As of `build`.", "NAME"),
    ),
    arguments=(Argument("target", "Targets and groups (default: default).", required=False, many=True),),
)
