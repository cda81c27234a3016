"""Real applications, built from Dockerfiles; the results run in rootlay, and, where we are root, from podman's storage.

podman's own `run` is tried first. On machines where its runtime cannot work (no cgroups for it) the tree that podman
has unpacked is run in bubblewrap instead: what is asked is whether podman reads the image as it is meant.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))  # importlib mode leaves it out

from tests.cli.conftest import Rootlay
from tests.programs.conftest import Machine

BUILD_S = 600
# The package servers' certificates, as this machine trusts them: the images know of no CA, or not of ours.
CA = next((path for path in ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/cert.pem") if Path(path).exists()), "")
NETWORK = bool(os.environ.get("ROOTLAY_TEST_NETWORK"))

C_PROJECT = {
    "Dockerfile": """\
FROM image AS tools
RUN apt-get purge -qy --auto-remove git gcc make python3 perl >/dev/null && ! command -v git gcc python3
RUN apt-get update -q && apt-get install -qy --no-install-recommends git gcc libc6-dev make python3 \\
 && rm -rf /var/lib/apt/lists/*
FROM tools AS build
WORKDIR /src
COPY . .
RUN git init -q && git add . && git -c user.name=me -c user.email=me@host commit -qm first && make check
FROM scratch
COPY --from=build --chmod=555 /src/answer /bin/answer
USER 1000:1000
ENTRYPOINT ["/bin/answer"]
CMD ["nobody"]
""",
    "main.c": '#include <stdio.h>\n#include "table.h"\n'
    'int main(int n, char **v) { printf("%s: %d of %s\\n", n > 1 ? v[1] : "-", table[6], COMMIT); return 0; }\n',
    "table.py": "print('static const int table[] = {' + ', '.join(str(7 * n) for n in range(9)) + '};')\n",
    "Makefile": 'answer: main.c table.h\n\t$(CC) -static -DCOMMIT=\\"$$(git log -1 --format=%s)\\" -o $@ main.c\n'
    "table.h: table.py\n\tpython3 table.py > $@\ncheck: answer\n\t./answer check | grep -q 'check: 42 of first'\n",
    ".dockerignore": "*.md\n",
    "README.md": "not for the image\n",
}

PYTHON_APP = {
    "Dockerfile": """\
FROM image AS build
WORKDIR /app
RUN python3 -m venv /app/venv
COPY requirements.txt wheels* ./
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=secret,id=ca,target=/run/ca.crt \\
    PIP_CERT=/run/ca.crt /app/venv/bin/pip install -q --disable-pip-version-check --find-links . -r requirements.txt
COPY app.py .
FROM image
COPY --from=build /app /app
WORKDIR /app
ENV PATH=/app/venv/bin:$PATH
CMD ["python", "app.py"]
""",
    "app.py": "import greeting, sys\nprint(greeting.hello(), sys.prefix)\n",
    "requirements.txt": "greeting==1.0\n",
}

GO_APP = {
    "Dockerfile": """\
FROM image AS build
WORKDIR /src
COPY go.mod main.go ./
RUN --mount=type=cache,target=/root/.cache/go-build CGO_ENABLED=0 go build -trimpath -ldflags=-s -o /out/app .
FROM scratch
COPY --from=build /out/app /app
ENTRYPOINT ["/app"]
""",
    "go.mod": "module example.org/app\n\ngo 1.21\n",
    "main.go": 'package main\n\nimport (\n\t"fmt"\n\t"os"\n\t"runtime"\n)\n\n'
    'func main() {\n\t_, err := os.Stat("/etc/passwd")\n\tfmt.Println("go", runtime.GOARCH, os.IsNotExist(err))\n}\n',
}

NODE_APP = {
    "Dockerfile": """\
FROM image AS build
WORKDIR /app
COPY package.json ./
COPY greeting greeting
RUN --mount=type=cache,target=/root/.npm --mount=type=secret,id=ca,target=/run/ca.crt \\
    NODE_EXTRA_CA_CERTS=/run/ca.crt npm install --no-audit --no-fund --loglevel=error
COPY index.js .
FROM image
COPY --from=build /app /app
WORKDIR /app
USER nobody
CMD ["node", "index.js"]
""",
    "package.json": '{"name": "app", "version": "1.0.0", "dependencies": {"greeting": "file:./greeting"}}\n',
    "greeting/package.json": '{"name": "greeting", "version": "1.0.0", "main": "index.js"}\n',
    "greeting/index.js": "module.exports = () => 'hello from node';\n",
    "index.js": "console.log(require('greeting')(), process.getuid() !== 0);\n",
}


@dataclass(frozen=True)
class Workplace:
    """Builds applications, and runs them."""

    rootlay: Rootlay
    directory: Path

    def build(self, name: str, files: dict[str, str]) -> str:
        """What the build says; afterwards the image is called NAME."""
        context = self.directory / name
        for path, content in files.items():
            (context / path).parent.mkdir(parents=True, exist_ok=True)
            (context / path).write_text(content)
        options = ("--secret", f"id=ca,src={CA}") if CA else ()
        return self.rootlay("build", "-t", name, *options, str(context), timeout_s=BUILD_S).stderr.decode()

    def run(self, name: str, *words: str) -> str:
        return self.rootlay.out("run", "--rm", name, *words)

    def run_from_podman(self, name: str, *words: str) -> str | None:
        """What the image prints when podman has loaded it; None where podman cannot be used."""
        if os.geteuid() != 0 or not shutil.which("podman") or not shutil.which("bwrap"):
            return None
        archive = self.directory / f"{name}.tar"
        self.rootlay("save", "-o", str(archive), name)
        # It wants to write below /run, which is read-only while root's tests run.
        writable = ("bwrap", "--cap-add", "ALL", "--dev-bind", "/", "/", "--tmpfs", "/run", "--tmpfs", "/var/tmp")
        places = ("--root", str(self.directory / "podman"), "--runroot", str(self.directory / "podman-run"))
        podman = (*writable, "podman", *places, "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs")
        subprocess.run([*podman, "load", "-q", "-i", str(archive)], check=True, capture_output=True)
        archive.unlink()
        image = f"localhost/{name}"
        done = subprocess.run(
            [*podman, "run", "--rm", "--network=none", image, *words], check=False, capture_output=True, text=True
        )
        if done.returncode == 0:
            return done.stdout
        assert "OCI runtime" in done.stderr, done.stderr
        tree = subprocess.check_output([*podman, "image", "mount", image], text=True).strip()
        form = "{{json .Config.Entrypoint}}{{json .Config.Cmd}}{{.Config.WorkingDir}}"
        told = subprocess.check_output([*podman, "image", "inspect", "--format", form, image], text=True)
        entrypoint, default, cwd = re.fullmatch(r"(null|\[.*?\])(null|\[.*?\])(.*)", told.strip()).groups()  # type: ignore[union-attr]
        argv = [*_words(entrypoint), *(words or _words(default))]
        special = [word for kind in ("dev", "proc") if Path(tree, kind).is_dir() for word in (f"--{kind}", f"/{kind}")]
        return subprocess.check_output(
            ["bwrap", "--unshare-net", "--ro-bind", tree, "/", *special, "--chdir", cwd or "/", "--", *argv], text=True
        )


def _words(text: str) -> list[str]:
    return re.findall(r'"([^"]*)"', text)


@pytest.fixture
def at_debian(debian: Machine, tmp_path: Path) -> Iterator[Workplace]:
    yield _workplace(debian, tmp_path)
    debian.rootlay("builder", "prune", "--all")


@pytest.fixture
def at_machine(machine: Machine, tmp_path: Path) -> Iterator[Workplace]:
    yield _workplace(machine, tmp_path)
    machine.rootlay("builder", "prune", "--all")


def _workplace(machine: Machine, tmp_path: Path) -> Workplace:
    tmp_path.chmod(0o755)
    return Workplace(machine.rootlay, tmp_path)


@pytest.mark.skipif(not NETWORK, reason="ROOTLAY_TEST_NETWORK is not set: no package server to ask")
def test_apt_installs_git_gcc_and_python_that_build_a_c_program(at_debian: Workplace) -> None:
    said = at_debian.build("c-program", C_PROJECT)
    assert "Setting up git" in said
    assert "Setting up gcc" in said
    assert at_debian.run("c-program") == "nobody: 42 of first\n"
    assert at_debian.run("c-program", "me") == "me: 42 of first\n"
    assert at_debian.run_from_podman("c-program", "me") in (None, "me: 42 of first\n")
    again = at_debian.build("c-program", C_PROJECT | {"main.c": C_PROJECT["main.c"] + "/* changed */\n"})
    assert again.count("CACHED") == 4  # purge, install, WORKDIR; and the same program came of it, so the last COPY
    again = at_debian.build("c-program", C_PROJECT | {"README.md": "changed\n"})
    assert again.count("CACHED") == 6  # what is in .dockerignore does not count


