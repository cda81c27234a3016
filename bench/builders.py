"""The builders that `build.py` measures, each with a storage of its own: one shape for all.

Rules:
1. `build` and what `change` returns are what is measured; everything else prepares or clears away.
2. A command is a process group of its own. `with timed(seconds)` ends those that take longer, and raises TooLong.
3. As root the others take part; rootlay then runs as the user that it is given.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol


class TooLong(Exception):
    """A command took longer than it was given."""


class Failed(Exception):
    """A command failed."""

    def __init__(self, command: Sequence[str], code: int, problems: str) -> None:
        super().__init__(f"{' '.join(command)}: exit code {code}\n{problems[-2000:]}")
        self.last_line = (problems.strip().splitlines() or [f"exit code {code}"])[-1]


_ends_at = float("inf")


@contextlib.contextmanager
def timed(seconds: float) -> Iterator[None]:
    """Give the commands in the block that time, all together: afterwards they raise TooLong."""
    global _ends_at
    _ends_at = time.monotonic() + seconds
    try:
        yield
    finally:
        _ends_at = float("inf")


class Tool(Protocol):
    """A builder with a storage of its own."""

    name: str
    storage: Path

    def cpu_s(self) -> float:
        """What processes other than our children have used so far."""

    def prepare(self, base: Path) -> None:
        """Bring the base image in as `base`."""

    def build(self, context: Path, name: str = "built") -> None:
        """Build, with what is cached."""

    def clean(self) -> None:
        """Forget everything but the base image."""

    def change(self, count: int, image: str) -> Callable[[], object]:
        """A container with that many new files; commits it when called."""

    def close(self) -> None:
        """Let the storage go, so that it can be removed."""


class Rootlay:
    def __init__(self, scratch: Path, user: str | None) -> None:
        self.name = "rootlay"
        self.storage = scratch / "rootlay"
        self._user = user
        self._command = [str(Path(sys.executable).with_name("rootlay")), "--root", str(self.storage)]
        self.storage.mkdir(mode=0o777)
        self.storage.chmod(0o777)

    def _do(self, *words: str) -> None:
        run([*self._command, *words], self._user)

    def cpu_s(self) -> float:
        return 0.0

    def prepare(self, base: Path) -> None:
        self._do("import", str(base), "base")

    def build(self, context: Path, name: str = "built") -> None:
        self._do("build", "-q", "-t", name, str(context))

    def clean(self) -> None:
        run([*self._command, "rmi", "built"], self._user, may_fail=True)
        self._do("builder", "prune", "--all")

    def change(self, count: int, image: str) -> Callable[[], object]:
        script = (
            "import sys; from rootlay.vfs import Store\n"
            "c = Store.open(sys.argv[1]).image(sys.argv[3]).container('changed')\n"
            "for n in range(int(sys.argv[2])):\n"
            "    d = c.record.upper / f'c{n // 1000}'\n"
            "    d.mkdir(exist_ok=True)\n"
            "    (d / f'f{n}').write_text('changed')\n"
            "c.overlay.context.upper.announce_all()\n"
        )
        run([*self._command, "rm", "changed"], self._user, may_fail=True)
        run([sys.executable, "-c", script, str(self.storage), str(count), image], self._user)
        return lambda: self._do("commit", "changed", "built")

    def close(self) -> None:
        pass


class Buildah:
    def __init__(self, scratch: Path, driver: str) -> None:
        self.name = f"buildah {driver}"
        self.storage = scratch / f"buildah-{driver}"
        run_root = scratch / f"run-{driver}"
        self._command = ["buildah", "--root", str(self.storage), "--runroot", str(run_root), "--storage-driver", driver]
        # Where more descriptors or processes than now may not be asked for, buildah's own default fails.
        self._limits = [
            word
            for name, which in (("nofile", resource.RLIMIT_NOFILE), ("nproc", resource.RLIMIT_NPROC))
            for word in ("--ulimit", f"{name}={resource.getrlimit(which)[0]}:{resource.getrlimit(which)[1]}")
        ]

    def _do(self, *words: str) -> str:
        return run([*self._command, *words])

    def cpu_s(self) -> float:
        return 0.0

    def prepare(self, base: Path) -> None:
        with tempfile.TemporaryDirectory() as directory:
            shutil.copy(base, Path(directory, "base.tar"))
            Path(directory, "Dockerfile").write_text("FROM scratch\nADD base.tar /\n")
            self._do("bud", "-q", "-t", "base", directory)

    def build(self, context: Path, name: str = "built") -> None:
        self._do("bud", "-q", "--layers", "--isolation", "chroot", *self._limits, "-t", name, str(context))

    def clean(self) -> None:
        self._do("rm", "--all")
        subprocess.run([*self._command, "rmi", "--force", "built"], check=False, capture_output=True)
        self._do("rmi", "--prune", "--force")

    def change(self, count: int, image: str) -> Callable[[], object]:
        container = self._do("from", "--pull-never", f"localhost/{image}").strip()
        write_files(Path(self._do("mount", container).strip()), count)
        return lambda: self._do("commit", "-q", container, "built")

    def close(self) -> None:
        subprocess.run([*self._command, "rm", "--all"], check=False, capture_output=True)
        unmount_below(self.storage)


class Docker:
    """A daemon with a data directory of its own; builds run without a network unless they need one."""

    def __init__(self, scratch: Path) -> None:
        self.name = "docker build"
        self.storage = scratch / "docker"
        host = f"unix://{scratch}/docker.sock"
        self._command = ["docker", "--host", host]
        log = scratch / "docker.log"
        places = [
            "--data-root",
            str(self.storage),
            "--exec-root",
            str(scratch / "docker-run"),
            "--pidfile",
            str(scratch / "docker.pid"),
        ]
        with open(log, "wb") as file:
            self._daemon = subprocess.Popen(
                ["dockerd", "--host", host, *places, "--iptables=false", "--ip6tables=false", "--bridge=none"],
                stdout=file,
                stderr=file,
            )
        for _ in range(120):
            if subprocess.run([*self._command, "info"], check=False, capture_output=True).returncode == 0:
                return
            time.sleep(0.5)
        raise SystemExit(f"dockerd does not answer: see {log}")

    def _do(self, *words: str) -> str:
        return run([*self._command, *words])

    def cpu_s(self) -> float:
        own, ticks = {str(self._daemon.pid)}, 0
        for stat in sorted(Path("/proc").glob("[0-9]*/stat"), key=lambda path: int(path.parent.name)):
            try:
                words = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if stat.parent.name in own or words[1] in own:
                own.add(stat.parent.name)
                ticks += sum(map(int, words[11:15]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def prepare(self, base: Path) -> None:
        self._do("import", str(base), "base")

    def build(self, context: Path, name: str = "built") -> None:
        network = "host" if "apt-get" in (context / "Dockerfile").read_text() else "none"
        self._do("build", "-q", "--network", network, "-t", name, str(context))

    def clean(self) -> None:
        subprocess.run([*self._command, "rm", "-f", "changed"], check=False, capture_output=True)
        subprocess.run([*self._command, "rmi", "--force", "built"], check=False, capture_output=True)
        self._do("builder", "prune", "--all", "--force")

    def change(self, count: int, image: str) -> Callable[[], object]:
        self._do("create", "--name", "changed", "--network", "none", image, "true")
        upper = self._do("inspect", "--format", "{{.GraphDriver.Data.UpperDir}}", "changed").strip()
        write_files(Path(upper), count)
        return lambda: self._do("commit", "changed", "built")

    def close(self) -> None:
        self._daemon.terminate()
        self._daemon.wait(60)
        unmount_below(self.storage)


def write_files(root: Path, count: int) -> None:
    for number in range(count):
        directory = root / f"c{number // 1000}"
        directory.mkdir(exist_ok=True)
        (directory / f"f{number}").write_text("changed")


def unmount_below(directory: Path) -> None:
    """What a tool has left mounted, the innermost first."""
    with open("/proc/self/mounts") as mounts:
        found = [line.split()[1] for line in mounts]
    for point in reversed([point for point in found if f"{point}/".startswith(f"{directory}/")]):
        subprocess.run(["umount", "-l", point], check=False, capture_output=True)


def run(command: Sequence[str], user: str | None = None, *, may_fail: bool = False) -> str:
    entry = None if user is None else pwd.getpwnam(user)
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        user=None if entry is None else entry.pw_uid,
        group=None if entry is None else entry.pw_gid,
        extra_groups=None if entry is None else [],
        env=None if entry is None else {**os.environ, "HOME": entry.pw_dir},
    )
    try:
        out, problems = process.communicate(timeout=None if _ends_at == float("inf") else _ends_at - time.monotonic())
    except subprocess.TimeoutExpired:
        raise TooLong from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.returncode and not may_fail:
        raise Failed(command, process.returncode, problems)
    return out
