"""What is shown of the machine, and binds whose parents the image lacks: relative names, links, descriptors, programs
and listings find what absolute names do. The oracle is the machine itself: the same questions outside and inside."""

from __future__ import annotations

import errno
import fcntl
import glob
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rootlay.vfs import Bind, Container, Image


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A directory whose parents no image has."""
    base = tmp_path / "outer" / "shown"
    (base / "sub" / "deep").mkdir(parents=True)
    (base / "file").write_text("of the machine\n")
    (base / "sub" / "deep" / "leaf").write_text("leaf\n")
    (base / "relative").symlink_to("sub/deep/leaf")
    (base / "up").symlink_to("../shown/file")
    (base / "absolute").symlink_to(base / "file")
    (base / "directory").symlink_to("sub")
    (base / "nowhere").symlink_to("/no/such/thing")
    (base / "program").write_text("#!/bin/sh\npwd; cat file; echo $0 $*\n")
    (base / "program").chmod(0o755)
    (base / "sub" / "module_of_the_machine.py").write_text("import os\nplace = os.getcwd()\n")
    return base


def outcome(ask: Callable[[], object]) -> object:
    try:
        return ask()
    except OSError as error:
        return errno.errorcode[error.errno or 0]


def at(directory: str, ask: Callable[[int], object]) -> object:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return ask(fd)
    finally:
        os.close(fd)


def flags(path: str) -> tuple[int, bool]:
    fd = os.open(path, os.O_RDONLY)
    try:
        return fcntl.fcntl(fd, fcntl.F_GETFL), os.get_inheritable(fd)
    finally:
        os.close(fd)


def looks(base: str) -> dict[str, Callable[[], object]]:
    """Questions whose answer is the same wherever the directory is; each begins in it."""

    def read(path: str) -> str:
        return Path(path).read_text()

    def output(*command: str, **options: Any) -> str:
        return str(subprocess.run(command, capture_output=True, text=True, check=True, **options).stdout)

    return {
        "getcwd": os.getcwd,
        "listdir": lambda: sorted(os.listdir()),
        "listdir dot": lambda: sorted(os.listdir(".")),
        "listdir up": lambda: os.listdir(".."),
        "scandir": lambda: sorted((e.name, e.is_dir(), e.is_symlink(), e.inode()) for e in os.scandir(".")),
        "open": lambda: read("file"),
        "open below": lambda: read("sub/deep/leaf"),
        "open dot": lambda: read("./sub/../file"),
        "open up": lambda: read("../shown/file"),
        "absolute": lambda: read(f"{base}/file"),
        "absolute, with dots": lambda: read(f"{base}/./sub/..//file"),
        "absolute, below": lambda: [
            (s.st_ino, s.st_mode, s.st_size)
            for ask in (os.stat, os.lstat)
            for s in (ask(f"{base}/{name}") for name in ("sub", "sub/deep/leaf", "directory/deep/leaf", "sub/../up"))
        ],
        "absolute, missing": lambda: [
            outcome(partial(os.stat, f"{base}/{name}"))
            for name in ("none", "sub/none", "none/x", "file/x", "sub/deep/leaf/")
        ],
        "flags": lambda: at(f"{base}/sub/deep", lambda fd: (fcntl.fcntl(fd, fcntl.F_GETFL), os.get_inheritable(fd))),
        "flags of a file": lambda: flags(f"{base}/sub/deep/leaf"),
        "relative link": lambda: read("relative"),
        "link up": lambda: read("up"),
        "absolute link": lambda: read("absolute"),
        "link to a directory": lambda: sorted(os.listdir("directory")),
        "through a link, up": lambda: read("directory/../file"),
        "broken link": lambda: read("nowhere"),
        "readlink": lambda: [os.readlink(name) for name in ("relative", "up", "absolute", f"{base}/nowhere")],
        "missing": lambda: read("missing"),
        "missing directory": lambda: read("missing/x"),
        "file as a directory": lambda: read("file/x"),
        "realpath": lambda: [os.path.realpath(name) for name in (".", "up", "absolute", "directory/deep", "..")],
        "same file": lambda: [
            os.path.samefile(*two) for two in (("file", f"{base}/up"), (".", base), ("..", "sub/../.."))
        ],
        "stat": lambda: [
            (s.st_ino, s.st_size, s.st_mode, s.st_mtime_ns) for s in map(os.stat, (".", "file", "relative"))
        ],
        "lstat": lambda: [(s.st_ino, s.st_mode) for s in map(os.lstat, ("relative", f"{base}/up"))],
        "fstat": lambda: at(".", lambda fd: os.path.samestat(os.fstat(fd), os.stat("."))),
        "access": lambda: [os.access(name, os.R_OK | os.X_OK) for name in (".", "file", "program", "missing")],
        "walk": lambda: sorted((root, sorted(d), sorted(f)) for root, d, f in os.walk(".")),
        "fwalk": lambda: sorted((root, sorted(d), sorted(f)) for root, d, f, _ in os.fwalk(base)),
        "glob": lambda: sorted(glob.glob("**/*", recursive=True)),
        "rglob": lambda: sorted(map(str, Path("..").rglob("leaf"))),
        "dir_fd": lambda: at("sub", lambda fd: os.read(os.open("deep/leaf", os.O_RDONLY, dir_fd=fd), 99)),
        "dir_fd up": lambda: at("sub/deep", lambda fd: os.stat("../../file", dir_fd=fd).st_size),
        "listdir of a descriptor": lambda: at("sub", lambda fd: sorted(os.listdir(fd))),
        "fchdir": lambda: (at("sub", os.fchdir), os.getcwd(), read("deep/leaf"), read("../file")),
        "chdir up and down": lambda: (
            os.chdir(".."),
            os.getcwd(),
            os.chdir("shown/sub"),
            os.getcwd(),
            os.listdir("deep"),
        ),
        "chdir through a link": lambda: (os.chdir("directory/deep"), os.getcwd(), os.listdir("..")),
        "magic link": lambda: os.readlink("/proc/self/cwd"),
        "program": lambda: output("./program", "a"),
        "program by its whole name": lambda: output(f"{base}/program", "a"),
        "shell": lambda: output("sh", "-c", "pwd; cat up; cd sub/deep; pwd; cat ../../file; ls .."),
        "shell, elsewhere": lambda: output("sh", "-c", "pwd; cat leaf", cwd="sub/deep"),
        "interpreter": lambda: output(sys.executable, "-c", "import os; print(os.getcwd(), os.listdir('sub/deep'))"),
        "import": lambda: output(sys.executable, "-c", "import sub.module_of_the_machine as m; print(m.place)"),
    }


def answers(base: str) -> dict[str, object]:
    found = {}
    for name, ask in looks(base).items():
        os.chdir(base)
        found[name] = outcome(ask)
    return found


def test_what_is_shown_is_found_by_every_kind_of_name(
    container: Container, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", os.environ["PATH"] + ":/bin")
    before = os.getcwd()
    try:
        expected = answers(str(here))
        os.chdir(before)
        with container.activate(through=[here]):
            found = answers(str(here))
        with container.activate(through=[here], user="user"):
            as_user = answers(str(here))
    finally:
        os.chdir(before)
    assert found == expected
    assert as_user == expected
    assert container.diff() == []


def test_links_of_the_container_lead_there(container: Container, here: Path) -> None:
    with container.activate(through=[here]):
        os.symlink(here, "/tmp/link")
        os.symlink(f"{here}/sub", "/tmp/sub")
        os.symlink("../../file", f"{here.parent}/x")  # beside it: the directories that lead there may be changed
        assert Path("/tmp/link/file").read_text() == "of the machine\n"
        assert sorted(os.listdir("/tmp/link")) == sorted(os.listdir(here))
        assert Path("/tmp/sub/../up").read_text() == "of the machine\n"
        os.chdir("/tmp/link/sub")
        assert os.getcwd() == f"{here}/sub"
        assert subprocess.run(["cat", "/tmp/link/up"], capture_output=True).stdout == b"of the machine\n"
        assert os.listdir(here.parent) != []
        assert os.readlink(f"{here.parent}/x") == "../../file"
    assert not os.path.lexists(here.parent / "x")


def test_the_ways_are_directories_and_being_inside_changes_nothing(container: Container, here: Path) -> None:
    with container.activate(through=[here]):
        first = f"/{here.parts[1]}"
        assert here.parts[1] in os.listdir("/")
        assert os.listdir(here.parent) == ["shown"]
        way = str(here.parent)
        while way != "/":
            assert os.path.isdir(way)
            assert os.stat(way).st_mode == 0o40755 or container.fs.exists(way)
            assert os.path.basename(way) in os.listdir(os.path.dirname(way))
            way = os.path.dirname(way)
        assert [str(path) for path in Path(first).rglob("leaf")] == [f"{here}/sub/deep/leaf"]
        with pytest.raises(FileExistsError):
            os.mkdir(here.parent)
        assert subprocess.run(["ls", here.parent], capture_output=True).stdout == b"shown\n"
        assert container.diff() == []
        snapshot = container.snapshot()
        assert os.listdir(here.parent) == ["shown"]
        Path(here.parent, "made").write_text("x")
        assert sorted(os.listdir(here.parent)) == ["made", "shown"]
        fd = os.open(here.parent, os.O_RDONLY)
        os.mkdir("beside", dir_fd=fd)
        assert sorted(os.listdir(fd)) == ["beside", "made", "shown"]
        os.close(fd)
        with pytest.raises(OSError, match=os.strerror(errno.EBUSY)):
            os.rename(here, here.parent / "other")
        with pytest.raises(OSError, match=os.strerror(errno.ENOTEMPTY)):
            os.rmdir(here.parent)
    assert str(container.diff(snapshot)[-1]) == f"A {here.parent}/made"
    assert sorted(os.listdir(here.parent)) == ["shown"]


def test_what_may_not_be_searched_does_not_hide_the_interpreter(container: Container, here: Path) -> None:
    """The image's own directories on the way are closed to this user, or are none."""
    with container.activate():
        os.makedirs(here.parent)
        os.chmod(here.parent, 0o700)
    with container.activate(through=[here], user="user", cwd="/tmp"):
        assert Path(here, "file").read_text() == "of the machine\n"
        assert os.listdir(here / "sub" / "deep") == ["leaf"]
        with pytest.raises(PermissionError):
            os.listdir(here.parent)
        assert subprocess.run(["cat", here / "up"], capture_output=True).stdout in (b"of the machine\n", b"")
        done = subprocess.run([sys.executable, "-c", "print(1)"], capture_output=True)
        assert done.stdout == b"1\n", done.stderr
    with container.activate():
        os.rmdir(here.parent)
        Path(here.parent).write_text("a file in the way")
    with container.activate(through=[here]):
        assert Path(here, "file").read_text() == "of the machine\n"


