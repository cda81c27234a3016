"""The sources of ADD: paths of the context, URLs, git repositories.

Rules: archives of the context are extracted unless --unpack=false, those of URLs only with --unpack; a repository is
its files. Fetched files are in a scratch directory until the layer is written. Source: Dockerfile reference, ADD.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp

from rootlay.vfs.build.context.interruptible import run_interruptibly
from rootlay.vfs.build.context.remote import kind_of, parse_git
from rootlay.vfs.build.context.source import HostTree, SourceTree
from rootlay.vfs.build.language.instruction import Add
from rootlay.vfs.build.options.options import BuildOptions


class Adding:
    """One ADD.

    Args:
        staging: an empty directory, which stays until the layer is written.
        check: called from time to time; may raise to cancel.
    """

    def __init__(
        self, options: BuildOptions, staging: Path, instruction: Add, check: Callable[[], None] = lambda: None
    ) -> None:
        self._options = options
        self._staging = staging
        self._instruction = instruction
        self._check = check

    def source(self, path: str, context: SourceTree) -> tuple[SourceTree, str]:
        """Return the tree of a source, and the path in it.

        Raises DownloadFailed, DigestMismatch, BadDigest, GitFailed, BadValue.
        """
        kind = kind_of(path)
        if kind == "path":
            return context, path
        directory = Path(mkdtemp(prefix="add-", dir=self._staging))
        if kind == "url":
            from rootlay.vfs.build.context.download import download

            file = run_interruptibly(
                lambda: download(path, directory, self._options.settings, self._instruction.checksum, self._check),
                self._check,
            )
            return HostTree(directory), _escaped(file.name)
        from rootlay.vfs.build.context.git import fetch_git

        root = fetch_git(
            parse_git(path), directory, self._options.environment,
            keep_git_dir=self._instruction.keep_git_dir, checksum=self._instruction.checksum,
            check=self._check,
        )  # fmt: skip
        return HostTree(root), "/"

    def unpacks(self, path: str) -> bool:
        """Return whether an archive at this source is extracted."""
        asked = self._instruction.unpack
        return kind_of(path) == "path" if asked is None else asked


def _escaped(name: str) -> str:
    """Return a file's name as a source without wildcards."""
    return "".join(f"\\{char}" if char in "*?[\\" else char for char in name)
