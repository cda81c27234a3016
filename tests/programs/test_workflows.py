"""Real workflow managers start containers by the commands of `apptainer-link` and `docker-link`.

ROOTLAY_TEST_WORKFLOWS names the directory with their programs: `cwltool` and `snakemake`.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Rootlay
from tests.programs.conftest import Machine
from tests.support.registry.real import running

PROGRAMS = os.environ.get("ROOTLAY_TEST_WORKFLOWS", "")
pytestmark = [
    pytest.mark.long_form,
    pytest.mark.skipif(not PROGRAMS, reason="ROOTLAY_TEST_WORKFLOWS does not name the programs' directory"),
]
IMAGE = "docker.io/library/flows:1"
WORKFLOW = """
cwlVersion: v1.2
class: Workflow
requirements:
  ScatterFeatureRequirement: {}
  InlineJavascriptRequirement: {}
inputs: {words: {type: "string[]"}}
steps:
  write:
    scatter: word
    in: {word: words}
    out: [file]
    run:
      class: CommandLineTool
      requirements:
        DockerRequirement: {dockerPull: IMAGE}
        EnvVarRequirement: {envDef: {SAID: $(inputs.word)}}
        InitialWorkDirRequirement: {listing: [{entryname: s.pl, entry: 'print "$ENV{SAID} $ENV{HOME}\\n";'}]}
      inputs: {word: string}
      baseCommand: [perl, s.pl]
      stdout: $(inputs.word).txt
      outputs: {file: stdout}
  join:
    in: {files: write/file}
    out: [file]
    run:
      class: CommandLineTool
      requirements: {DockerRequirement: {dockerPull: IMAGE}, ShellCommandRequirement: {}}
      inputs: {files: {type: "File[]", inputBinding: {position: 1}}}
      arguments:
        - {position: 0, valueFrom: cat /etc/image-name, shellQuote: false}
      stdout: joined.txt
      outputs: {file: stdout}
outputs: {result: {type: File, outputSource: join/file}}
"""
SNAKEFILE = """
container: "docker://IMAGE"
rule all:
    input: "joined.txt", "script.txt"
rule write:
    output: "part_{n}.txt"
    shell: "perl -e 'print {wildcards.n} * 2, \\"\\\\n\\"' > {output}; cat /etc/image-name >> {output}"
rule join:
    input: expand("part_{n}.txt", n=range(4))
    output: "joined.txt"
    shell: "cat {input} > {output}; id -u >> {output}"
rule script:
    input: "joined.txt"
    output: "script.txt"
    script: "script.py"
"""
SCRIPT = "open(snakemake.output[0], 'w').write(open('/etc/image-name').read() + open(snakemake.input[0]).read())\n"


@pytest.fixture(scope="module")
def store(debian: Machine) -> Rootlay:
    """A store with a Debian that has a mark and a `python`."""
    text = f"FROM {debian.image}\nRUN echo of the image > /etc/image-name && ln -sf python3 /usr/bin/python\n"
    debian.rootlay("build", "-q", "-t", IMAGE, "-", input=text.encode())
    return debian.rootlay


def run(store: Rootlay, top: Path, *words: str) -> str:
    """Run a program with our commands first in PATH; its standard output."""
    (top / "bin").mkdir(exist_ok=True)
    store("--root", str(store.root), "apptainer-link", str(top / "bin"))
    store(
        "--root",
        str(store.root),
        "docker-link",
        *(f"--name={n}" for n in ("docker", "podman", "udocker")),
        str(top / "bin"),
    )
    (top / "home").mkdir(exist_ok=True)
    environ = {"PATH": f"{top}/bin:{PROGRAMS}:/usr/bin:/bin", "HOME": str(top / "home"), "LANG": "C.UTF-8"}
    done = subprocess.run(words, cwd=top, env=environ, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, (words, done.stdout[-2000:], done.stderr[-4000:])
    return done.stdout


@pytest.mark.parametrize(
    "mode", [(), ("--podman",), ("--singularity",), ("--user-space-docker-cmd=udocker",)], ids=lambda mode: str(mode)
)
def test_cwltool_runs_a_workflow(store: Rootlay, tmp_path: Path, mode: tuple[str, ...]) -> None:
    (tmp_path / "w.cwl").write_text(WORKFLOW.replace("IMAGE", IMAGE))
    (tmp_path / "job.json").write_text('{"words": ["one", "two", "three"]}')
    said = run(store, tmp_path, "cwltool", "--quiet", "--outdir=out", *mode, "w.cwl", "job.json")
    found = Path(json.loads(said)["result"]["path"]).read_text().splitlines()
    assert found[0] == "of the image"
    assert [line.split()[0] for line in found[1:]] == ["one", "two", "three"]
    assert all(line.split()[1].startswith("/") for line in found[1:])
    assert store.out("ps", "-aq") == ""


def test_snakemake_runs_a_workflow(store: Rootlay, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    with running(tmp_path / "registry") as registry:
        name = f"{registry.host}/team/flows:1"
        store("push", IMAGE, name)
        (tmp_path / "Snakefile").write_text(SNAKEFILE.replace("IMAGE", name))
        run(store, tmp_path, "snakemake", "-c2", "--quiet", "rules", "--software-deployment-method", "apptainer")
    joined = (tmp_path / "joined.txt").read_text()
    assert joined == "".join(f"{n * 2}\nof the image\n" for n in range(4)) + f"{os.getuid()}\n"
    assert (tmp_path / "script.txt").read_text() == "of the image\n" + joined
    assert store.out("ps", "-aq") == ""