def test_errors_of_changes_are_those_of_a_read_only_mount(container: Container, here: Path) -> None:
    """EROFS where the name could be made, ENOENT where its directory is missing, and so on: as mount(8) -o ro gives."""
    cases: dict[str, tuple[Callable[[str], object], ...]] = {
        "EROFS": (
            lambda base: Path(base, "new").write_text("x"),
            lambda base: Path(base, "file").write_text("x"),
            lambda base: os.open(f"{base}/file", os.O_WRONLY),
            lambda base: os.mkdir(f"{base}/new"),
            lambda base: os.unlink(f"{base}/file"),
            lambda base: os.rename(f"{base}/file", f"{base}/other"),
            lambda base: os.symlink("x", f"{base}/new"),
            lambda base: os.link(f"{base}/file", f"{base}/new"),
            lambda base: os.chmod(f"{base}/file", 0o600),
            lambda base: os.utime(f"{base}/file"),
            lambda base: os.truncate(f"{base}/file", 0),
        ),
        "ENOENT": (
            lambda base: Path(base, "missing/new").write_text("x"),
            lambda base: os.open(f"{base}/missing", os.O_WRONLY),
            lambda base: os.mkdir(f"{base}/missing/new"),
            lambda base: os.unlink(f"{base}/missing/x"),
            lambda base: os.rename(f"{base}/missing/x", f"{base}/other"),
            lambda base: os.chmod(f"{base}/missing", 0o600),
            lambda base: os.truncate(f"{base}/missing", 0),
        ),
        "ENOTDIR": (lambda base: os.mkdir(f"{base}/file/new"), lambda base: Path(base, "file/x").write_text("x")),
        "EEXIST": (lambda base: os.mkdir(f"{base}/sub"), lambda base: os.symlink("x", f"{base}/file")),
        "EXDEV": (
            lambda base: os.rename("/etc/motd", f"{base}/motd"),
            lambda base: os.link(f"{base}/file", "/tmp/file"),
        ),
    }
    with container.activate(through=[here]):
        for base in (str(here), "."):
            for wanted, changes in cases.items():
                for number, change in enumerate(changes):
                    os.chdir(here)
                    assert outcome(partial(change, base)) == wanted, (wanted, number, base)
        assert [os.access(name, os.W_OK) for name in (here, here / "file", "file")] == [False] * 3
    assert (here / "file").read_text() == "of the machine\n"


