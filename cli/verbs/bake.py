"""`rootlay buildx bake`: the builds of a bake file, one after the other."""

from __future__ import annotations

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
    targets = {name: bake.target(name) for name in wanted}
    for text in values.many("set"):
        _override(targets, text)
    if values.flag("print"):
        groups = {"default": {"targets": wanted}}
        context.out.json({"group": groups, "target": targets})
        return 0
    for name, target in targets.items():
        context.err.line(f"bake: {name}", flush=True)
        code = _build(values, context, target)
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

    place, sign, item = text.partition("=")
    pattern, _, rest = place.partition(".")
    key, _, name = rest.partition(".")
    if not sign or not key:
        raise UsageError(f"--set {text}: expected TARGET.KEY=VALUE")
    matching = [target for target in targets if fnmatch.fnmatchcase(target, pattern)]
    if not matching:
        raise UsageError(f"--set {text}: could not find any target matching {pattern!r}")
    for target in matching:
        if name:
            targets[target].setdefault(key, {})[name] = item
        else:
            lists = ("tags", "platforms", "cache-from", "cache-to", "output", "secret", "ssh")
            flags = ("no-cache", "pull")
            targets[target][key] = [item] if key in lists else item == "true" if key in flags else item


def _build(values: Values, context: Context, target: dict[str, Any]) -> int:
    import tempfile

    from rootlay.cli.bake.targets import words_of
    from rootlay.cli.parse import parse
    from rootlay.cli.verbs.build import VERB as BUILD

    words = list(words_of(target))
    extra = [f"--{name.replace('_', '-')}" for name in _PASSED_ON[:4] if values.flag(name)]
    extra += [f"--{name}={values.text(name)}" for name in _PASSED_ON[4:] if values.text(name)]
    with tempfile.TemporaryDirectory(prefix="rootlay-bake-") as directory:
        if "dockerfile-inline" in target:
            inline = Path(directory) / "Dockerfile"
            inline.write_text(target["dockerfile-inline"], encoding="utf-8")
            words = [f"--file={inline}", *(word for word in words if not word.startswith("--file="))]
        return BUILD.action(parse(BUILD, [*extra, *words]), context)


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
