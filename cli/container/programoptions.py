"""The options of a program that `run`, `create`, `start` and `exec` share, and their values."""

from __future__ import annotations

from rootlay.cli.spec import Option, UsageError, Values

CONFINE = Option(
    ("--confine",),
    "text",
    ("Confine programs to the container's files with Landlock: auto (if the kernel supports it), require, off."),
    "MODE",
)
SIG_PROXY = Option(("--sig-proxy",), "flag", "Pass signals on to the program (default: true).", default=True)


def confine_mode(values: Values) -> str | None:
    """Return the value of --confine, None if it is not given.

    Raises:
        UsageError: the mode does not exist.
    """
    mode = values.text("confine")
    return mode and _choice("--confine", mode, ("auto", "require", "off"))


def _choice(option: str, given: str, known: tuple[str, ...]) -> str:
    if given not in known:
        raise UsageError(f"{option}={given}: expected {', '.join(known[:-1])} or {known[-1]}")
    return given


def variables(values: Values) -> tuple[str, ...]:
    """Return the values of -e. Raises UsageError for one without a name."""
    for text in values.many("env"):
        if not text.partition("=")[0]:
            raise UsageError(f"-e {text}: a variable needs a name: NAME[=VALUE]")
    return values.many("env")


def working_directory(values: Values) -> str | None:
    """Return the value of -w. Raises UsageError for a relative one: there is no base for it."""
    text = values.text("workdir")
    if text is not None and not text.startswith("/"):
        raise UsageError(f"-w {text}: the working directory must be an absolute path")
    return text


def env_files(values: Values) -> list[str]:
    """Return the lines of --env-file, by Docker's rules. Raises UsageError, OSError."""
    return [line for path in values.many("env_file") for line in lines_of("--env-file", path, "NAME[=VALUE]")]


def lines_of(option: str, path: str, expected: str) -> list[str]:
    """Return the lines `NAME[…]` of a file that an option names. Raises UsageError, OSError."""
    found = []
    with open(path, "rb") as file:
        data = file.read()
    for number, raw in enumerate(data.removeprefix(b"\xef\xbb\xbf").splitlines(), 1):
        try:
            line = raw.decode("utf-8").strip()
        except UnicodeDecodeError:
            raise UsageError(f"{option} {path}:{number}: not UTF-8 text") from None
        if not line or line.startswith("#"):
            continue
        name = line.partition("=")[0]
        if not name or name.split() != [name] or "\0" in line:
            raise UsageError(f"{option} {path}:{number}: expected {expected}: {line[:40]}")
        found.append(line)
    return found
