"""Builds from Python in one call: the work of `rootlay build`, without a command line."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from rootlay.store.store import ImageStore
from rootlay.vfs.build.build import BuildResult, build
from rootlay.vfs.build.context.buildcontext import Surroundings, open_context
from rootlay.vfs.build.language.parser import parse
from rootlay.vfs.build.options.options import BuildOptions
from rootlay.vfs.build.result.report import Report


def build_context(
    store: ImageStore,
    context: str | os.PathLike[str],
    options: BuildOptions,
    *,
    dockerfile: str | os.PathLike[str] | None = None,
    text: str | None = None,
    report: Report | None = None,
    environ: Mapping[str, str] | None = None,
) -> BuildResult:
    """Build an image from a context.

    Args:
        context: a directory, an archive, a git repository or a URL.
        dockerfile: its path; `Dockerfile` in the context by default.
        text: the Dockerfile itself, instead of a path.
        environ: the caller's environment, for git; empty by default.

    Raises as `rootlay.vfs.build.build.build`; BadContext, BadDockerfile, GitFailed, DownloadFailed.
    """
    with tempfile.TemporaryDirectory(prefix="rootlay-context-") as scratch, ExitStack() as stack:
        around = Surroundings(Path(scratch), io.BytesIO(), environ or {}, options.settings)
        source = stack.enter_context(open_context(os.fspath(context), around))
        if text is not None:
            name, data = "Dockerfile", text.encode("utf-8", "surrogateescape")
        else:
            name, data = source.dockerfile(None if dockerfile is None else os.fspath(dockerfile), around.stdin)
        return build(store, parse(data, name), source.visible(name), options, report)
