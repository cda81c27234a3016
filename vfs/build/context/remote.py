"""The type of a source of ADD, or of a build context: a path, a URL or a git repository.

Rules (BuildKit util/gitutil, dockerfile2llb/convert.go; Dockerfile reference, "ADD"; docker build, "Git repositories"):
1. `git://…`, `ssh://…` and `user@host:path` are git repositories; `http://…` and `https://…` are repositories if the
   path ends in `.git`, and plain downloads otherwise. Anything else is a path.
2. The fragment of a repository is `#ref:subdir`; both may be left out. A ref is a branch, a tag or a commit.
3. Only as a context, `github.com/…` is a repository, too (deprecated by Docker).
"""

from __future__ import annotations

import posixpath
import re
from typing import Literal
from urllib.parse import unquote, urlsplit

from rootlay.store.model.value import value
from rootlay.vfs.build.language.errors import BadValue

Kind = Literal["path", "url", "git"]

_SCHEME = re.compile(r"([a-zA-Z0-9]+)://")
# BuildKit util/sshutil: user@host:path, if the path does not look like a port and a URL's path.
_SCP = re.compile(r"[a-zA-Z0-9\-_]+@[a-zA-Z0-9-.]+:(?!//)[^#\s]+(?:#.*)?")
_UNNAMED = "__unnamed__"


@value
class GitReference:
    """A place in a git repository.

    Args:
        remote: the argument for the git command.
        ref: branch, tag or commit; None for the remote's HEAD.
        subdir: a directory in it, without slashes around; empty for its root.
    """

    remote: str
    ref: str | None = None
    subdir: str = ""


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
    ref, _, subdir = fragment.partition(":")
    if remote.startswith("-") or ref.startswith("-"):
        raise BadValue(f"not a git reference: {text!r}: a part starts with '-'")
    if any(ord(char) < 0x20 for char in text):
        raise BadValue(f"not a git reference: {text!r}: it has control characters")
    clean = posixpath.normpath("/" + subdir.lstrip("/"))[1:]
    return GitReference(remote, ref or None, clean)


def file_name(url: str) -> str:
    """Return the name of a downloaded file: the last component of the URL's path."""
    try:
        name = posixpath.basename(unquote(urlsplit(url).path))
    except ValueError:
        name = ""
    return name if name not in ("", ".", "..") and "\0" not in name else _UNNAMED
