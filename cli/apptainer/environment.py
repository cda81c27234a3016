"""The environment of a program, by Apptainer's rules.

1. The caller's variables pass, unless --cleanenv; but not PATH, HOME, LD_LIBRARY_PATH, and the settings of Apptainer.
2. The image's variables are defaults: a caller's variable that is not empty stays. PATH is the image's.
3. APPTAINERENV_NAME and SINGULARITYENV_NAME set NAME, also with --cleanenv; PREPEND_PATH and APPEND_PATH extend PATH.
4. --env-file, then --env, come last.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence

from rootlay.cli.spec import UsageError
from rootlay.vfs.run.program import DEFAULT_PATH

_KEPT = frozenset("term http_proxy https_proxy no_proxy all_proxy ftp_proxy".split())
_OWN = ("APPTAINER_", "SINGULARITY_", "APPTAINERENV_", "SINGULARITYENV_")
_NOT_PASSED = frozenset("PATH HOME LD_LIBRARY_PATH OLDPWD PWD SHLVL _ PS1 ROOTLAY_ROOT".split())


def program_environment(
    caller: Mapping[str, str], image: Sequence[str], given: Mapping[str, str], home: str, *, clean: bool
) -> dict[str, str]:
    """Return the variables of a program.

    Args:
        image: NAME=VALUE, of the image's config.
        given: those of --env-file and --env.
        home: the home directory inside.
        clean: --cleanenv.
    """
    passed = {name: text for name, text in caller.items() if _passes(name, clean=clean)}
    if clean:
        passed.setdefault("LANG", "C")
    found = dict(entry.split("=", 1) for entry in image if "=" in entry)
    found.setdefault("PATH", DEFAULT_PATH)
    found |= {name: text for name, text in passed.items() if text or name not in found}
    found["HOME"] = home
    found["PS1"] = "Apptainer> "
    found["USER_PATH"] = caller.get("PATH", "")
    for prefix in ("SINGULARITYENV_", "APPTAINERENV_"):
        own = {name.removeprefix(prefix): text for name, text in caller.items() if name.startswith(prefix)}
        _set(found, own)
    _set(found, given)
    return found


def _passes(name: str, *, clean: bool) -> bool:
    if name in _NOT_PASSED or name.startswith(_OWN):
        return False
    return not clean or name.lower() in _KEPT


def _set(found: dict[str, str], own: Mapping[str, str]) -> None:
    found |= {name: text for name, text in own.items() if name not in ("", "PREPEND_PATH", "APPEND_PATH")}
    if before := own.get("PREPEND_PATH"):
        found["PATH"] = f"{before}:{found['PATH']}"
    if after := own.get("APPEND_PATH"):
        found["PATH"] = f"{found['PATH']}:{after}"


def given_variables(files: Iterable[str], texts: Iterable[str]) -> dict[str, str]:
    """Return the variables of --env-file and --env.

    Raises:
        UsageError: not NAME=VALUE.
        OSError: a file cannot be read.
    """
    found: dict[str, str] = {}
    for path in files:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            for number, line in enumerate(file, 1):
                found |= _line(f"--env-file {path}:{number}", line)
    for text in texts:
        for part in _parts(text):
            name, sign, rest = part.partition("=")
            if not name or not sign:
                raise UsageError(f"--env {text[:80]}: expected NAME=VALUE[,NAME=VALUE…]")
            found[name] = rest
    return found


def _parts(text: str) -> list[str]:
    """Split at the commas that a name and an equals sign follow: a value may have others."""
    parts: list[str] = []
    for word in text.split(","):
        name, sign, _ = word.partition("=")
        if parts and not (sign and name.isidentifier()):
            parts[-1] += f",{word}"
        else:
            parts.append(word)
    return parts


def _line(where: str, line: str) -> dict[str, str]:
    text = line.strip().removeprefix("export ")
    if not text or text.startswith("#"):
        return {}
    try:
        words = shlex.split(text, comments=True)
    except ValueError:
        words = []
    name, sign, rest = "".join(words[:1]).partition("=")
    if len(words) != 1 or not sign or not name.isidentifier():
        raise UsageError(f"{where}: expected NAME=VALUE, in quotes if it has spaces: {text[:60]}")
    return {name: rest}
