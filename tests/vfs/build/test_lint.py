"""The checks of `build --check`: the lines of each rule, and its message (docs.docker.com/reference/build-checks)."""

from __future__ import annotations

import pytest

from rootlay.vfs.build.language.errors import BadDockerfile
from rootlay.vfs.build.language.parser import parse
from rootlay.vfs.build.lint.check import check
from rootlay.vfs.build.lint.finding import RULES, Finding

FROM = "FROM scratch\n"
CASES = [
    ("StageNameCasing", "FROM scratch AS Base", 1, "Stage name 'Base' should be lowercase"),
    ("FromAsCasing", "FROM scratch as base", 1, "'as' and 'FROM' keywords' casing do not match"),
    ("NoEmptyContinuation", FROM + "LABEL a=b \\\n\n  c=d", 3, "Empty continuation line"),
    (
        "ConsistentInstructionCasing",
        FROM + "LABEL a=b\nlabel c=d",
        3,
        "Command 'label' should match the case of the command majority (uppercase)",
    ),
    (
        "DuplicateStageName",
        "FROM scratch AS a\nFROM scratch AS a",
        2,
        'Duplicate stage name "a", stage names should be unique',
    ),
    (
        "ReservedStageName",
        "FROM scratch AS context",
        1,
        'Stage name should not use the same name as reserved stage "context"',
    ),
    (
        "JSONArgsRecommended",
        FROM + "CMD echo hi",
        2,
        "JSON arguments recommended for CMD to prevent unintended behavior related to OS signals",
    ),
    (
        "MaintainerDeprecated",
        FROM + "MAINTAINER me",
        2,
        "Maintainer instruction is deprecated in favor of using label",
    ),
    (
        "UndefinedArgInFrom",
        "ARG VERSION=1\nFROM a:${VERSON}",
        2,
        "FROM argument 'VERSON' is not declared (did you mean VERSION?)",
    ),
    (
        "WorkdirRelativePath",
        FROM + "WORKDIR app",
        2,
        'Relative workdir "app" can have unexpected results if the base image changes',
    ),
    ("UndefinedVar", FROM + "COPY $foo .", 2, "Usage of undefined variable '$foo'"),
    (
        "UndefinedVar",
        FROM + "ARG DIR_ASSETS\nCOPY $DIR_ASSET .",
        3,
        "Usage of undefined variable '$DIR_ASSET' (did you mean $DIR_ASSETS?)",
    ),
    (
        "MultipleInstructionsDisallowed",
        FROM + 'CMD ["a"]\nCMD ["b"]',
        2,
        "Multiple CMD instructions should not be used in the same stage because only the last one will be used",
    ),
    (
        "LegacyKeyValueFormat",
        FROM + "ENV a b",
        2,
        '"ENV key=value" should be used instead of legacy "ENV key value" format',
    ),
    (
        "InvalidDefaultArgInFrom",
        "ARG TAG\nFROM busybox:${TAG}",
        2,
        "Default value for ARG busybox:${TAG} results in empty or invalid base image name",
    ),
    (
        "FromPlatformFlagConstDisallowed",
        "FROM --platform=linux/amd64 scratch",
        1,
        'FROM --platform flag should not use constant value "linux/amd64"',
    ),
    (
        "RedundantTargetPlatform",
        "FROM --platform=$TARGETPLATFORM scratch",
        1,
        "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
    ),
    (
        "SecretsUsedInArgOrEnv",
        FROM + "ARG AWS_SECRET_ACCESS_KEY",
        2,
        'Do not use ARG or ENV instructions for sensitive data (ARG "AWS_SECRET_ACCESS_KEY")',
    ),
    (
        "ExposeProtoCasing",
        FROM + "EXPOSE 80/TcP",
        2,
        "Defined protocol '80/TcP' in EXPOSE instruction should be lowercase",
    ),
    (
        "ExposeInvalidFormat",
        FROM + "EXPOSE 127.0.0.1:80:80",
        2,
        "EXPOSE instruction should not define an IP address or host-port mapping, found '127.0.0.1:80:80'",
    ),
    (
        "CopyIgnoredFile",
        FROM + "COPY ignored/x .",
        2,
        'Attempting to Copy file "ignored/x" that is excluded by .dockerignore',
    ),
]


def findings(text: str) -> list[Finding]:
    def environment_of(image: str) -> frozenset[str] | None:
        return frozenset({"PATH"}) if image == "scratch" else None

    return check(parse(text), environment_of, lambda path: path.startswith("ignored"))[0]


@pytest.mark.parametrize(("rule", "text", "line", "message"), CASES)
def test_a_rule_finds_the_line(rule: str, text: str, line: int, message: str) -> None:
    assert [(found.rule, found.first_line, found.message) for found in findings(text)] == [(rule, line, message)]


def test_every_rule_has_a_case() -> None:
    assert {rule for rule, *_ in CASES} == RULES.keys()


@pytest.mark.parametrize(
    "text",
    [
        'FROM scratch AS base\nARG A=1\nENV B=$A\nWORKDIR /x\nWORKDIR y\nCMD ["a"]\nFROM base\nLABEL l=$B\nWORKDIR z\n',
        "ARG V=1\nFROM a:${V}\nCOPY $unknown /\n",
        "ARG V\nFROM a:${V:-1}\n",
        "FROM --platform=$BUILDPLATFORM scratch\nENV PUBLIC_KEY=x\nEXPOSE 80/tcp 90\nRUN echo $anything\n",
        "from scratch as a\nlabel a=b\n",
    ],
)
def test_what_is_right_is_not_found(text: str) -> None:
    assert findings(text) == []


def test_the_directive_skips_rules_and_makes_errors() -> None:
    text = (
        "# check=skip=MaintainerDeprecated,JSONArgsRecommended;error=true\n" + FROM + "MAINTAINER me\nCMD a\nENV a b\n"
    )
    found, settings = check(parse(text), lambda _: None, lambda _: False)
    assert [each.rule for each in found] == ["LegacyKeyValueFormat"]
    assert settings.error
    assert not findings("# check=skip=all\n" + FROM + "MAINTAINER me\n")
    with pytest.raises(BadDockerfile, match="unknown part"):
        findings("# check=skp=all\n" + FROM)


def test_a_finding_names_its_page() -> None:
    pages = {found.rule: found.url.rpartition("/rule/")[2] for _, text, *_ in CASES for found in findings(text)}
    assert pages["JSONArgsRecommended"] == "json-args-recommended/"
    assert pages["SecretsUsedInArgOrEnv"] == "secrets-used-in-arg-or-env/"
