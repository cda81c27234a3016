"""Each error of the language: it names file, line and instruction, says what is wrong, and what was probably meant."""

from __future__ import annotations

import pytest

from rootlay.store.model.manifest import Platform
from rootlay.vfs.build.language.errors import BadDockerfile
from rootlay.vfs.build.language.expand import expand
from rootlay.vfs.build.language.parser import parse, parse_trigger
from rootlay.vfs.build.language.scope import GlobalScope
from rootlay.vfs.build.language.suggest import near_miss

LINUX = Platform("linux", "amd64")

WHOLE = [
    ("", "D: no instructions: a Dockerfile starts with FROM"),
    ("# a\n\n", "D: no instructions: a Dockerfile starts with FROM"),
    ("ARG A", "D: no FROM"),
    ("RUN a\nFROM b", "D:1: RUN: is before the first FROM"),
    ("FRMO a", "D:1: FRMO: unknown instruction: FRMO (did you mean FROM?)"),
    ("FROM a\nXYZZY b", "D:2: XYZZY: unknown instruction: XYZZY"),
    ("# escape=x\nFROM a", "D:1: invalid escape character 'x': use \\ or `"),
    ("# syntax=a\n# syntax=b\nFROM a", "D:2: only one syntax parser directive can be used"),
    ("FROM", "D:1: FROM: expected IMAGE or IMAGE AS NAME"),
    ("FROM a SA b", "D:1: FROM: expected IMAGE or IMAGE AS NAME (did you mean AS?)"),
    (
        "FROM a AS 1b",
        (
            "D:1: FROM: invalid name for a stage: '1b': "
            "it starts with a letter and holds only letters, digits, '-', '_' and '.'"
        ),
    ),
    ("FROM --platfrom=a b", "D:1: FROM: unknown flag: --platfrom (did you mean --platform?)"),
    ("FROM --platform a", "D:1: FROM: --platform needs a value: --platform=…"),
]

