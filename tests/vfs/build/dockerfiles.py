"""Random Dockerfiles for Hypothesis: mostly right ones, made of the language's own pieces, often a little damaged."""

from __future__ import annotations

from hypothesis import strategies as st

KEYWORDS = (
    "ADD ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL MAINTAINER ONBUILD RUN SHELL STOPSIGNAL USER VOLUME "
    "WORKDIR"
).split()
PIECES = (
    *"a b = == \\ ` ' \" $ { } [ ] , : / - -- # < << <<- | * ? ! ~ . ..".split(),
    *("<<EOF", "<<-E", "<<'Q'", '<<"Q"', "EOF", "E", "Q", "\tE", "3<<EOF", "<<EOF <<E"),
    *("$A", "${A}", "${A:-b}", "${A#*/}", "${A//a/b}", "${A:?no}", "a=b", "a='b c'", 'a="b c"', "a=b\\ c"),
    *('["a", "b"]', "[]", '["a",', '[1, "a"]', '[""]', "['a']", '["\\u00e9"]', '["a"] b'),
    *("--from=a", "--chown=a:b", "--chmod=755", "--link", "--link=false", "--parents", "--exclude=*.a", "--a=b", "--"),
    *("--mount=type=cache,target=/a", "--mount=type=bind,from=a,target=/b", "--mount=type=secret,id=a", "--mount=a"),
    *("--network=none", "--platform=linux/amd64", "--checksum=sha256:a", "--interval=1s", "--retries=3", "--timeout=x"),
    *(
        "NONE",
        "CMD",
        "AS",
        "as",
        "scratch",
        "80",
        "80/udp",
        "8000-8001",
        "SIGTERM",
        "root:0",
        "/a/b",
        "\u00e9",
        "\u00a0",
    ),
)

spaces = st.sampled_from([" ", "  ", "\t", "", " \\\n", "\\\n  ", " \\\n# comment\n", "\\\n\n", " \\ \n", "\v", "\f"])
pieces = st.sampled_from(PIECES)
keywords = st.sampled_from(KEYWORDS).flatmap(
    lambda word: st.sampled_from([word, word.lower(), word.title(), word[:-1], f"ONBUILD {word}"])
)


@st.composite
def lines(draw: st.DrawFn) -> str:
    """An instruction, a comment, a heredoc's end, or an empty line."""
    kind = draw(st.integers(0, 11))
    if kind == 0:
        return draw(st.sampled_from(["", "  ", "# comment", "  # comment", "EOF", "E", "Q", "\tE", "text $A \\"]))
    words = [draw(keywords)]
    for _ in range(draw(st.integers(0, 4))):
        words += [draw(spaces) or " ", draw(pieces)]
        if draw(st.integers(0, 3)) == 0:
            words.append(draw(pieces))
    return "".join(words)


@st.composite
def dockerfiles(draw: st.DrawFn) -> str:
    """A text; half of them start so that the rest is looked at."""
    head = draw(
        st.sampled_from(["FROM a\n", "FROM a\n", "ARG A=b\nFROM a AS b\n", "# escape=`\nFROM a\n", "#syntax=x\n", ""])
    )
    ends = draw(st.sampled_from(["\n", "\n", "\n", "\r\n"]))
    body = ends.join(draw(st.lists(lines(), max_size=6)))
    return head + body + draw(st.sampled_from(["", "\n", "\nEOF\n", "\nE\n", "\nQ\n", "\nEOF\nE\n"]))


names = st.sampled_from(["a", "b", "ab", "ba", "a.b", ".a", "b-a", "]", "^"])
paths = st.lists(names, min_size=1, max_size=4).map("/".join)
patterns = st.lists(
    st.sampled_from(
        ["a", "b", "/", "*", "**", "?", ".", "!", "[ab]", "[^a]", "[a-b]", "\\*", "\\.", " ", "-", "^", "]", "a/b"]
    ),
    max_size=6,
).map("".join)
ignore_files = st.lists(st.one_of(patterns, patterns.map("!{}".format), st.just("# a")), max_size=5).map("\n".join)

lexer_texts = st.lists(
    st.sampled_from(
        [*"ab${}'\"\\` *?/:-_1\n", "A", "$A", "${A", "${A:-", "${B:+", "${A#", "${A%%", "${B/", "${B//", "${C:?", "${E",
         "\u00e9", "${A-", "${E+", "${E?", "$1", "$@"]
    ),
    max_size=9,
).map("".join)  # fmt: skip
