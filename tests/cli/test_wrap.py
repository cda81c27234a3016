"""`rootlay wrap` with programs that people wrap."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from tests.cli.conftest import Rootlay


def test_python_git_and_a_compiler(debian: Rootlay, tmp_path: Path) -> None:
    directory, home = tmp_path / "bin", tmp_path / "home"
    home.mkdir()
    words = ("python3", "git", "gcc", "cc=/usr/bin/gcc", "perl", "make")
    debian("wrap", "debian", *words, "-o", str(directory), "-e", "GIT_AUTHOR_NAME=a b", "--upper", "private")
    environ = {"HOME": str(home), "PATH": f"{directory}:/usr/bin:/bin", "GIT_AUTHOR_EMAIL": "a@b"}
    environ |= {"GIT_COMMITTER_NAME": "c", "GIT_COMMITTER_EMAIL": "c@d"}

    def do(*command: str, code: int = 0) -> str:
        done = subprocess.run(command, capture_output=True, text=True, cwd=home, env=environ, check=False)
        assert done.returncode == code, done.stderr
        return done.stdout

    (home / "a.c").write_text("int main(int n, char **v) { return n; }\n")
    (home / "Makefile").write_text("a: a.c\n\tgcc a.c -o a\n\t./a 1 2 || echo $$?\n")
    assert do(str(directory / "make"), "-s") == "3\n"
    do(str(directory / "cc"), "a.c", "-o", "b")
    script = "import os, subprocess, sys; print(sys.argv[1:], os.path.exists('b')); sys.exit(4)"
    assert do(str(directory / "python3"), "-c", script, "x y", code=4) == "['x y'] True\n"
    do(str(directory / "git"), "init", "-q")
    do(str(directory / "git"), "add", "a.c")
    do(str(directory / "git"), "commit", "-qm", "one")
    assert do(str(directory / "git"), "log", "--format=%an: %s") == "a b: one\n"
    assert do(str(directory / "perl"), "-e", "print 6*7") == "42"

    rows = json.loads(debian("wrap", "--list", "--json").stdout)
    assert [(row["image"], row["upper"], len(row["programs"])) for row in rows] == [("debian", "private", 6)]
    assert "no such program" in debian.fails("wrap", "debian", "nothing", "-o", str(tmp_path / "no"), code=54)
    debian("wrap", "--remove", "-o", str(directory), "perl")
    assert "perl" not in os.listdir(directory)
    debian("wrap", "--remove", "-o", str(directory))
    assert not directory.exists()
    assert json.loads(debian("wrap", "--list", "--json").stdout) == []
