"""`.dockerignore`, rule by rule."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rootlay.vfs.build.context.glob import compiled
from rootlay.vfs.build.context.ignore import _compile, parse_excludes, parse_ignore
from rootlay.vfs.build.language.errors import BadDockerfile


@pytest.mark.parametrize(
    ("text", "left_out", "kept"),
    [
        ("# a comment\nb", ["b"], ["# a comment", "a"]),
        ("  a  \n\n", ["a"], ["b"]),
        ("/a/\n./b\nc/../d\n", ["a", "b", "d"], ["c"]),
        ("a", ["a", "a/b", "a/b/c"], ["b/a", "ab"]),
        ("*/temp*", ["a/temp", "a/temp.txt", "a/tempdir/b"], ["temp", "a/b/temp"]),
        ("*/*/temp*", ["a/b/temp"], ["a/temp"]),
        ("temp?", ["tempa", "tempb/c"], ["temp", "tempab", "temp/"]),
        ("**/*.go", ["a.go", "a/b.go", "a/b/c.go"], ["a.gox"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["ab", "a/xb"]),
        ("a/**", ["a/b", "a/b/c"], ["a", "ab"]),
        ("**", ["a", "a/b"], []),
        ("**/a", ["a", "b/a", "b/c/a/d"], ["ba"]),
        ("**a", ["a", "ba", "b/ca"], ["b"]),
        ("a**", ["a", "ab", "ab/c"], ["ba"]),
        ("*.md\n!README.md", ["a.md"], ["README.md"]),
        ("*.md\n!README*.md\nREADME-secret.md", ["a.md", "README-secret.md"], ["README.md", "README-x.md"]),
        ("*.md\nREADME-secret.md\n!README*.md", ["a.md"], ["README-secret.md"]),
        ("a\n!a/b", ["a", "a/c"], ["a/b", "a/b/c"]),
        ("*\n!a/b", ["a", "c"], ["a/b"]),
        ("[ab]c\n\\*", ["ac", "bc", "*"], ["cc", "d"]),
        ("[^a]", ["b"], ["a"]),
        ("\ufeffa", ["a"], []),
        ("a\r\nb\r\n", ["a", "b"], ["a\r"]),
        ("Dockerfile\n.dockerignore", ["Dockerfile", ".dockerignore"], ["Dockerfile.x"]),
    ],
)
def test_the_rules_of_the_reference(text: str, left_out: list[str], kept: list[str]) -> None:
    rules = parse_ignore(text)
    assert [path for path in left_out if not rules.excludes(path)] == []
    assert [path for path in kept if rules.excludes(path)] == []


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("*a" * 40 + "b", "a" * 255, False),
        ("*a" * 40 + "*", "a" * 255, True),
        ("**/*a" * 40 + "b", "a/" * 2000 + "a", False),
        ("**/**/" * 40 + "b", "a/" * 2000 + "b", True),
        ("[^b]*" * 40 + "b", "a/" * 200, False),
    ],
)
def test_no_pattern_takes_exponential_time(pattern: str, path: str, fits: bool) -> None:
    assert _compile(pattern)(path) is fits


@settings(max_examples=500)
@given(
    st.lists(st.sampled_from(["a", "*", "?", "/", "**", "**/", "[ab]", "[^a]"]), max_size=7),
    st.text(st.sampled_from("ab/"), max_size=8),
)
def test_short_patterns_match_as_regular_expressions_do(parts: list[str], path: str) -> None:
    meaning = {"*": "[^/]*", "?": "[^/]", "**": "(.*/)?", "**/": "(.*/)?"}
    tokens = re.findall(r"\*\*/?|\[.*?\]|.", "".join(parts))
    expression = "".join(meaning.get(token, token) for token in tokens)
    if tokens and tokens[-1].startswith("**"):
        expression = expression.removesuffix("(.*/)?") + ".*"
    expected = re.fullmatch(expression, path) is not None
    assert compiled("".join(parts), any_depth=True).matches(path) is expected


def test_a_walk_need_not_enter_a_directory_that_nothing_is_taken_back_from() -> None:
    rules = parse_ignore("node_modules\nsrc\n!src/*/keep\n")
    assert not rules.may_take_back("node_modules")
    assert rules.may_take_back("src")
    assert rules.may_take_back("src/a")
    assert not rules.may_take_back("src/a/other")
    assert parse_ignore("a\n!**/b").may_take_back("a")


@pytest.mark.parametrize("pattern", ["a[", "!", "a\n[]", "x\\", "[a-]", "! "])
def test_a_bad_pattern_is_an_error_that_names_its_line(pattern: str) -> None:
    with pytest.raises(BadDockerfile, match=rf"^\.dockerignore:{pattern.count(chr(10)) + 1}: "):
        parse_ignore(pattern)


def test_excludes_of_copy_follow_the_same_rules() -> None:
    rules = parse_excludes(["*.txt", "!keep.txt", ""])
    assert rules.excludes("a.txt")
    assert not rules.excludes("keep.txt")