def write_wheel(directory: Path) -> None:
    """A wheel without anything else in it than a module."""
    directory.mkdir(parents=True)
    info = "greeting-1.0.dist-info"
    with zipfile.ZipFile(directory / "greeting-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("greeting.py", "def hello(): return 'hello from a wheel'\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", f"greeting.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")


def test_a_python_application_with_wheels(at_machine: Workplace) -> None:
    write_wheel(at_machine.directory / "python-app" / "wheels")
    files = dict(PYTHON_APP)
    if not (NETWORK and CA):
        files["requirements.txt"] += "--no-index\n"
    else:
        files["requirements.txt"] += "lmdb\n"  # with a C extension
        files["app.py"] += "import lmdb\nprint(lmdb.version()[0] >= 0)\n"
    at_machine.build("python-app", files)
    expected = "hello from a wheel /app/venv\n" + ("True\n" if NETWORK and CA else "")
    assert at_machine.run("python-app") == expected
    assert at_machine.run_from_podman("python-app") in (None, expected)


def test_a_go_program_static_in_an_empty_image(at_machine: Workplace) -> None:
    at_machine.build("go-app", GO_APP)
    assert at_machine.run("go-app") == "go amd64 true\n"
    assert at_machine.run_from_podman("go-app") in (None, "go amd64 true\n")
    names = at_machine.rootlay.out("history", "--json", "go-app")
    assert names.count('"created_by"') == 2


def test_a_node_application(at_machine: Workplace) -> None:
    files = dict(NODE_APP)
    if NETWORK and CA:
        files["package.json"] = files["package.json"].replace('"greeting":', '"picocolors": "^1.0.0", "greeting":')
        files["index.js"] += "console.log(typeof require('picocolors').red);\n"
    at_machine.build("node-app", files)
    expected = "hello from node true\n" + ("function\n" if NETWORK and CA else "")
    assert at_machine.run("node-app") == expected
    in_podman = at_machine.run_from_podman("node-app")
    assert in_podman is None or in_podman.startswith("hello from node")
