"""Workers of Ray in a container: a plugin for Ray's runtime environments.

    export RAY_RUNTIME_ENV_PLUGINS='[{"class": "rootlay.vfs.plugins.rayplugin.RootlayPlugin"}]'
    ray.init(runtime_env={"rootlay": {"image": "debian", "binds": ["/data"]}})

Rules:
1. Ray schedules. On each machine this plugin brings the image, once for all workers (`Store.ensure`), and starts the
   workers of the environment with `rootlay python`: the whole process is inside, with this machine's interpreter.
2. An image that cannot be had fails the environment: Ray then starts no worker of it.
3. Ray's own directory, with its sockets and logs, stays the machine's.
How to: docs/howto/ray.md. Needs the extra `rootlay[ray]`.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import logging
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ray._private.runtime_env.plugin import RuntimeEnvPlugin

from rootlay.vfs.api.store import Store

KEYS = frozenset({"image", "binds", "store", "user"})
RAY_DIRECTORY = "/tmp/ray"
"""Where Ray's sockets and logs are, unless its agent was started with another `--temp-dir`."""


class RootlayPlugin(RuntimeEnvPlugin):  # type: ignore[misc]  # Ray has no types for it
    """`runtime_env={"rootlay": {"image": NAME, "binds": [HOST[:TARGET], …], "store": DIR, "user": NAME}}`.

    `image` is a name, which is pulled if the store of the machine lacks it, or the path of a bundle.
    """

    name = "rootlay"

    @staticmethod
    def validate(runtime_env_dict: Mapping[str, Any]) -> None:
        """Check the member `rootlay`. Raises ValueError."""
        settings_of(runtime_env_dict)

    async def create(self, uri: str | None, runtime_env: Any, context: Any, logger: logging.Logger) -> float:
        """Bring the image to this machine. Returns the bytes that belong to the environment alone: none."""
        settings = settings_of(runtime_env)
        bring = functools.partial(Store.open(settings.get("store")).ensure, settings["image"])
        await asyncio.get_running_loop().run_in_executor(None, bring)
        return 0

    def modify_context(self, uris: list[str], runtime_env: Any, context: Any, logger: logging.Logger) -> None:
        """Let Ray start the environment's workers inside."""
        context.py_executable = command_of(settings_of(runtime_env), ray_directory(sys.argv))


def settings_of(runtime_env: Mapping[str, Any]) -> dict[str, Any]:
    """Return the member `rootlay` of a runtime environment. Raises ValueError."""
    found = runtime_env.get("rootlay")
    if not isinstance(found, Mapping) or not isinstance(found.get("image"), str):
        raise ValueError(f"runtime_env rootlay: expected a dictionary with an image, not {str(found)[:80]}")
    unknown = set(found) - KEYS
    if unknown:
        raise ValueError(f"runtime_env rootlay: {min(unknown)[:40]}: expected {', '.join(sorted(KEYS))}")
    binds = found.get("binds", [])
    if not isinstance(binds, list) or not all(isinstance(text, str) and text.startswith("/") for text in binds):
        raise ValueError("runtime_env rootlay: binds: expected a list of HOST[:TARGET], absolute paths")
    return dict(found)


def ray_directory(words: Sequence[str]) -> str:
    """Return Ray's directory, from the command line of its agent, in which this plugin runs."""
    for word, following in itertools.zip_longest(words, words[1:]):
        name, sign, text = word.partition("=")
        if name == "--temp-dir" and (sign or following):
            return str(text or following)
    return RAY_DIRECTORY


def command_of(settings: Mapping[str, Any], directory: str) -> str:
    """Return the command that takes the place of `python` for a worker. `directory`: Ray's."""
    words = [sys.executable, "-P", "-m", "rootlay.cli.entry"]
    words += ["--root", os.path.abspath(settings["store"])] if settings.get("store") else []
    words.append("python")
    for text in (directory, *settings.get("binds", [])):
        words += ["-v", text if ":" in text else f"{text}:{text}"]
    words += ["-u", settings["user"]] if settings.get("user") else []
    return shlex.join([*words, settings["image"]])
