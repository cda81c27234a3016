"""`rootlay kernel`: Jupyter's own client runs kernels in images."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Rootlay

HERE = (sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}")
"""The kernel of this Python, for the image `host`."""


@pytest.fixture
def jupyter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory that Jupyter looks for kernels in."""
    for name in ("JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    return tmp_path / "jupyter_data_dir"


@pytest.fixture
def client(rootlay: Rootlay, jupyter: Path, tmp_path: Path) -> Iterator[Any]:
    """Jupyter's client, connected with a kernel of the image `host` in a directory of its own."""
    manager = pytest.importorskip("jupyter_client").KernelManager
    pytest.importorskip("ipykernel")
    rootlay("kernel", "install", "--name", "scratch", "host", *HERE)
    made = manager(kernel_name="scratch")
    (tmp_path / "work").mkdir()
    made.start_kernel(cwd=str(tmp_path / "work"))
    connected = made.client()
    connected.start_channels()
    try:
        connected.wait_for_ready(timeout=60)
        yield connected
    finally:
        connected.stop_channels()
        if made.has_kernel:
            made.shutdown_kernel()


def run(client: Any, code: str) -> str:
    """Run a cell; return what it printed."""
    printed: list[str] = []

    def hear(message: dict[str, Any]) -> None:
        content = message["content"]
        printed.append(content.get("text") or content.get("ename") or "")

    client.execute_interactive(code, timeout=60, output_hook=hear)
    return "".join(printed)


def test_a_kernel_runs_in_the_image_and_ends(client: Any, rootlay: Rootlay, tmp_path: Path) -> None:
    assert run(client, "print(6 * 7)") == "42\n"
    assert run(client, "open('/etc/in-the-image', 'w').write('x')\nimport os; print(os.getuid())") == "0\n"
    assert not os.path.exists("/etc/in-the-image")
    run(client, "open('notebook.txt', 'w').write('kept')")
    assert (tmp_path / "work/notebook.txt").read_text() == "kept"
    assert run(client, "print(os.path.exists('/etc/in-the-image'), x)") == "NameError"
    client.execute("import time; print('sleeping'); time.sleep(60)")
    while client.get_iopub_msg(timeout=30)["content"].get("text") != "sleeping\n":
        pass
    client.parent.interrupt_kernel()
    assert client.get_shell_msg(timeout=30)["content"]["ename"] == "KeyboardInterrupt"
    while run(client, "print('alive')") != "alive\n":  # a kernel drops the requests that come right after an error
        pass
    client.parent.shutdown_kernel()
    assert json.loads(rootlay.out("ps", "-a", "--json")) == []


COUNTS = """
import os, signal, sys, time
def count(*_):  # print() refuses to be interrupted by itself
    os.write(1, b"once\\n")
signal.signal(signal.SIGINT, count)
print("ready", sys.argv[1], flush=True)
while True:
    time.sleep(60)
"""


@pytest.mark.parametrize("send", [os.kill, os.killpg])
def test_an_interrupt_comes_once(rootlay: Rootlay, tmp_path: Path, send: Callable[[int, int], None]) -> None:
    command = [sys.executable, "-m", "rootlay.cli.main", "--root", str(rootlay.root), "kernel", "start"]
    command += ["--connection-file", str(tmp_path / "c.json"), "host", sys.executable, "-c", COUNTS, "x"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path, start_new_session=True) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == "ready x\n"
        for _ in range(5):
            send(started.pid, signal.SIGINT)
            assert started.stdout.readline() == "once\n"
            time.sleep(0.1)  # a second one that comes at once would be one with the first
        send(started.pid, signal.SIGKILL)
        assert started.stdout.read() == ""  # the program has ended, too: it held the pipe


def test_kernels_are_listed_and_removed(rootlay: Rootlay, jupyter: Path, tmp_path: Path) -> None:
    rootlay("kernel", "install", "-e", "A=1", "--display-name", "Mine", "host", *HERE)
    spec = json.loads((jupyter / "kernels/rootlay-host/kernel.json").read_text())
    assert spec["display_name"] == "Mine"
    assert spec["argv"][-7:] == ["--connection-file={connection_file}", "host", *HERE]
    other = jupyter / "kernels/other"
    other.mkdir()
    (other / "kernel.json").write_text("{}")
    [row] = json.loads(rootlay.out("kernel", "list", "--json"))
    assert (row["name"], row["image"]) == ("rootlay-host", "host")
    assert "another --name" in rootlay.fails("kernel", "install", "--name", "other", "host", *HERE, code=2)
    assert "list" in rootlay.fails("kernel", "remove", "other", code=2)
    assert rootlay.out("kernel", "remove", "rootlay-host") == "rootlay-host\n"
    assert rootlay.out("kernel", "list").split() == ["KERNEL", "IMAGE", "DISPLAY", "NAME"]
    assert other.exists()
    rootlay("kernel", "install", "--prefix", str(tmp_path / "p"), "host", *HERE)
    assert (tmp_path / "p/share/jupyter/kernels/rootlay-host/kernel.json").exists()


def test_an_image_without_ipykernel_is_refused(small: Rootlay, jupyter: Path) -> None:
    assert "python3" in small.fails("kernel", "install", "small", code=2)
    assert "connection_file" in small.fails("kernel", "install", "small", "sh", code=2)
    assert "--name" in small.fails("kernel", "install", "--name", "../x", "small", *HERE, code=2)
    assert not jupyter.exists()
