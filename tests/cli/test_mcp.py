"""`rootlay mcp`, by the official SDK's own client, over standard input and output."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rootlay.vfs import Store


@pytest.fixture
def root(tmp_path: Path, small_tree: Path) -> Iterator[Path]:
    Store.open(tmp_path / "store").import_rootfs(small_tree, "small")
    yield tmp_path / "store"
    assert [name for name in (tmp_path / "store" / "containers").iterdir() if len(name.name) == 64] == []


def text_of(result: Any) -> str:
    assert not result.is_error, result.content
    return "".join(part.text for part in result.content)


async def talk(root: Path) -> None:
    from mcp import Client
    from mcp.client.stdio import StdioServerParameters

    words = ["-m", "rootlay.cli.entry", "--root", str(root), "mcp", "--confine", "auto", "small"]
    async with Client(StdioServerParameters(command=sys.executable, args=words)) as client:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        assert tools == {"run", "read", "write", "diff", "snapshot", "rollback", "fork"}

        async def call(tool: str, **arguments: Any) -> str:
            return text_of(await client.call_tool(tool, arguments))

        done = json.loads(await call("run", code="cd /etc; A=1; echo $A; exit_code() { return 3; }; exit_code"))
        assert (done["exit"], done["stdout"], done["truncated"], done["exceeded"]) == (3, "1\n", False, "")
        assert json.loads(await call("run", code="pwd"))["stdout"] == "/etc\n"
        await call("write", path="/work/a", content="x\n")
        assert await call("read", path="/work/a") == "x\n"
        name = await call("snapshot")
        await call("run", code="rm /work/a; echo more >> /etc/motd")
        assert await call("diff", since=name) == "C /etc\nC /etc/motd\nC /work\nD /work/a"
        assert "+more" in await call("diff", since=name, patch=True)
        other = await call("fork", name="second", snapshot=name)
        assert await call("read", path="/work/a", session=other) == "x\n"
        await call("rollback")
        assert await call("read", path="/work/a") == "x\n"
        assert json.loads(await call("run", code="sleep 60", timeout_s=0.3))["exceeded"] == "wall"
        wrong = await client.call_tool("read", {"path": "/missing"})
        assert wrong.is_error
        assert "/missing" in wrong.content[0].text
        wrong = await client.call_tool("run", {"code": "true", "session": "none"})
        assert wrong.is_error
        assert "main, second" in wrong.content[0].text


def test_the_tools_of_an_agent(root: Path) -> None:
    pytest.importorskip("mcp", reason="the MCP SDK is not installed: pip install mcp")  # a second of imports
    pytest.importorskip("anyio", reason="anyio is not installed").run(talk, root)
