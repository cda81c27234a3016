"""Sources in git repositories, fetched by the git command.

Rules:
1. Only the one commit is fetched if the server allows that (`--depth 1`); its submodules are fetched, too. A server
   that only has the files of a repository (dumb HTTP) gives the whole history of the ref.
2. Git never prompts for a password: a denied access is an error. Hooks and templates of this machine are not used.
3. Git and its children are a process group, which always ends with `fetch_git`.
4. Files have the modes of a checkout with umask 022, whatever the caller's is.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from rootlay.store.disk.removetree import remove_tree
from rootlay.store.model.errors import RootlayError
from rootlay.vfs.build.context.remote import GitReference

_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_SHOWN_CHARACTERS = 300
_POLL_S = 0.1


class GitFailed(RootlayError):
    """The git command could not fetch a source.

    Args:
        remote: the repository.
        reason: git's last line, or our reason.
    """

    fault = "network"
    exit_code = 64

    def __init__(self, remote: str, reason: str) -> None:
        super().__init__(f"{_without_password(remote)}: {reason}")
        self.remote = remote
        self.reason = reason


def fetch_git(
    reference: GitReference,
    directory: Path,
    environment: Mapping[str, str],
    *,
    keep_git_dir: bool = False,
    checksum: str | None = None,
    check: Callable[[], None] = lambda: None,
) -> Path:
    """Check out a repository.

    Args:
        directory: an empty directory; the caller also removes it. After an error its content is undefined.
        environment: for git: PATH, HOME, SSH_AUTH_SOCK, proxies, …
        keep_git_dir: leave `.git` there.
        checksum: the required commit, or its first digits.
        check: called from time to time; may raise to cancel.

    Returns:
        The directory to copy from: `directory` or the subdirectory that the reference names.

    Raises:
        GitFailed: no git command, no such repository, ref or subdirectory, no access, another commit.
    """
    git = _Git(reference.remote, directory, environment, check)
    git.run("init", "--quiet", "--template=")
    git.run("remote", "add", "origin", "--", reference.remote)
    commit = _fetch(git, reference.ref)
    checksum = checksum or reference.checksum
    if checksum is not None and not (_COMMIT.fullmatch(checksum) and commit.startswith(checksum)):
        raise GitFailed(reference.remote, f"expected commit {checksum}, found {commit}")
    git.run("checkout", "--quiet", "--force", commit)
    if reference.submodules and (directory / ".gitmodules").is_file():
        git.run_shallow("submodule", "--quiet", "update", "--init", "--recursive")
    root = _subdirectory(directory, reference)
    if not (keep_git_dir or reference.keep_git_dir):
        for inner in directory.rglob(".git"):
            if inner.is_dir() and not inner.is_symlink():
                remove_tree(inner)
            else:
                inner.unlink()
    return root


def _fetch(git: _Git, ref: str | None) -> str:
    """Fetch one ref. Return the commit's hash."""
    wanted = ref or "HEAD"
    try:
        git.run_shallow("fetch", "--quiet", "--no-tags", after=("origin", "--", wanted))
        return git.run("rev-parse", "FETCH_HEAD^{commit}")
    except GitFailed:
        # A server might not give single commits, and never does by a shortened hash: then everything must be fetched.
        if not _COMMIT.fullmatch(wanted) or git.missing:
            raise
    git.run("fetch", "--quiet", "--tags", "origin", "--", "+refs/heads/*:refs/remotes/origin/*")
    return git.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{wanted}^{{commit}}")


def _subdirectory(directory: Path, reference: GitReference) -> Path:
    """Return the directory that the reference names, not reached through links out of the checkout."""
    root = directory.joinpath(*reference.subdir.split("/")) if reference.subdir else directory
    if not root.is_dir():
        raise GitFailed(reference.remote, f"there is no directory {reference.subdir!r} in it")
    if not root.resolve().is_relative_to(directory.resolve()):
        raise GitFailed(reference.remote, f"{reference.subdir!r} is a link that leads out of it")
    return root


class _Git:
    """The git command in one checkout."""

    def __init__(self, remote: str, directory: Path, environment: Mapping[str, str], check: Callable[[], None]) -> None:
        self._remote = remote
        self._check = check
        self._directory = directory
        self._environment = {
            **{name: value for name, value in environment.items() if not name.startswith("GIT_DIR")},
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "true",
            "LC_ALL": "C",
        }
        self.missing = False

    def run(self, *arguments: str) -> str:
        """Run git. Return its output without the last newline. Raises GitFailed with its last line."""
        options = ("-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false")
        try:
            process = subprocess.Popen(
                ("git", *options, *arguments),
                cwd=self._directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                umask=0o022,
                process_group=0,
            )
        except FileNotFoundError:
            self.missing = True
            raise GitFailed(self._remote, "git is not installed: install it, or use a local context") from None
        out, err = self._wait(process)
        if process.returncode:
            text = err.decode("utf-8", "replace").strip()
            lines = [line for line in text.splitlines() if line.startswith(("fatal:", "error:"))] or text.splitlines()
            reason = lines[0].partition(": ")[2] or lines[0] if lines else f"git {arguments[0]} failed"
            raise GitFailed(self._remote, reason[:_SHOWN_CHARACTERS])
        return out.decode("utf-8", "replace").rstrip("\n")

    def run_shallow(self, *arguments: str, after: tuple[str, ...] = ()) -> None:
        """Run git with `--depth=1`; without it if the server only has files (dumb HTTP). Raises GitFailed."""
        try:
            self.run(*arguments, "--depth=1", *after)
        except GitFailed as error:
            if "dumb http" not in error.reason:
                raise
            self.run(*arguments, *after)

    def _wait(self, process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
        """Return git's output. Raises the errors of `check`."""
        with process:
            try:
                while True:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        return process.communicate(timeout=_POLL_S)
                    self._check()
            except BaseException:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                raise


def _without_password(remote: str) -> str:
    return re.sub(r"(?<=://)[^/@]*@", "", remote)
