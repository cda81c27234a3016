"""The MCP server: tools of an agent for one sandbox (specification: modelcontextprotocol.io).

Rules:
1. Each session is a fork of the prepared container. `main` is there from the start; `fork` makes others.
2. The tools of one session run one after another; different sessions run at the same time.
3. The SDK reads and writes standard input and output; nothing else may.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from rootlay.store.model.errors import RootlayError

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

    from rootlay.vfs.sandbox.sandbox import Sandbox
    from rootlay.vfs.sandbox.session import SandboxSession

T = TypeVar("T")
MAIN = "main"
READ_BYTES_MAX = 1 << 20
INSTRUCTIONS = (
    "A sandbox: a Linux container without network, for untrusted code. `run` continues in the same interpreter and "
    "directory each time. Take a `snapshot` before a risky step; `rollback` returns to it; `fork` tries two ways."
)


class Sessions:
    """The sessions of a server, by name."""

    def __init__(self, sandbox: Sandbox, interpreter: str) -> None:
        self._sandbox = sandbox
        self._interpreter = interpreter
        self._open: dict[str, tuple[SandboxSession, asyncio.Lock]] = {}

    async def do(self, name: str, work: Callable[[SandboxSession], T]) -> T:
        """Return the result of work on a session, done in a thread. Rule 2."""
        if name == MAIN and MAIN not in self._open:
            self._open[MAIN] = (self._sandbox.session(self._interpreter), asyncio.Lock())
        if name not in self._open:
            raise ValueError(f"session {name[:60]}: there is no such session; known: {', '.join(self._open)}")
        session, lock = self._open[name]
        async with lock:
            return await asyncio.to_thread(work, session)

    async def add(self, name: str, made_of: str, snapshot: str) -> str:
        """Add a fork of a session under a name, or under a chosen one."""
        name = name or f"fork{len(self._open)}"
        if name in self._open or name == MAIN:
            raise ValueError(f"session {name[:60]}: there is one already; choose another name")
        session = await self.do(made_of, lambda session: session.fork(snapshot))
        self._open[name] = (session, asyncio.Lock())
        return name

    def close(self) -> None:
        """Close all sessions."""
        for session, _ in self._open.values():
            session.close()


def make_server(sandbox: Sandbox, interpreter: str = "shell") -> tuple[MCPServer, Sessions]:
    """Return the server of a sandbox, and its sessions, which the caller closes after it.

    Args:
        interpreter: of the sessions, `shell` or `python`.
    """
    from importlib.metadata import version

    from mcp.server.mcpserver import MCPServer
    from mcp.server.mcpserver.exceptions import ToolError

    sessions = Sessions(sandbox, interpreter)
    server = MCPServer("rootlay", instructions=INSTRUCTIONS, version=version("rootlay"))

    def tool(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        async def told(**arguments: Any) -> Any:
            try:
                return await function(**arguments)
            except (RootlayError, OSError, LookupError, ValueError) as error:
                raise ToolError(str(error)) from error  # the SDK shows messages of this kind to the agent

        server.tool()(told)
        return told

    _add_tools(tool, sessions)
    return server, sessions


def _add_tools(tool: Callable[[Callable[..., Any]], Callable[..., Any]], sessions: Sessions) -> None:
    @tool
    async def run(code: str, session: str = MAIN, timeout_s: float = 0) -> dict[str, Any]:
        """Run code in the session's interpreter. Variables, directory and files stay for the next call.

        The result has exit code, stdout, stderr, whether output was cut (truncated), and the limit that ended it
        (exceeded).
        """
        done = await sessions.do(session, lambda s: s.run(code, timeout=timeout_s or None))
        return {
            "exit": done.exit, "stdout": done.stdout, "stderr": done.stderr, "truncated": done.truncated,
            "exceeded": done.exceeded,
        }  # fmt: skip

    @tool
    async def read(path: str, session: str = MAIN) -> str:
        """Return the text of a file, at most 1 MiB."""
        data: bytes = await sessions.do(session, lambda s: s.read(path, READ_BYTES_MAX))
        return data.decode("utf-8", "replace")

    @tool
    async def write(path: str, content: str, session: str = MAIN) -> str:
        """Write a text file; missing directories are made."""
        await sessions.do(session, lambda s: s.write(path, content))
        return f"{len(content.encode())} bytes written to {path}"

    @tool
    async def diff(session: str = MAIN, since: str = "", patch: bool = False) -> str:
        """List the changes since the beginning, or since a snapshot: A added, C changed, D deleted; or as a patch."""

        def work(s: SandboxSession) -> str:
            changes = s.diff(since or None)
            return changes.as_patch() if patch else str(changes)

        return await sessions.do(session, work)

    @tool
    async def snapshot(name: str = "", session: str = MAIN) -> str:
        """Save the files; returns the snapshot's name. Programs in the background are ended."""
        return await sessions.do(session, lambda s: s.snapshot(name))

    @tool
    async def rollback(name: str = "", session: str = MAIN) -> str:
        """Return to a snapshot, the last one by default. Later changes are lost."""
        await sessions.do(session, lambda s: s.rollback(name))
        return "done"

    @tool
    async def fork(name: str = "", session: str = MAIN, snapshot: str = "") -> str:
        """Make a new session with the same files, or with those of a snapshot; returns its name."""
        return await sessions.add(name, session, snapshot)
