r"""`.dockerignore`: the files of a context, or of a COPY, that are left out.

1. One pattern a line; lines that start with `#` are comments; white space around is dropped; `.`, `..` and double
   slashes are resolved; a slash at the start or the end means nothing.
2. Wildcards as in `glob`, and `**` for any number of directories, none included. A pattern that matches a directory
   covers its content.
3. `!pattern` includes files again. The last pattern that matches a path decides.
4. A directory that is left out still exists if something in it is included again.

Differences from moby, which passes parts of a pattern to a regular expression: `\d`, `\b` and such are the letter here,
and `*`, `?` in a set are themselves, both as in filepath.Match; a bad pattern is always an error.

Source: moby/patternmatcher (and ignorefile); Dockerfile reference, ".dockerignore file".
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable

from rootlay.store.model.value import value
from rootlay.vfs.build.context.glob import compiled
from rootlay.vfs.build.context.glob import match as glob_match
from rootlay.vfs.build.language.errors import BadDockerfile, BadValue
from rootlay.vfs.build.language.lines import SPACES


def parse_ignore(text: str | bytes, file: str = ".dockerignore") -> IgnoreRules:
    """Parse the rules of a file's content. Raises BadDockerfile."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    rules = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        pattern = line.strip(SPACES)
        if not pattern or line.startswith("#"):
            continue
        negated = pattern.startswith("!")
        pattern = pattern[negated:].strip(SPACES)
        pattern = _clean(pattern) if pattern else ""
        if len(pattern) > 1:
            pattern = pattern.removeprefix("/")
        try:
            rules.append(_rule(("!" if negated else "") + pattern))
        except BadValue as error:
            raise BadDockerfile(file, number, None, error.reason) from None
    return IgnoreRules(tuple(rules))


def parse_excludes(patterns: Iterable[str]) -> IgnoreRules:
    """Parse the rules of COPY --exclude. Raises BadValue."""
    stripped = (pattern.strip(SPACES) for pattern in patterns)
    return IgnoreRules(tuple(_rule(pattern) for pattern in stripped if pattern))


@value
class Rule:
    """One pattern, without its `!`."""

    pattern: str
    negated: bool
    fits: Callable[[str], bool]


@value
class Match:
    """The result for one path, and the data for the paths in it.

    Args:
        excluded: whether it is left out.
        fitting: for each rule, whether it matches this path or a directory above.
    """

    excluded: bool
    fitting: tuple[bool, ...]


@value
class IgnoreRules:
    """All rules, in order. Without rules, nothing is left out."""

    rules: tuple[Rule, ...] = ()

    def match(self, path: str, parent: Match | None = None) -> Match:
        """Match one path, with `/` and relative to the root of the context.

        Args:
            parent: the result for its directory; None if that is the root. A walk from the root down needs one test per
                rule and file.
        """
        excluded, fitting = False, []
        for index, rule in enumerate(self.rules):
            fits = parent is not None and parent.fitting[index]
            if not fits and rule.negated == excluded:
                fits = rule.fits(path)
            fitting.append(fits)
            if fits:
                excluded = not rule.negated
        return Match(excluded, tuple(fitting))

    def excludes(self, path: str) -> bool:
        """Return whether one path is left out: `match` from the root down."""
        found = None
        parts = path.split("/")
        for end in range(1, len(parts) + 1):
            found = self.match("/".join(parts[:end]), found)
        return found is not None and found.excluded

    def may_take_back(self, directory: str) -> bool:
        """Return whether a rule could include something below an excluded directory: else it need not be walked."""
        return any(rule.negated and _may_reach(rule.pattern, directory) for rule in self.rules)


def _may_reach(pattern: str, directory: str) -> bool:
    """Return whether a pattern can match a path below the directory: compared component by component up to a `**`."""
    parts = directory.split("/")
    wanted = pattern.split("/")
    for part, want in zip(parts, wanted, strict=False):
        if "**" in want:
            return True
        try:
            if not glob_match(want, part):
                return False
        except BadValue:  # a set with a slash in it, split in two
            return True
    return True


def _clean(path: str) -> str:
    """Return Go's filepath.Clean: Python's keeps two slashes at the start."""
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned


def _rule(pattern: str) -> Rule:
    pattern = _clean(pattern.strip(SPACES))
    negated = pattern.startswith("!")
    pattern = pattern[negated:]
    if not pattern or (negated and pattern == "/"):
        raise BadValue("'!' needs a pattern after it")
    glob_match(pattern, "")  # for its errors
    return Rule(pattern, negated, _compile(pattern))


def _compile(pattern: str) -> Callable[[str], bool]:
    """Compile a test for whole paths. Simple patterns need no regular expression; `**` at both ends is special."""
    if pattern == "**":
        return lambda path: True
    if not re.search(r"[*?\[\\]", pattern):
        return lambda path: path == pattern
    if pattern.startswith("**") and not re.search(r"[*?\[\\\]]", pattern[2:]):
        suffix = pattern[2:]
        return lambda path: path.endswith(suffix) or (suffix[0] == "/" and path == suffix[1:])
    if pattern.endswith("**") and not re.search(r"[*?\[\\\]]", pattern[:-2]):
        prefix = pattern[:-2]
        return lambda path: path.startswith(prefix)
    return compiled(pattern, any_depth=True).matches
