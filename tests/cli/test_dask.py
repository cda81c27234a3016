"""Dask's tasks in containers: a job of 1,000 tasks on four workers, of which one is killed; a worker by its preload."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Rootlay

pytestmark = [
    pytest.mark.long,
    pytest.mark.long_form,
    pytest.mark.skipif(importlib.util.find_spec("distributed") is None, reason="distributed is not installed"),
]
JOB = """
import json, os, signal, sys, time
from distributed import Client, LocalCluster, get_worker
from rootlay.vfs.plugins.daskplugin import ContainerPlugin

def task(number):
    time.sleep(0.01)
    seen = os.path.exists("/made")
    open("/made", "a").close()
    return number, open("/script").read(), seen, get_worker().address

def where(_):
    return os.path.exists("/script")

if __name__ == "__main__":
    each, store, local, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    with LocalCluster(n_workers=4, threads_per_worker=1, dashboard_address=None, local_directory=local) as cluster:
        with Client(cluster) as client:
            if each == "task":
                try:
                    client.register_plugin(ContainerPlugin("localhost:1/none", store=store))
                except Exception:
                    assert "no container of" in str(client.submit(where, 1).exception())
                else:
                    raise AssertionError("no error")
            client.register_plugin(ContainerPlugin("small", each=each, store=store))
            futures = client.map(task, range(count), pure=False)
            time.sleep(0.5)
            os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
            found = client.gather(futures)
            if each != "process":
                client.unregister_worker_plugin("rootlay")
                found.append(client.submit(where, 0).result())
    print(json.dumps(found))
"""


def run(job: Path, *words: str) -> list[Any]:
    environ = {**os.environ, "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "10"}
    done = subprocess.run(
        (sys.executable, str(job), *words), env=environ, capture_output=True, text=True, timeout=250, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize(("each", "count"), [("task", 200), ("worker", 1000), ("process", 1000)])
def test_a_job_of_which_a_worker_is_killed(small: Rootlay, tmp_path: Path, each: str, count: int) -> None:
    job = tmp_path / "job.py"
    job.write_text(JOB)
    found = run(job, each, str(small.root), str(tmp_path / "local"), str(count))
    if each != "process":
        assert found.pop() is False  # unregistered: outside
    assert [task[0] for task in found] == list(range(count))
    assert {task[1] for task in found} == {"#!/bin/sh -e\necho script $0 $*\n"}
    seen = sum(bool(task[2]) for task in found)
    assert seen == 0 if each == "task" else seen >= count - 5  # the first of each worker, and of the one after the kill
    assert not Path("/made").exists()
    small("prune")
    assert small.out("ps", "-aq") == ""


PRELOAD = """
import subprocess, sys
from distributed import Client, LocalCluster

def start(image):
    words = [sys.executable, "-m", "dask", "worker", cluster.scheduler_address, "--no-nanny", "--no-dashboard"]
    options = ["--preload", "rootlay.vfs.plugins.daskpreload", "--image", image, "--store", sys.argv[1]]
    return subprocess.Popen([*words, "--local-directory", sys.argv[2], *options])

with LocalCluster(n_workers=0, dashboard_address=None) as cluster, Client(cluster) as client:
    code = start("localhost:1/none").wait(timeout=60)
    worker = start("small")
    found = client.submit(lambda: open("/script").readline()).result(timeout=60)
    worker.terminate()
    worker.wait(timeout=60)
print(code != 0, found)
"""


def test_a_worker_by_its_preload_is_inside_or_ends(small: Rootlay, tmp_path: Path) -> None:
    words = (sys.executable, "-c", PRELOAD, str(small.root), str(tmp_path / "local"))
    done = subprocess.run(words, capture_output=True, text=True, timeout=200, check=False)
    assert done.stdout.endswith("True #!/bin/sh -e\n\n"), (done.stdout, done.stderr[-4000:])
