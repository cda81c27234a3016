"""Real applications, built from Dockerfiles by an ordinary user; the results run in rootlay and in podman."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.conftest import Rootlay
from tests.programs.conftest import Machine
from tests.programs.podman import Podman, PodmanUnusable

pytestmark = pytest.mark.once

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

# A small final image has what a program needs to start, and no more: itself, its libraries and what loads them.
RUNTIME = """\
#!/bin/sh
set -e
mkdir -p /out/tmp
for file in "$@"; do cp -a --parents "$file" "$(readlink -f "$file")" /out; done
ldd "$@" | grep -o '/[^ :]*' | sort -u | while read -r file; do cp -L --parents "$file" /out; done
"""

PYTHON_APP = {
    "Dockerfile": """\
FROM image AS build
WORKDIR /app
RUN python3 -m venv /app/venv
COPY requirements.txt wheels* ./
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=secret,id=ca,target=/run/ca.crt \\
    PIP_CERT=/run/ca.crt /app/venv/bin/pip install -q --disable-pip-version-check --find-links . -r requirements.txt
COPY app.py .
COPY --chmod=755 runtime .
RUN ./runtime /usr/bin/python3 /usr/lib/python3.*/lib-dynload/*.so $(find venv -name '*.so' -exec realpath {} +) \\
 && cp -a --parents /usr/lib/python3.* /out
FROM scratch
COPY --from=build /out /
COPY --from=build /app /app
WORKDIR /app
ENV PATH=/app/venv/bin
CMD ["python", "app.py"]
""",
    "runtime": RUNTIME,
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
COPY --chmod=755 runtime .
RUN ./runtime /usr/bin/node && cp --parents /etc/passwd /out && cp -a --parents /usr/share/nodejs /out
FROM scratch
COPY --from=build /out /
COPY --from=build /app /app
WORKDIR /app
USER nobody
CMD ["/usr/bin/node", "index.js"]
""",
    "runtime": RUNTIME,
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
    podman: Podman | None

    def build(self, name: str, files: dict[str, str]) -> str:
        """What the build says; afterwards the image is called NAME."""
        context = self.directory / name
        for path, content in files.items():
            (context / path).parent.mkdir(parents=True, exist_ok=True)
            (context / path).write_text(content)
        options = ("--secret", f"id=ca,src={CA}") if CA else ()
        return self.rootlay("build", "-t", name, *options, str(context), timeout_s=BUILD_S).stderr.decode()

    def check(self, name: str, expected: str, *words: str) -> None:
        """The image prints that in rootlay, and in podman."""
        assert self.rootlay.out("run", "--rm", name, *words) == expected
        if self.podman is None:
            return
        archive = self.directory / f"{name}.tar"
        self.rootlay("save", "-o", str(archive), name)
        loaded = self.podman.load(archive)
        archive.unlink()
        assert self.podman.run(loaded, *words) == expected
        self.podman.remove(loaded)


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman | str]:
    """podman, or why it cannot be used."""
    try:
        found = Podman(tmp_path_factory.mktemp("podman"))
    except PodmanUnusable as error:
        yield str(error)
        return
    try:
        found.probe()
        yield found
    except PodmanUnusable as error:
        yield str(error)
    finally:
        found.close()


@pytest.fixture
def at_debian(debian: Machine, podman: Podman | str, tmp_path: Path) -> Iterator[Workplace]:
    yield _workplace(debian, podman, tmp_path)
    debian.rootlay("builder", "prune", "--all")


@pytest.fixture
def at_machine(machine: Machine, podman: Podman | str, tmp_path: Path) -> Iterator[Workplace]:
    yield _workplace(machine, podman, tmp_path)
    machine.rootlay("builder", "prune", "--all")


def _workplace(machine: Machine, podman: Podman | str, tmp_path: Path) -> Workplace:
    tmp_path.chmod(0o755)
    return Workplace(machine.rootlay, tmp_path, None if isinstance(podman, str) else podman)


@pytest.mark.skipif(not NETWORK, reason="ROOTLAY_TEST_NETWORK is not set: no package server to ask")
def test_apt_installs_git_gcc_and_python_that_build_a_c_program(at_debian: Workplace) -> None:
    said = at_debian.build("c-program", C_PROJECT)
    assert "Setting up git" in said
    assert "Setting up gcc" in said
    assert at_debian.rootlay.out("run", "--rm", "c-program") == "nobody: 42 of first\n"
    at_debian.check("c-program", "me: 42 of first\n", "me")
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
    at_machine.check("python-app", expected)


def test_a_go_program_static_in_an_empty_image(at_machine: Workplace) -> None:
    at_machine.build("go-app", GO_APP)
    at_machine.check("go-app", "go amd64 true\n")
    names = at_machine.rootlay.out("history", "--json", "go-app")
    assert names.count('"created_by"') == 2


@pytest.mark.skipif(not os.environ.get("ROOTLAY_TEST_LONG"), reason="ROOTLAY_TEST_LONG is not set")
def test_a_node_application(at_machine: Workplace) -> None:
    files = dict(NODE_APP)
    if NETWORK and CA:
        files["package.json"] = files["package.json"].replace('"greeting":', '"picocolors": "^1.0.0", "greeting":')
        files["index.js"] += "console.log(typeof require('picocolors').red);\n"
    at_machine.build("node-app", files)
    expected = "hello from node true\n" + ("function\n" if NETWORK and CA else "")
    at_machine.check("node-app", expected)


def test_podman_takes_part(podman: Podman | str) -> None:
    """Where it does not, the tests above have run their results in rootlay alone."""
    if isinstance(podman, str):
        pytest.skip(podman)
    assert podman.run("localhost/probe", "/busybox", "echo", "again") == "again\n"
