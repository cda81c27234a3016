"""One finding of a check, and the rules by name."""

from __future__ import annotations

import re

from rootlay.store.model.value import value
from rootlay.vfs.build.language.syntax import Source

RULES = {
    "StageNameCasing": "Stage names should be lowercase",
    "FromAsCasing": "The 'as' keyword should match the case of the 'from' keyword",
    "NoEmptyContinuation": "Empty continuation lines will become errors in a future release",
    "ConsistentInstructionCasing": (
        "All commands within the Dockerfile should use the same casing (either upper or lower)"
    ),
    "DuplicateStageName": "Stage names should be unique",
    "ReservedStageName": "Reserved words should not be used as stage names",
    "JSONArgsRecommended": (
        "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals"
    ),
    "MaintainerDeprecated": ("The MAINTAINER instruction is deprecated, use a label instead to define an image author"),
    "UndefinedArgInFrom": "FROM command must use declared ARGs",
    "WorkdirRelativePath": (
        "Relative workdir without an absolute workdir declared within the build can have unexpected results if the "
        "base image changes"
    ),
    "UndefinedVar": "Variables should be defined before their use",
    "MultipleInstructionsDisallowed": ("Multiple instructions of the same type should not be used in the same stage"),
    "LegacyKeyValueFormat": "Legacy key/value format with whitespace separator should not be used",
    "InvalidDefaultArgInFrom": ("Default value for global ARG results in an empty or invalid base image name"),
    "FromPlatformFlagConstDisallowed": "FROM --platform flag should not use a constant value",
    "RedundantTargetPlatform": (
        "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior"
    ),
    "SecretsUsedInArgOrEnv": "Sensitive data should not be used in the ARG or ENV commands",
    "ExposeProtoCasing": "Protocol in EXPOSE instruction should be lowercase",
    "ExposeInvalidFormat": (
        "IP address and host-port mapping should not be used in EXPOSE instruction. This will become an error in a "
        "future release"
    ),
    "CopyIgnoredFile": "Attempting to Copy file that is excluded by .dockerignore",
}
"""The rules and their descriptions (BuildKit frontend/dockerfile/linter/ruleset.go)."""


@value
class Finding:
    """One finding: the rule, its message, and the lines that it is about."""

    rule: str
    message: str
    first_line: int
    last_line: int

    @property
    def url(self) -> str:
        """The page about the rule."""
        words = re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+", self.rule)
        return f"https://docs.docker.com/go/dockerfile/rule/{'-'.join(words).lower()}/"


def find(rule: str, message: str, source: Source) -> Finding:
    """Return a finding about an instruction."""
    return Finding(rule, message, source.first_line, source.last_line)
