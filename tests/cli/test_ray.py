"""Ray's workers in a container, by the plugin for runtime environments."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Rootlay

pytestmark = [
    pytest.mark.long,
    pytest.mark.long_form,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed"),
]
JOB = """
import json, os, sys
import ray

ray.init(num_cpus=2, include_dashboard=False)
inside = {"rootlay": {"image": sys.argv[2], "store": sys.argv[1]}}

@ray.remote
def task(number):
    return number, os.path.exists("/script")

found = ray.get([task.options(runtime_env=inside).remote(number) for number in range(20)], timeout=100)
outside = ray.get(task.remote(20), timeout=100)
try:
    none = {"rootlay": {**inside["rootlay"], "image": "localhost:1/none"}}
    ray.get(task.options(runtime_env=none).remote(1), timeout=100)
    missing = "ran"
except Exception as error:
    missing = type(error).__name__
print(json.dumps([found, outside, missing]))
"""
PLUGINS = '[{"class": "rootlay.vfs.plugins.rayplugin.RootlayPlugin"}]'


def test_tasks_of_an_environment_are_inside(small: Rootlay, tmp_path: Path) -> None:
    environ = {**os.environ, "RAY_RUNTIME_ENV_PLUGINS": PLUGINS, "RAY_AUTH_MODE": "disabled", "HOME": str(tmp_path)}
    words = (sys.executable, "-c", JOB, str(small.root), "small")
    done = subprocess.run(words, env=environ, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    found, outside, missing = json.loads(done.stdout.splitlines()[-1])
    assert found == [[number, True] for number in range(20)]
    assert outside == [20, False]
    assert missing == "RuntimeEnvSetupError"
