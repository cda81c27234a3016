"""A real Slurm, of Debian's packages: one controller, four slurmd on this host, a prolog that pulls, an array of 50."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Rootlay
from tests.programs.conftest import Machine
from tests.support.registry.real import RealRegistry, free_port, running

pytestmark = [
    pytest.mark.long_form,
    pytest.mark.needs_root("slurmd and munged"),
    pytest.mark.skipif(
        not all(map(shutil.which, ("slurmctld", "slurmd", "srun", "munged"))), reason="no slurmd, slurmctld, munged"
    ),
]
NODES = 4
CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
AuthType=auth/munge
AuthInfo=socket={top}/munge.socket
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={top}/state
SlurmdSpoolDir={top}/spool-%n
SlurmctldLogFile={top}/controller.log
SlurmdLogFile={top}/%n.log
SlurmctldPidFile={top}/controller.pid
SlurmdPidFile={top}/%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
ReturnToService=2
Prolog={top}/prolog
PrologFlags=Alloc
MpiDefault=none
"""
JOB = """#!/bin/sh
#SBATCH --array=1-50
#SBATCH --output=%a.out
export ROOTLAY_ROOT={top}/store-$SLURMD_NODENAME
exec {rootlay} run --rm -e SLURM_ARRAY_TASK_ID -v "$PWD:/work" -w /work {image} -- \
    perl -e '$n = $ENV{{SLURM_ARRAY_TASK_ID}}; open F, ">", "result.$n"; print F $n ** 2'
"""


class Slurm:
    """A cluster below a directory. Its programs are children of this process."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.environ = {**os.environ, "SLURM_CONF": str(top / "slurm.conf")}
        self._programs: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        (self.top / "state").mkdir()
        (self.top / "munge.key").write_bytes(os.urandom(128))
        (self.top / "munge.key").chmod(0o600)
        host = os.uname().nodename.partition(".")[0]
        ports = [free_port() for _ in range(NODES)]
        lines = CONFIG.format(top=self.top, host=host, port=free_port())
        for number, port in enumerate(ports, 1):
            lines += f"NodeName=n{number} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=2 RealMemory=500\n"
        (self.top / "slurm.conf").write_text(f"{lines}PartitionName=all Nodes=n[1-{NODES}] Default=YES State=UP\n")
        names = {name: str(self.top / f"munge.{name}") for name in ("socket", "key", "log", "pid", "seed")}
        self._run(
            *("munged", "--foreground", "--force", f"--socket={names['socket']}", f"--key-file={names['key']}"),
            *(f"--log-file={names['log']}", f"--pid-file={names['pid']}", f"--seed-file={names['seed']}"),
        )
        while not Path(names["socket"]).exists():
            time.sleep(0.1)
        self._run("slurmctld", "-D")
        for number in range(1, NODES + 1):
            self._run("slurmd", "-D", "-N", f"n{number}")
        for _ in range(300):
            done = self.out("sinfo", "-h", "-o", "%T %D", check=False)
            if done.split() == ["idle", str(NODES)]:
                return
            time.sleep(0.2)
        raise AssertionError(done + (self.top / "controller.log").read_text()[-3000:])

    def _run(self, *words: str) -> None:
        log = open(self.top / "output", "ab")  # noqa: SIM115 -- closed at once, the child has its own
        self._programs.append(subprocess.Popen(words, env=self.environ, stdout=log, stderr=log))
        log.close()

    def out(self, *words: str, check: bool = True) -> str:
        done = subprocess.run(
            words, env=self.environ, cwd=self.top, capture_output=True, text=True, timeout=280, check=False
        )
        assert not check or done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def stop(self) -> None:
        for program in reversed(self._programs):
            program.terminate()
        for program in reversed(self._programs):
            program.wait(30)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RealRegistry]:
    with running(tmp_path / "registry") as found:
        yield found


@pytest.fixture
def slurm(tmp_path: Path) -> Iterator[Slurm]:
    found = Slurm(tmp_path)
    try:
        yield found
    finally:
        found.stop()


def test_an_array_of_fifty_pulls_once_a_node(debian: Machine, registry: RealRegistry, slurm: Slurm) -> None:
    image, top = f"{registry.host}/team/debian:1", slurm.top
    rootlay = f"{sys.executable} -m rootlay.cli.main"
    debian.rootlay("push", debian.image, image)
    prolog = f"#!/bin/sh\nexec {rootlay} --root {top}/store-$SLURMD_NODENAME run --rm -q {image} -- true\n"
    (top / "prolog").write_text(prolog)
    (top / "prolog").chmod(0o755)
    (top / "job.sh").write_text(JOB.format(top=top, rootlay=rootlay, image=image))
    before = registry.seen
    slurm.start()
    slurm.out("sbatch", "--wait", "job.sh")
    assert [int((top / f"result.{n}").read_text()) for n in range(1, 51)] == [n**2 for n in range(1, 51)]
    stores = list(top.glob("store-*"))
    assert 1 < len(stores) <= NODES
    assert len(registry.blobs_fetched(before)) == 2 * len(stores)  # a config and a layer for each node
    assert all(Rootlay(store).out("ps", "-aq") == "" for store in stores)
    step = (
        f"ROOTLAY_ROOT={top}/store-$SLURMD_NODENAME {rootlay} run --rm -e SLURM_PROCID {image} -- printenv SLURM_PROCID"
    )
    said = slurm.out("srun", f"-N{NODES}", "-n8", "sh", "-c", step)
    assert sorted(map(int, said.split())) == list(range(8))