INSTRUCTIONS = [
    ("RUN a \\\n b\nCOYP c d", "D:4: COYP: unknown instruction: COYP (did you mean COPY?)"),
    ('RUN ["a", 1]', "D:2: RUN: an array in JSON form must have only strings"),
    ("RUN <<EOF\na", "D:2: RUN: the heredoc is not closed: no line is 'EOF'"),
    ("RUN --network=nnoe a", "D:2: RUN: --network is default, none or host, not 'nnoe' (did you mean none?)"),
    ("RUN --security=x a", "D:2: RUN: --security is sandbox or insecure, not 'x'"),
    ("RUN --mount=tpye=cache a", "D:2: RUN: unknown key 'tpye' in --mount (did you mean type?)"),
    ("RUN --mount=type=cahce,target=/a b", "D:2: RUN: --mount: unknown type 'cahce' (did you mean cache?)"),
    ("RUN --mount=a b", "D:2: RUN: --mount: 'a' is not key=value"),
    ("RUN --mount= b", "D:2: RUN: --mount is empty: write type=…,target=…"),
    ('RUN --mount=type=cache,"target b', "D:2: RUN: --mount: 'target b' is not key=value (did you mean target?)"),
    ("RUN --mount=type=cache,target=/a,mode=9 b", "D:2: RUN: --mount: mode is an octal number, not '9'"),
    ("RUN --mount=type=cache,target=/a,uid=x b", "D:2: RUN: --mount: uid is a number, not 'x'"),
    ("RUN --mount=type=bind,target=/a,gid=1 b", "D:2: RUN: --mount: gid is not for type=bind"),
    ("RUN --mount=type=bind,target=/a,rw=x b", "D:2: RUN: --mount: readwrite must be true or false, not 'x'"),
    (
        "RUN --mount=type=tmpfs,target=/a,size=x b",
        "D:2: RUN: --mount: size must be a number of bytes, such as 64m, not 'x'",
    ),
    ("RUN --mount=type=cache,target=/a,size=1 b", "D:2: RUN: --mount: size is only for type=tmpfs, not for type=cache"),
    (
        "RUN --mount=type=bind,target=/a,sharing=locked b",
        "D:2: RUN: --mount: sharing is only for type=cache, not for type=bind",
    ),
    (
        "RUN --mount=type=cache,target=/a,sharing=lokced b",
        "D:2: RUN: --mount: unknown sharing 'lokced' (did you mean locked?)",
    ),
    ("RUN --mount=type=cache,target=/a,required b", "D:2: RUN: --mount: required is not for type=cache"),
    ("RUN --mount=type=ssh,env=A b", "D:2: RUN: --mount: env is only for type=secret, not for type=ssh"),
    ("RUN --mount=type=ssh,source=a b", "D:2: RUN: --mount: source is not for type=ssh: use id"),
    ("RUN --mount=type=secret b", "D:2: RUN: --mount: type=secret needs an id or a target"),
    ("RUN --mount=type=secret,id=a,from=b c", "D:2: RUN: --mount: from is not for type=secret"),
    ("RUN --mount=type=secret,id=a,source=b c", "D:2: RUN: --mount: type=secret takes id or source, not both"),
    (
        "RUN --mount=type=bind,from=$A,target=/a b",
        "D:2: RUN: --mount: 'from' cannot hold variables: give the image a stage name and use that",
    ),
    ("CMD --a b", "D:2: CMD: unknown flag: --a"),
    ("SHELL sh -c", 'D:2: SHELL: needs the JSON form: SHELL ["program", "argument"]'),
    ("SHELL []", "D:2: SHELL: needs at least one argument"),
    ("LABEL a", "D:2: LABEL: needs two arguments: write key=value"),
    ("LABEL", "D:2: LABEL: needs at least one argument"),
    ("ENV A=b C", "D:2: ENV: no '=' in 'C': write key=value, with quotes around a value that has spaces"),
    ("ENV =b", "D:2: ENV: a name cannot be empty"),
    ("ARG =b", "D:2: ARG: a name cannot be empty"),
    ("ARG", "D:2: ARG: needs at least one argument"),
    ("MAINTAINER", "D:2: MAINTAINER: needs exactly one argument"),
    ("USER", "D:2: USER: needs exactly one argument"),
    ("WORKDIR", "D:2: WORKDIR: needs exactly one argument"),
    ("STOPSIGNAL", "D:2: STOPSIGNAL: needs exactly one argument"),
    ("EXPOSE", "D:2: EXPOSE: needs at least one argument"),
    ("VOLUME []", "D:2: VOLUME: needs at least one argument"),
    ('VOLUME [""]', "D:2: VOLUME: a volume's path cannot be empty"),
    ("COPY a", "D:2: COPY: needs a source and a destination"),
    ("COPY --from=a", "D:2: COPY: needs a source and a destination"),
    ("COPY --chonw=a b c", "D:2: COPY: unknown flag: --chonw (did you mean --chown?)"),
    ("COPY --from=a --from=b c d", "D:2: COPY: --from is given twice"),
    ("COPY --link=x a b", "D:2: COPY: --link must be true or false, not 'x'"),
    ("COPY a <<EOF\nb\nEOF", "D:2: COPY: a heredoc cannot be the destination"),
    ("ADD --from=a b c", "D:2: ADD: unknown flag: --from"),
    ("ONBUILD", "D:2: ONBUILD: needs an instruction"),
    ("ONBUILD FROM a", "D:2: ONBUILD: FROM cannot be a trigger of ONBUILD"),
    ("ONBUILD ONBUILD RUN a", "D:2: ONBUILD: ONBUILD cannot be a trigger of ONBUILD"),
    ("ONBUILD RNU a", "D:2: ONBUILD: unknown instruction: RNU (did you mean RUN?)"),
    ("ONBUILD COPY a", "D:2: ONBUILD: needs a source and a destination"),
    ("HEALTHCHECK", "D:2: HEALTHCHECK: needs at least one argument: NONE, or CMD and a command"),
    ("HEALTHCHECK CDM a", "D:2: HEALTHCHECK: unknown type 'CDM': use NONE or CMD (did you mean CMD?)"),
    ("HEALTHCHECK NONE a", "D:2: HEALTHCHECK: NONE takes no arguments"),
    ("HEALTHCHECK CMD", "D:2: HEALTHCHECK: the command after CMD is missing"),
    (
        "HEALTHCHECK --interval=5 CMD a",
        "D:2: HEALTHCHECK: invalid duration '5': a number and a unit, as in 30s, 1m30s or 500ms",
    ),
    ("HEALTHCHECK --timeout=1us CMD a", "D:2: HEALTHCHECK: --timeout cannot be less than 1ms"),
    ("HEALTHCHECK --retries=-1 CMD a", "D:2: HEALTHCHECK: --retries must be a number from 0, not '-1'"),
]