def make_wheel(directory: Path) -> Path:
    path = directory / "ofthewheel-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("ofthewheel.py", "name = 'of the wheel'\n")
        wheel.writestr("ofthewheel-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: ofthewheel\nVersion: 1\n")
        wheel.writestr(
            "ofthewheel-1.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr("ofthewheel-1.dist-info/RECORD", "ofthewheel.py,,\n")
    return path


@pytest.mark.parametrize("where", ["bound", "shown path's neighbour"])
def test_a_venv_made_inside_works(where: str, image: Image, here: Path) -> None:
    """In a bind whose parents the image lacks, and in a directory that leads to what is shown."""
    wheel = make_wheel(here)
    binds = [Bind(str(here), f"/no/such/place{here}")] if where == "bound" else []
    place = Path(f"/no/such/place{here}" if binds else here.parent)
    with image.container(binds=binds) as c, c.activate(through=[here], cwd=place):
        assert os.getcwd() == str(place)
        subprocess.run([sys.executable, "-m", "venv", "env"], check=True, capture_output=True)
        assert "env" in os.listdir(".")
        say = "import sys, os; print(sys.prefix, os.getcwd())"
        done = subprocess.run(["./env/bin/python", "-c", say], capture_output=True, text=True)
        assert (done.stdout, done.stderr) == (f"{place}/env {place}\n", "")
        pip = ["env/bin/python", "-m", "pip", "--no-cache-dir", "--disable-pip-version-check"]
        done = subprocess.run([*pip, "install", "--no-index", wheel], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        use = ["env/bin/python", "-c", "import ofthewheel as w; print(w.name)"]
        done = subprocess.run(use, capture_output=True, text=True)
        assert done.stdout == "of the wheel\n", done.stderr
        assert os.path.exists(place / "env/bin/pip")
    assert (here / "env").exists() == bool(binds)


def test_a_bind_whose_parents_the_image_lacks(image: Image, here: Path) -> None:
    target = "/a/b/c"
    with image.container(binds=[Bind(str(here), target)]) as c:
        with c.activate():
            assert os.listdir("/a/b") == ["c"]
            os.chdir(target)
            assert os.getcwd() == target
            assert Path("up").exists() is False  # ../shown is not there
            assert Path("relative").read_text() == "leaf\n"
            assert Path("../c/file").read_text() == "of the machine\n"
            os.mkdir("made")
            os.rename("made", "sub/moved")
            Path("sub/moved/x").write_text("x")
            os.symlink(target, "/tmp/link")
            assert Path("/tmp/link/sub/moved/x").read_text() == "x"
            assert sorted(name for _, _, names in os.walk("sub/moved") for name in names) == ["x"]
            assert subprocess.run(["./program"], capture_output=True).stdout.startswith(b"/a/b/c\nof the machine\n")
            os.chdir("../..")
            assert (os.getcwd(), os.listdir(".")) == ("/a", ["b"])
            with pytest.raises(OSError, match=os.strerror(errno.EBUSY)):
                os.rmdir(target)
        assert (here / "sub/moved/x").read_text() == "x"
        # as with docker run -v: the directories that lead there are the container's
        assert [str(change) for change in c.diff()] == ["A /a", "A /a/b", "C /tmp", "A /tmp/link"]


def test_a_path_that_cannot_be_shown_is_an_error(container: Container, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="missing"):
        container.activate(through=[tmp_path / "missing"])
    with pytest.raises(ValueError, match="whole root"):
        container.activate(through=["/"])
    (tmp_path / "d").mkdir()
    before = os.getcwd()
    os.chdir(tmp_path)
    try:
        with container.activate(through=["d"]):
            assert os.path.isdir(tmp_path / "d")
    finally:
        os.chdir(before)
