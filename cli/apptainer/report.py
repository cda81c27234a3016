"""What the face says on standard error, in Apptainer's form, and the environment of its settings."""

from __future__ import annotations

from collections.abc import Mapping

from rootlay.cli.printer import Printer
from rootlay.cli.spec import Option, Values, Verb
from rootlay.store.model.value import value

FATAL = 255
"""The exit code of Apptainer's own errors."""
VERSION = "1.4.5"
"""The release of Apptainer whose command line this is."""


@value
class Report:
    """Notes and warnings. `level`: 1 prints both, 0 (--quiet) and -1 (--silent) none."""

    err: Printer
    level: int = 1

    def info(self, text: str) -> None:
        if self.level > 0:
            self.err.line(f"INFO:    {text}")

    def warning(self, text: str) -> None:
        if self.level > 0:
            self.err.line(f"WARNING: {text}")

    def fatal(self, text: str) -> None:
        if self.level >= 0:
            self.err.line(f"FATAL:   {text}")


def setting(environ: Mapping[str, str], *names: str) -> str | None:
    """Return the first variable that is set and not empty: APPTAINER_NAME, or SINGULARITY_NAME."""
    for name in names:
        for prefix in ("APPTAINER_", "SINGULARITY_"):
            if text := environ.get(prefix + name):
                return text
    return None


def with_settings(values: Values, verb: Verb, environ: Mapping[str, str]) -> Values:
    """Return the values, with those of variables for the options that are not given: APPTAINER_CLEANENV for --cleanenv.

    Raises UsageError: the table refuses a value.
    """
    given = dict(values.given)
    for option in verb.options:
        names = _names(option)
        text = setting(environ, *names)
        if text is None or option.name == "env" or given[option.name] not in (option.start, ()):
            continue
        if option.kind == "flag":
            given[option.name] = text.lower() not in ("0", "false", "no", "off")
        else:
            given[option.name] = (text,) if option.kind == "many" else text
        option.check(given[option.name] if option.kind != "many" else text)
    return Values(given)


def _names(option: Option) -> tuple[str, ...]:
    names = tuple(flag[2:].replace("-", "_").upper() for flag in option.flags if flag.startswith("--"))
    return (*names, "BINDPATH") if option.name == "bind" else names
