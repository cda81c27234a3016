"""The source of a build's files and its Dockerfile: the meaning of `docker build PATH|URL|-`.

Rules (docker build, "Build context"; BuildKit frontend/dockerui/context.go):
1. A directory; an archive (a file, or standard input as `-`, compressed or not); a git repository
   (`URL#ref:subdirectory`); a URL of an archive. Text from standard input or a URL is a Dockerfile without a context.
2. The Dockerfile is `Dockerfile` (or `dockerfile`, `Containerfile`) in the context; `-f FILE` names another, `-f -` is
   standard input. For a directory or a local archive, FILE may be anywhere; else it is in the context.
3. If `FILE.dockerignore` exists next to the Dockerfile, it replaces the context's `.dockerignore`.
4. Names in the context cannot lead out of it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from rootlay.store.codec.bytestream import iter_file
from rootlay.store.codec.codec import peek
from rootlay.store.disk.regularfile import open_regular_stream
from rootlay.store.model.closing import Closing
from rootlay.store.model.errors import RootlayError
from rootlay.store.model.value import field, value
from rootlay.store.registry.settings import Settings
from rootlay.vfs.build.context.download import download
from rootlay.vfs.build.context.ignore import IgnoreRules, parse_ignore
from rootlay.vfs.build.context.ignoredtree import IgnoringTree
from rootlay.vfs.build.context.remote import kind_of_context, parse_git
from rootlay.vfs.build.context.source import HostTree, SourceTree, resolve
from rootlay.vfs.build.context.tartree import TarTree, is_archive
from rootlay.vfs.build.language.errors import BadValue

STDIN = "-"
NAMES = ("Dockerfile", "dockerfile", "Containerfile")
_IGNORE = ".dockerignore"
# Maximum size of a Dockerfile or an ignore file.
_TEXT_BYTES_MAX = 16 << 20
_HEAD_BYTES = 1 << 20  # more than one block of bzip2, which gives no output before its end


class BadContext(RootlayError):
    """A build context, or the Dockerfile in it, that cannot be used.

    Args:
        context: the name from the user.
        reason: what is wrong, and what to do.
    """

    fault = "caller"
    exit_code = 63

    def __init__(self, context: str, reason: str) -> None:
        super().__init__(f"{context}: {reason}")
        self.context = context
        self.reason = reason


@value
class Surroundings:
    """The resources for a context.

    Args:
        scratch: an empty directory; the caller removes it after the build.
        stdin: for `-`.
        environment: for the git command.
        settings: for downloads.
    """

    scratch: Path
    stdin: BinaryIO
    environment: Mapping[str, str] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)


class BuildContext(Closing):
    """An opened context. Use it as a context manager, or close it.

    Args:
        name: the name from the user.
        tree: its files, before `.dockerignore`.
        text: a Dockerfile that was given instead of files, None otherwise.
        remote: whether it is not a file or directory of this machine.
    """

    def __init__(self, name: str, tree: SourceTree, text: bytes | None, *, remote: bool) -> None:
        self.name = name
        self.tree = tree
        self.remote = remote
        self._text = text

    def close(self) -> None:
        """Close archives. Idempotent."""
        if isinstance(self.tree, TarTree):
            self.tree.close()

    def dockerfile(self, file: str | None, stdin: BinaryIO) -> tuple[str, bytes]:
        """Return the Dockerfile's name for messages, and its text, by rule 2. Raises BadContext, OSError."""
        if file == STDIN:
            if self.name == STDIN:
                raise BadContext(
                    STDIN, "the context and the Dockerfile cannot both be standard input: give one as a path"
                )
            return STDIN, _limited(stdin, STDIN)
        if self._text is not None:
            if file is not None:
                raise BadContext(self.name, f"it is a single Dockerfile, so -f {file} cannot be in it")
            return self.name, self._text
        if file is not None and not self.remote:
            with open(file, "rb") as stream:
                return file, _limited(stream, file)
        for name in (file,) if file is not None else NAMES:
            text = _read(self.tree, name)
            if text is not None:
                return name, text
        raise BadContext(self.name, f"there is no {file or NAMES[0]} in it: name the Dockerfile with -f")

    def rules(self, dockerfile: str) -> IgnoreRules:
        """Return the ignore rules, by rule 3; `dockerfile` is the name from `dockerfile()`. Raises BadDockerfile."""
        for name, text in self._ignore_files(dockerfile):
            if text is not None:
                return parse_ignore(text, name)
        return IgnoreRules()

    def _ignore_files(self, dockerfile: str) -> list[tuple[str, bytes | None]]:
        found = []
        if dockerfile != STDIN and self._text is None:
            own = dockerfile + _IGNORE
            beside = Path(own)
            if not self.remote and dockerfile not in NAMES:
                found.append((own, _read_beside(beside) if beside.is_file() else None))
            else:
                found.append((own, _read(self.tree, own)))
        return [*found, (_IGNORE, _read(self.tree, _IGNORE))]

    def visible(self, dockerfile: str) -> SourceTree:
        """Return the files that COPY and ADD see. Raises BadDockerfile for a bad ignore file."""
        rules = self.rules(dockerfile)
        return IgnoringTree(self.tree, rules) if rules.rules else self.tree


