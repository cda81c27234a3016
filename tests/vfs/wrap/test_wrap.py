"""Wrapped commands: what starts is the program itself, and everything around it is the caller's."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from rootlay.store.containers.containers import Containers
from rootlay.store.containers.record import Bind
from rootlay.store.model.value import replace
from rootlay.vfs import CannotWrap, Image, Store
from rootlay.vfs.wrap.options import WrapOptions
from rootlay.vfs.wrap.wrap import Wrapped, find_wrapped, iter_wrapped, remove_wrapped, wrap_programs

Wrap = Callable[..., Path]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def wrap(store: Store, image: Image, tmp_path: Path) -> Wrap:
    """Makes commands of the small image, by default all those that the tests need."""

    def make(*programs: str, name: str = "bin", **options: Any) -> Path:
        wanted = WrapOptions(**{"image": image.reference, **options})
        return _made(store, tmp_path / name, programs or ("sh", "cat", "true", "env"), wanted).directory

    return make


def _made(store: Store, directory: Path, programs: tuple[str, ...], options: WrapOptions) -> Wrapped:
    return wrap_programs(store.root, directory, programs, options, {})


def _run(words: list[object], home: Path, **options: object) -> subprocess.CompletedProcess[str]:
    environ = {"HOME": str(home), "PATH": "/usr/bin:/bin", "TMPDIR": str(home), "LD_PRELOAD": "", "KEPT": "yes"}
    given: Mapping[str, object] = {"capture_output": True, "text": True, "cwd": home, "env": environ, **options}
    return subprocess.run([str(word) for word in words], check=False, **given)  # type: ignore[call-overload, no-any-return]


def _eventually(check: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not check() and time.monotonic() < until:
        time.sleep(0.02)
    assert check()


def test_arguments_streams_and_exit_codes_are_the_programs(wrap: Wrap, home: Path) -> None:
    directory = wrap()
    sh = directory / "sh"
    done = _run(
        [sh, "-c", 'cat; echo "$0|$1|$#|$KEPT|$LD_PRELOAD|$HOME"; echo err >&2; exit 7', "a b", ""], home, input="in\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (7, f"in\na b||1|yes||{home}\n", "err\n")
    assert _run([sh, "-c", "kill -KILL $$"], home).returncode == -signal.SIGKILL
    assert _run([directory / "cat", "missing"], home).returncode == 1
    assert _run([directory / "env"], home).stdout.splitlines().count("KEPT=yes") == 1
    assert _run(["/bin/sh", "-c", '"$0" -c "echo more >&7" 7>&1 >/dev/null', sh], home).stdout == "more\n"


def test_the_program_has_the_process_of_the_command(wrap: Wrap, home: Path) -> None:
    with subprocess.Popen(
        [wrap() / "sh", "-c", 'trap "echo got; exit 3" TERM; echo $$; while :; do sleep 0.05; done'],
        stdout=subprocess.PIPE,
        text=True,
        env={"HOME": str(home)},
    ) as process:
        assert process.stdout
        assert int(process.stdout.readline()) == process.pid
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == "got\n"
        assert process.wait() == 3


def test_home_and_working_directory_are_visible_and_the_rest_is_the_images(
    wrap: Wrap, home: Path, tmp_path: Path
) -> None:
    sh = wrap(tmp=False) / "sh"
    (home / "a file").write_text("mine\n")
    assert (
        _run([sh, "-c", "pwd; cat 'a file'; cat /etc/motd; echo new > made"], home).stdout == f"{home}\nmine\nwelcome\n"
    )
    assert (home / "made").read_text() == "new\n"
    work = tmp_path / "work"
    work.mkdir()
    assert _run([sh, "-c", "pwd; echo x > there"], home, cwd=work).stdout == f"{work}\n"
    assert (work / "there").exists()
    assert _run([sh, "-c", "pwd"], home, cwd="/usr").stdout == "/\n"
    other = wrap("sh", name="other", home=False, tmp=False, cwd=False, working_dir="/usr/share") / "sh"
    assert (
        _run([other, "-c", f"pwd; test -e {home} || echo hidden; echo $HOME"], home).stdout
        == "/usr/share\nhidden\n/root\n"
    )


def test_uppers(wrap: Wrap, store: Store, home: Path) -> None:
    change, look = "echo changed > /etc/motd", "cat /etc/motd"
    shared = wrap("sh", name="shared")
    _run([shared / "sh", "-c", change], home)
    assert _run([shared / "sh", "-c", look], home).stdout == "changed\n"
    record = Containers(store.root).find(find_wrapped(shared).container)
    assert (record.upper / "etc/motd").read_text() == "changed\n"

    private = wrap("sh", name="private", upper="private")
    _run([private / "sh", "-c", change], home)
    assert _run([private / "sh", "-c", look], home).stdout == "changed\n"
    second = home / "second"
    second.mkdir()
    assert _run([private / "sh", "-c", look], second, env={"HOME": str(second)}).stdout == "welcome\n"

    thrown = wrap("sh", name="thrown", upper="throw-away")
    done = _run(
        [
            thrown / "sh",
            "-c",
            f"{change}; mkdir -p /d/e/f/g; chmod 0 /d/e/f; {look}; sleep 1 >/dev/null 2>&1 & wait %none",
        ],
        home,
    )
    assert done.stdout == "changed\n"
    assert list(home.glob("rootlay-wrapped-*"))  # the child still runs
    _eventually(lambda: not list(home.glob("rootlay-wrapped-*")))
    assert _run([thrown / "sh", "-c", look], home).stdout == "welcome\n"
    _eventually(lambda: not list(home.glob("rootlay-wrapped-*")))


def test_a_launch_file_is_used_again(wrap: Wrap, store: Store, home: Path) -> None:
    directory = wrap()
    record = Containers(store.root).find(find_wrapped(directory).container)
    for _ in range(3):
        _run([directory / "true"], home)
    assert len(list(record.path.glob("launch-*"))) == 1
    assert Containers(store.root).maybe_running()[0] == {record.id}
    assert len([name for name in os.listdir(record.path) if name.startswith(".launch")]) == 0


def test_relocatable_commands_can_be_moved(wrap: Wrap, store: Store, home: Path, tmp_path: Path) -> None:
    directory = wrap("sh", "cat", relocatable=True, upper="throw-away", tmp=False)
    assert store.containers() == []
    moved = tmp_path / "another place"
    directory.rename(moved)
    (tmp_path / "store").rename(tmp_path / "gone")
    link = tmp_path / "link"
    link.symlink_to(moved / "cat")
    assert _run([link, "/etc/motd"], home).stdout == "welcome\n"
    assert (moved / ".rootlay/template").stat().st_mode & 0o777 == 0o644
    assert all(
        path.stat().st_mode & 0o444 == 0o444 for path in (moved / ".rootlay").rglob("*") if not path.is_symlink()
    )
    remove_wrapped(moved)
    assert not moved.exists()


def test_a_wrapped_program_starts_others_of_its_image(wrap: Wrap, home: Path) -> None:
    directory = wrap(tmp=False, binds=())
    script = home / "script"
    script.write_text(f"#!{directory}/sh\necho in $0\n{directory}/cat /etc/motd\n")
    script.chmod(0o755)
    (home / "bin").symlink_to(directory)
    visible = wrap("sh", "cat", name="home/commands")
    assert (
        _run([visible / "sh", "-c", f"{visible}/cat /etc/motd; exec {visible}/cat /etc/motd"], home).stdout
        == "welcome\n" * 2
    )
    other = wrap("sh", name="home/other")
    done = _run([visible / "sh", "-c", f"{other}/sh -c true"], home)
    assert done.returncode == 125
    assert "start it outside" in done.stderr


def test_names_and_paths(wrap: Wrap, home: Path) -> None:
    directory = wrap("my shell=/bin/sh", "/script")
    assert _run([directory / "my shell", "-c", "echo $0"], home).stdout == "/bin/sh\n"
    assert _run([directory / "script", "a"], home).stdout == "script /script a\n"
    with pytest.raises(CannotWrap, match="no such program"):
        wrap("nothing")
    with pytest.raises(CannotWrap, match="not a name"):
        wrap("a/b=/bin/sh")
    assert sorted(os.listdir(directory)) == [".rootlay", "my shell", "script"]
    with pytest.raises(CannotWrap, match="use another directory"):
        wrap("sh", upper="private")
    (directory / "cat").write_text("mine")
    with pytest.raises(CannotWrap, match="a file of that name"):
        wrap("cat")
    assert (directory / "cat").read_text() == "mine"
    with pytest.raises(CannotWrap, match="no such program"):
        wrap("nothing", name="new")
    assert os.listdir(directory.parent / "new") == []


def test_further_commands_have_the_options_of_the_directory_or_are_refused(
    wrap: Wrap, home: Path, tmp_path: Path
) -> None:
    bind = Bind(str(tmp_path), "/shown")
    options: dict[str, Any] = {"env": ("A=1", "A=2", "HOME"), "binds": (bind,), "cwd": False, "upper": "private"}
    directory = wrap("sh", **options)
    before = (directory / ".rootlay/settings").read_bytes()
    refused: dict[str, dict[str, Any]] = {
        "-e A=1": {"env": ("A=1",)},
        f"-v {tmp_path}:/shown:ro": {"binds": (bind, replace(bind, read_only=True))},
        "-u 5": {"user": "5"},
        "-w /etc": {"working_dir": "/etc"},
        "--no-home": {"home": False},
        "--network none": {"network": "none"},
        "--confine off": {"confine": "off"},
        "--upper shared": {"upper": "shared"},
        "--relocatable, -e B=": {"env": ("B=",), "relocatable": True},
    }
    for text, given in refused.items():
        with pytest.raises(CannotWrap, match=f"made without {re.escape(text)}: leave that out"):
            wrap("cat", **given)
    assert (directory / ".rootlay/settings").read_bytes() == before
    wrap("cat")
    wrap("env", **options, network="host", confine="auto")
    shown = _run([directory / "env"], home).stdout.splitlines()
    assert {"A=2", f"HOME={home}"} <= set(shown)
    assert _run([directory / "sh", "-c", "cd /shown && pwd"], home).stdout == "/shown\n"


def test_list_and_remove(wrap: Wrap, store: Store, home: Path) -> None:
    directory = wrap("sh", "cat")
    wrap("env")
    assert [found.directory for found in iter_wrapped(store.root)] == [directory]
    assert sorted(find_wrapped(directory).settings.programs()) == ["cat", "env", "sh"]
    remove_wrapped(directory, ["cat"])
    assert not (directory / "cat").exists()
    assert _run([directory / "env"], home).returncode == 0
    with pytest.raises(CannotWrap, match="of that name"):
        remove_wrapped(directory, ["cat"])
    (directory / "other").touch()
    remove_wrapped(directory)
    assert os.listdir(directory) == ["other"]
    assert store.containers() == []
    with pytest.raises(CannotWrap, match="no wrapped programs"):
        remove_wrapped(directory)


def test_after_a_boot_the_filter_is_made_complete(wrap: Wrap, store: Store, home: Path) -> None:
    """As after a power failure: the filter lacks the bits of an existing file, and names another boot."""
    directory = wrap("sh")
    record = Containers(store.root).find(find_wrapped(directory).container)
    _run([directory / "sh", "-c", "echo kept > /etc/new"], home)
    for without_python in (False, True):
        with open(record.path / "bloom", "r+b") as bloom:
            bloom.seek(32)
            bloom.write(bytes(os.fstat(bloom.fileno()).st_size - 32))
        if without_python:
            settings = directory / ".rootlay/settings"
            settings.write_bytes(settings.read_bytes().replace(b"prepare\0/", b"prepare\0/missing/"))
        assert _run([directory / "sh", "-c", "cat /etc/new"], home).stdout == "kept\n"
        assert _run([directory / "sh", "-c", "cat /etc/new"], home).stdout == "kept\n"


def test_a_snapshot_makes_the_shared_commands_refuse(wrap: Wrap, store: Store, home: Path) -> None:
    directory = wrap("sh")
    assert _run([directory / "sh", "-c", "echo 1 > /etc/new"], home).returncode == 0
    store.container(find_wrapped(directory).container).snapshot("one")
    done = _run([directory / "sh", "-c", "echo 2 > /etc/new"], home)
    assert (done.returncode, "new snapshot" in done.stderr) == (125, True)
