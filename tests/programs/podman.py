"""podman, with a storage of its own, as whoever runs the tests: of an ordinary user it needs `uidmap` and lines in
/etc/subuid and /etc/subgid.

runc where it is installed: crun, podman's own choice, does not run where cgroups of both versions are mounted.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

_CONFIG = """\
[containers]
cgroups = "enabled"
default_ulimits = []
log_driver = "k8s-file"
netns = "host"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
{runtime}
"""


class Podman:
    """Use it as a context manager; at the end its storage is gone.

    Raises:
        PodmanUnusable: it is not installed, or cannot run a container here.
    """

    def __init__(self, place: Path) -> None:
        if not shutil.which("podman"):
            raise PodmanUnusable("podman is not installed")
        self._place = place
        for name in ("home", "runtime", "tmp"):
            (place / name).mkdir(parents=True, mode=0o700)
        runtime = 'runtime = "runc"' if shutil.which("runc") else ""
        (place / "containers.conf").write_text(_CONFIG.format(runtime=runtime))
        self._words = ["podman", "--root", str(place / "storage"), "--runroot", str(place / "run")]

    def load(self, archive: Path) -> str:
        """Bring an image in; the name that podman gives it."""
        return self._run("load", "-q", "-i", str(archive)).partition(": ")[2].strip()

    def run(self, name: str, *words: str) -> str:
        """What the image's program prints."""
        return self._run("run", "--rm", "--pull=never", "--network=none", name, *words)

    def remove(self, name: str) -> None:
        self._run("rmi", "--force", name)

    def probe(self) -> None:
        """Raises PodmanUnusable where the smallest container does not run."""
        busybox = shutil.which("busybox")
        if busybox is None:
            raise PodmanUnusable("busybox, for a first container, is not installed")
        tree = self._place / "tree"
        tree.mkdir()
        shutil.copy(busybox, tree / "busybox")
        subprocess.run(["tar", "-C", str(tree), "-cf", str(self._place / "probe.tar"), "."], check=True)
        try:
            self._run("import", "-q", str(self._place / "probe.tar"), "localhost/probe")
            if self.run("localhost/probe", "/busybox", "echo", "works") != "works\n":
                raise PodmanUnusable("podman runs a container, but its output is lost")
        except PodmanFailed as error:
            raise PodmanUnusable(f"it cannot run containers here: {error}") from error

    def close(self) -> None:
        """Idempotent."""
        if os.geteuid() != 0:  # the files belong to subordinate users
            subprocess.run(
                ["podman", "unshare", "rm", "-rf", str(self._place / "storage")], check=False, env=self._env()
            )
            self._stop_pause()
        shutil.rmtree(self._place, ignore_errors=True)

    def _stop_pause(self) -> None:
        """End the process that keeps an ordinary user's namespaces from one command to the next."""
        for file in (self._place / "runtime").rglob("pause.pid"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(file.read_text()), signal.SIGKILL)

    def _run(self, *words: str) -> str:
        done = subprocess.run([*self._words, *words], check=False, capture_output=True, text=True, env=self._env())
        if done.returncode:
            raise PodmanFailed(f"podman {' '.join(words)}: {done.stderr.strip()[-500:]}")
        return done.stdout

    def _env(self) -> dict[str, str]:
        return {
            **os.environ,
            "CONTAINERS_CONF": str(self._place / "containers.conf"),
            "HOME": str(self._place / "home"),
            "XDG_RUNTIME_DIR": str(self._place / "runtime"),
            "TMPDIR": str(self._place / "tmp"),
            "PODMAN_IGNORE_CGROUPSV1_WARNING": "1",
        }


class PodmanFailed(Exception):
    """Has its last words."""


class PodmanUnusable(Exception):
    """Says why."""
