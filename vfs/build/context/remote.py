"""The type of a source of ADD, or of a build context: a path, a URL or a git repository.

Rules (BuildKit util/gitutil, dockerfile2llb/convert.go; Dockerfile reference, "ADD"; docker build, "Git repositories"):
1. `git://…`, `ssh://…` and `user@host:path` are git repositories; `http://…` and `https://…` are repositories if the
   path ends in `.git`, and plain downloads otherwise. Anything else is a path.
2. The fragment of a repository is `#ref:subdir`; both may be left out. A ref is a branch, a tag or a commit. The same
   can be given by a query, for URLs: `?branch=B&subdir=D`, with ref, branch, tag, subdir, checksum (or commit),
   keep-git-dir and submodules.
3. Only as a context, `github.com/…` is a repository, too (deprecated by Docker).
"""

from __future__ import annotations

import posixpath
import re
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from rootlay.store.model.value import value
from rootlay.vfs.build.language.errors import BadValue

Kind = Literal["path", "url", "git"]

_SCHEME = re.compile(r"([a-zA-Z0-9]+)://")
# BuildKit util/sshutil: user@host:path, if the path does not look like a port and a URL's path.
_SCP = re.compile(r"[a-zA-Z0-9\-_]+@[a-zA-Z0-9-.]+:(?!//)[^#\s]+(?:#.*)?")
_UNNAMED = "__unnamed__"
_QUERY = ("ref", "subdir", "checksum", "keep-git-dir", "submodules")


@value
class GitReference:
    """A place in a git repository.

    Args:
        remote: the argument for the git command.
        ref: branch, tag or commit; None for the remote's HEAD.
        subdir: a directory in it, without slashes around; empty for its root.
        checksum: the required commit, or its first digits.
        keep_git_dir: leave `.git` in the checkout.
        submodules: fetch the submodules, too.
    """

    remote: str
    ref: str | None = None
    subdir: str = ""
    checksum: str | None = None
    keep_git_dir: bool = False
    submodules: bool = True


def kind_of(source: str) -> Kind:
    """Return the type of a source of ADD."""
    scheme = _SCHEME.match(source)
    if scheme is None:
        return "git" if _SCP.fullmatch(source) else "path"
    name = scheme[1].lower()
    if name in ("git", "ssh"):
        return "git"
    if name not in ("http", "https"):
        return "path"
    return "git" if urlsplit(source).path.endswith(".git") else "url"


def kind_of_context(text: str) -> Kind:
    """Return the type of a build context; rule 3 applies."""
    return "git" if text.startswith("github.com/") else kind_of(text)


def parse_git(text: str) -> GitReference:
    """Parse a repository's reference. Raises BadValue if git could take a part as an option, or leave the checkout."""
    remote, _, fragment = text.partition("#")
    if remote.startswith("github.com/"):
        remote = f"https://{remote}"
    found: dict[str, str] = {}
    if _SCHEME.match(remote):
        remote, _, query = remote.partition("?")
        found = _parse_query(query, text)
    ref, _, subdir = fragment.partition(":")
    for name, given in (("ref", ref), ("subdir", subdir)):
        if given and found.setdefault(name, given) != given:
            raise BadValue(f"{text}: the query and the fragment name different {name}s")
    ref = found.get("ref", "")
    if remote.startswith("-") or ref.startswith("-"):
        raise BadValue(f"not a git reference: {text!r}: a part starts with '-'")
    if any(ord(char) < 0x20 for char in unquote(text)):
        raise BadValue(f"not a git reference: {text!r}: it has control characters")
    return GitReference(
        remote,
        ref or None,
        posixpath.normpath("/" + found.get("subdir", "").lstrip("/"))[1:],
        found.get("checksum") or None,
        _truth(text, found.get("keep-git-dir", "false")),
        _truth(text, found.get("submodules", "true")),
    )


def _parse_query(query: str, text: str) -> dict[str, str]:
    """Return the values of a query by name; a branch or tag is the ref. Raises BadValue."""
    found: dict[str, str] = {}
    for name, given in parse_qsl(query, keep_blank_values=True):
        name = {"commit": "checksum"}.get(name, name)
        if name in ("branch", "tag"):
            name, given = "ref", f"refs/{'heads' if name == 'branch' else 'tags'}/{given.removeprefix('refs/heads/')}"
        if name not in _QUERY:
            raise BadValue(f"{text}: unknown {name!r} in the query; known are branch, commit, tag, {', '.join(_QUERY)}")
        if found.setdefault(name, given) != given:
            raise BadValue(f"{text}: the query gives two values of {name}")
    return found


def _truth(text: str, given: str) -> bool:
    if given not in ("true", "false", "1", "0", ""):
        raise BadValue(f"{text}: {given!r} in the query is neither true nor false")
    return given in ("true", "1", "")


def file_name(url: str) -> str:
    """Return the name of a downloaded file: the last component of the URL's path."""
    try:
        name = posixpath.basename(unquote(urlsplit(url).path))
    except ValueError:
        name = ""
    return name if name not in ("", ".", "..") and "\0" not in name else _UNNAMED
