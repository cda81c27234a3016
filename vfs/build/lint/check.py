"""All checks of a Dockerfile, with its `# check=` directive.

The directive is `skip=RULE,RULE` or `skip=all`, `error=true`, `experimental=…`, separated by semicolons.
Source: docs.docker.com/reference/build-checks; BuildKit frontend/dockerfile/linter.
"""

from __future__ import annotations

from rootlay.store.model.value import value
from rootlay.vfs.build.language.dockerfile import Dockerfile
from rootlay.vfs.build.language.errors import BadDockerfile
from rootlay.vfs.build.lint.finding import RULES, Finding
from rootlay.vfs.build.lint.instructions import EnvironmentOf, Ignored, check_casing, check_instructions
from rootlay.vfs.build.lint.stages import check_stages


@value
class Settings:
    """What the directive says. `error`: findings fail the build."""

    skipped: frozenset[str] = frozenset()
    skips_all: bool = False
    error: bool = False


def settings_of(dockerfile: Dockerfile, override: str = "") -> Settings:
    """Return the settings of the directive, or of the build argument BUILDKIT_DOCKERFILE_CHECK.

    Raises BadDockerfile: it cannot be read.
    """
    skipped: frozenset[str] = frozenset()
    everything = error = False
    for part in (override or dockerfile.directives.get("check", "")).split(";"):
        name, sign, text = part.strip().partition("=")
        if name == "skip" and sign:
            names = {word.strip() for word in text.split(",")}
            everything, skipped = "all" in names, frozenset(names)
        elif name == "error" and text in ("true", "false"):
            error = text == "true"
        elif name and name != "experimental":
            raise BadDockerfile(dockerfile.file, 1, None, f"the check directive has an unknown part {part.strip()!r}")
    return Settings(skipped, everything, error)


def check(
    dockerfile: Dockerfile, environment_of: EnvironmentOf, ignored: Ignored, override: str = ""
) -> tuple[list[Finding], Settings]:
    """Return the findings, by line, and the settings of the directive. Raises BadDockerfile.

    Args:
        environment_of: see EnvironmentOf; UndefinedVar is checked only where the base image is known.
    """
    settings = settings_of(dockerfile, override)
    found = [
        *check_stages(dockerfile),
        *check_casing(dockerfile),
        *check_instructions(dockerfile, environment_of, ignored),
    ]
    kept = [each for each in found if not settings.skips_all and each.rule not in settings.skipped]
    assert all(each.rule in RULES for each in kept)
    return sorted(kept, key=lambda each: (each.first_line, each.rule)), settings