def open_context(name: str, around: Surroundings) -> BuildContext:
    """Open the context that the user names.

    Raises:
        BadContext: rule 1 does not apply.
        GitFailed, DownloadFailed, NotAnArchive, TruncatedArchive, UnsupportedMedia, UnsafePath.
    """
    if name == STDIN:
        return _from_stream(name, around.stdin, around.scratch, remote=True)
    kind = kind_of_context(name)
    if kind == "git":
        try:
            reference = parse_git(name)
        except BadValue as error:
            raise BadContext(name, error.reason) from None
        from rootlay.vfs.build.context.git import fetch_git

        root = fetch_git(reference, _new(around.scratch, "git"), around.environment)
        return BuildContext(name, HostTree(root), None, remote=True)
    if kind == "url":
        path = download(name, _new(around.scratch, "download"), around.settings)
        with open(path, "rb") as stream:
            return _from_stream(name, stream, around.scratch, remote=True)
    if os.path.isdir(name):
        return BuildContext(name, HostTree(name), None, remote=False)
    try:
        with open(name, "rb") as stream:
            if not is_archive(iter_file(stream)):
                raise BadContext(name, "neither a directory nor an archive")
            stream.seek(0)
            return BuildContext(name, TarTree(iter_file(stream), around.scratch, name), None, remote=False)
    except FileNotFoundError:
        raise BadContext(name, "no such directory") from None


def _from_stream(name: str, stream: BinaryIO, scratch: Path, *, remote: bool) -> BuildContext:
    """Open an archive, or else a Dockerfile: the content decides."""
    what = "standard input" if name == STDIN else name
    head, chunks = peek(iter_file(stream), _HEAD_BYTES)
    if is_archive((head,)):
        return BuildContext(name, TarTree(chunks, scratch, what), None, remote=remote)
    text = b""
    for chunk in chunks:
        text += chunk
        if len(text) > _TEXT_BYTES_MAX:
            raise BadContext(what, "neither an archive nor a Dockerfile")
    if b"\0" in text:
        raise BadContext(what, "neither an archive nor a Dockerfile")
    return BuildContext(name, HostTree(_new(scratch, "empty")), text, remote=remote)


def _new(scratch: Path, name: str) -> Path:
    path = scratch / name
    path.mkdir(mode=0o755)
    return path


def _read(tree: SourceTree, name: str) -> bytes | None:
    """Return a file of a context, links followed inside it; None if it does not exist."""
    path = resolve(tree, b"/" + os.fsencode(os.path.normpath(name)).lstrip(b"/"))
    found = tree.lstat(path)
    if found is None or found.mode & 0o170000 != 0o100000:
        return None
    with tree.open(path) as stream:
        return _limited(stream, name)


def _read_beside(path: Path) -> bytes:
    with open_regular_stream(path, follow=True) as stream:
        return _limited(stream, str(path))


def _limited(stream: BinaryIO, name: str) -> bytes:
    text = stream.read(_TEXT_BYTES_MAX + 1)
    if len(text) > _TEXT_BYTES_MAX:
        raise BadContext(name, f"more than {_TEXT_BYTES_MAX >> 20} MiB: not a Dockerfile")
    return text