EXPANSIONS = [
    ('ENV A="${B:?is needed}"', "D:2: ENV: B: is needed, in '\"${B:?is needed}\"'"),
    ("ENV A=${E?}${E:?}", "D:2: ENV: E: is not allowed to be empty, in '${E?}${E:?}'"),
    ("ENV A=${B?}", "D:2: ENV: B: is not allowed to be unset, in '${B?}'"),
    ("ENV A=${B", "D:2: ENV: unsupported modifier () in substitution, in '${B'"),
    ("ENV A=${B:", "D:2: ENV: unsupported modifier (:) in substitution, in '${B:'"),
    ("ENV A=${B:-c", "D:2: ENV: syntax error: missing '}', in '${B:-c'"),
    ("ENV A=${}", "D:2: ENV: syntax error: bad substitution, in '${}'"),
    ("ENV A=${B^^}", "D:2: ENV: unsupported modifier (^) in substitution, in '${B^^}'"),
    ("ENV A=${B/c}", "D:2: ENV: syntax error: missing '/', in '${B/c}'"),
    ("ENV A=${PATH#\\a}", "D:2: ENV: invalid pattern (\\a) in substitution: invalid escape '\\a', in '${PATH#\\\\a}'"),
    ("ENV A='b", "D:2: ENV: a single quote (') is not closed, in \"'b\""),
    ('LABEL a="b', "D:2: LABEL: a double quote (\") is not closed, in '\"b'"),
    ("ENV $B=c", "D:2: ENV: a name is empty after expansion"),
    ("EXPOSE a", "D:2: EXPOSE: not a port: 'a': write 80, 80/udp or 8000-8010"),
    ("EXPOSE 80/http", "D:2: EXPOSE: unknown protocol in '80/http': use tcp, udp or sctp"),
    ("EXPOSE 9-8", "D:2: EXPOSE: not a range of ports: '9-8'"),
    ("EXPOSE 70000", "D:2: EXPOSE: not a range of ports: '70000'"),
    ("VOLUME $B", "D:2: VOLUME: a volume's path is empty after expansion"),
    ("RUN --mount=type=$B,target=/a c", "D:2: RUN: --mount: unknown type ''"),
    (
        "ENV A=x$LONG$LONG",
        "D:2: ENV: $LONG is too long: variables can add at most 131072 characters here, in 'x$LONG$LONG'",
    ),
    (
        "ENV A=${LONG//?/$LONG}",
        (
            "D:2: ENV: ${LONG//?/$LONG} is too long: variables can add at most 131072 characters here, "
            "in '${LONG//?/$LONG}'"
        ),
    ),
    (
        f"LABEL {' '.join(f'a{n}=$LONG' for n in range(70))}",
        "D:2: LABEL: $LONG is too long: variables can add at most 4194304 characters here, in '$LONG'",
    ),
]


def message(text: str) -> str:
    with pytest.raises(BadDockerfile) as caught:
        parse(text, "D")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"), WHOLE + [(f"FROM a\n{text}", expected) for text, expected in INSTRUCTIONS]
)
def test_an_error_says_where_and_what(text: str, expected: str) -> None:
    assert message(text) == expected


@pytest.mark.parametrize(("text", "expected"), EXPANSIONS)
def test_an_error_of_expansion_says_where_and_what(text: str, expected: str) -> None:
    dockerfile = parse(f"FROM a\n{text}", "D")
    scope = GlobalScope.of(dockerfile, {}, build=LINUX, target=LINUX).stage(["PATH=/bin", "E=", f"LONG={'x' * 70_000}"])
    with pytest.raises(BadDockerfile) as caught:
        expand(dockerfile.stages[0].instructions[0], scope)
    assert str(caught.value) == expected


def test_a_default_that_doubles_again_and_again_is_an_error() -> None:
    doubled = "ARG A=aaaaaaaa\n" + "ARG A=$A$A\n" * 40
    dockerfile = parse(f"{doubled}FROM a", "D")
    with pytest.raises(BadDockerfile, match=r"^D:16: ARG: \$A is too long"):
        GlobalScope.of(dockerfile, {}, build=LINUX, target=LINUX)


def test_an_error_has_its_parts_as_fields() -> None:
    with pytest.raises(BadDockerfile) as caught:
        parse("FROM a\nRNU b", "D")
    error = caught.value
    assert (error.file, error.line, error.instruction, error.suggestion) == ("D", 2, "RNU", "RUN")


def test_a_base_that_is_empty_is_an_error() -> None:
    dockerfile = parse("ARG A\nFROM $A", "D")
    outer = GlobalScope.of(dockerfile, {}, build=LINUX, target=LINUX)
    with pytest.raises(BadDockerfile, match=r"^D:2: FROM: the image is empty: a variable in '\$A' has no value$"):
        outer.expand_from(dockerfile.stages[0].base)


def test_text_that_is_not_utf8_is_an_error_outside_of_comments() -> None:
    assert parse(b"# caf\xe9\nFROM a\nRUN b \\\n# \xff\n c").stages
    with pytest.raises(BadDockerfile, match=r"^D:2: RUN: is not UTF-8 text$"):
        parse(b"FROM a\nRUN \xff", "D")


@pytest.mark.parametrize("trigger", ["", "RUN a\nRUN b", "ONBUILD RUN a", "FROM a", "RNU a"])
def test_a_bad_trigger_of_a_base_image_is_an_error(trigger: str) -> None:
    with pytest.raises(BadDockerfile, match=r"^ONBUILD of base"):
        parse_trigger(trigger, "ONBUILD of base")


def test_only_near_words_are_suggested() -> None:
    assert near_miss("runn", ["RUN", "USER"], any_case=True) == "run"
    assert near_miss("RNU", ["ENV", "RUN"], any_case=True) == "RUN"
    assert near_miss("EXPSOE", ["EXPOSE", "ENV"]) == "EXPOSE"
    assert near_miss("run", ["RUN"]) is None
    assert near_miss("RUN", ["RUN"]) is None
    assert near_miss("xyzzy", ["RUN", "ADD"]) is None
