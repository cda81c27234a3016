"""The interrupted commands: command lines on a small store, and the states that they may leave.

Each scenario begins with a store that has the image `base`. `prepare` runs once; `words` is interrupted at every point,
each time in a copy. `{lab}` is the directory of the copy, with `store` and `out` in it; `{in}` is that of the inputs,
`{host}` is the registry. No name is a prefix of an ID (hexadecimal digits).
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.faults.builds import build_steps
from tests.faults.noted import note_removals
from tests.support.rootfs import build_rootfs

Words = tuple[str, ...]
TOUCH = (
    "echo more >> /etc/motd; rm /script; mv /usr/share/doc /usr/share/docs; mkdir /new; echo x > /new/f; "
    "chmod 600 /etc/group"
)
RUN = ("run",)


@dataclass(frozen=True)
class Scenario:
    """One interrupted command.

    Attributes:
        again: the allowed exit codes if the command is repeated after a crash.
        engine: the command runs a program, so it needs an engine. Its points include those of the C core.
        steps: the program changes its container in several steps, so the container may be in between.
        kept: a command that reads the output file (`{}`), and the name of that file in `out`.
        refused: the exit codes of that command for errors of the output file.
        shows: the output of a program that only reads; it is the same at any time.
        ready: a change of the store after `prepare` that no command makes.
        delta: a view on top of another one is a delta, even if it is small.
    """

    name: str
    words: Words
    prepare: tuple[Words, ...] = ()
    again: tuple[int, ...] = (0,)
    engine: bool = False
    steps: bool = False
    damage: Callable[[Path], None] | None = None
    kept: tuple[str, str] | None = None
    refused: tuple[int, ...] = ()
    shows: str = ""
    ready: Callable[[Path], None] | None = None
    delta: bool = False


def damage_store(store: Path) -> None:
    """Make damage for each kind of repair: some is rebuilt, some is quarantined, some is removed."""
    for index in sorted((store / "layers").glob("*/index.lmdb"))[:1]:
        os.truncate(index, 5000)
    for view in (store / "views").glob("*.view"):
        view.unlink()
    _leave_strangers(store)


def damage_delta(store: Path) -> None:
    """Truncate one form of a delta's base, and remove the other."""
    for base in (store / "views").glob("*.view.base"):
        data = base.read_bytes()[:-40]
        base.unlink()  # the view of the lower layers is the same file
        base.write_bytes(data)
    for base in (store / "views").glob("*.lmdb.base"):
        base.unlink()
    _leave_strangers(store)


def _leave_strangers(store: Path) -> None:
    (store / "stray").write_text("mine")
    (store / "layers" / "odd").write_text("mine, too")


CHANGED = (
    ("create", "--name", "work", "base", "true"),
    ("cp", "{in}/tree", "work:/added"),
    ("cp", "{in}/motd", "work:/etc/motd"),
)
NEXT = (*CHANGED, ("commit", "work", "next"))
LATE = (*NEXT, ("create", "--name", "late", "next", "true"))
ON_APP = (
    *(("import", "{in}/app.tar.gz", "app"), ("create", "--name", "work", "app", "true")),
    *(("cp", "{in}/motd", "work:/added"), ("commit", "work", "next"), ("create", "--name", "late", "next", "true")),
    ("rm", "work"),
)
SNAPPED = (*CHANGED, ("snapshot", "create", "work", "s"), ("cp", "{in}/motd", "work:/later"))

SCENARIOS = (
    Scenario("import", ("import", "{in}/app.tar.gz", "app")),
    Scenario("import a directory", ("import", "{in}/tree", "app")),
    Scenario("load docker-archive", ("load", "-i", "{in}/docker.tar")),
    Scenario("load OCI layout", ("load", "-i", "{in}/oci.tar")),
    Scenario("pull", ("pull", "--plain-http", "{host}/app:1")),
    Scenario("pull --lazy", ("pull", "--plain-http", "--lazy", "{host}/lazy:1")),
    Scenario("create", ("create", "--name", "k", "base", "true"), again=(0, 125)),
    Scenario("cp into (copy-up)", ("cp", "{in}/motd", "work:/etc/group"), CHANGED, steps=True),
    Scenario("cp out (reads)", ("cp", "work:/etc", "{lab}/out/etc"), CHANGED),
    Scenario("commit", ("commit", "work", "next"), CHANGED),
    Scenario("commit two uppers", ("commit", "work", "next"), (*SNAPPED,)),
    Scenario("commit of noted removals", ("commit", "work", "next"), CHANGED, ready=note_removals("work")),
    Scenario("snapshot of noted removals", ("snapshot", "create", "work", "s"), CHANGED, again=(0, 51),
             ready=note_removals("work")),
    Scenario("cp over a noted removal", ("cp", "{in}/motd", "work:/script"), CHANGED, steps=True,
             ready=note_removals("work")),
    Scenario("export of noted removals", ("export", "-o", "{lab}/out/root.tar", "work"), CHANGED,
             kept=("import {} check", "root.tar"), ready=note_removals("work")),
    Scenario("create on a delta", ("create", "--name", "late", "next", "true"), NEXT, again=(0, 125), delta=True),
    Scenario("commit on a delta", ("commit", "late", "last"), LATE, ready=note_removals("late"), delta=True),
    Scenario("build COPY", ("build", "-q", "-t", "app", "-f", "{in}/context/Copyfile", "{in}/context")),
    Scenario("build ADD", ("build", "-q", "-t", "app", "-f", "{in}/context/Addfile", "{in}/context")),
    Scenario("build --cache-to", ("build", "-q", "-t", "app", "-f", "{in}/context/Copyfile",
                                  "--cache-to", "type=local,dest={lab}/out/cache", "{in}/context")),
    Scenario("build -o tar", ("build", "-q", "-t", "app", "-f", "{in}/context/Copyfile",
                              "-o", "type=tar,dest={lab}/out/app.tar", "{in}/context"),
             kept=("import {} check", "app.tar"), refused=(62,)),
    Scenario("build RUN", ("build", "-q", "-t", "app", "{in}/context"), engine=True),
    Scenario("tag", ("tag", "base", "other")),
    Scenario("rmi", ("rmi", "next"), (*NEXT, ("rm", "work")), again=(0, 10)),
    Scenario("rmi of a delta", ("rmi", "next"), (*LATE, ("rm", "late"), ("rm", "work")), again=(0, 10), delta=True),
    Scenario("rmi below a delta", ("rmi", "app"), ON_APP, again=(0, 10), delta=True),
    Scenario("rm", ("rm", "work"), SNAPPED, again=(0, 14)),
    Scenario("rm of a fork's origin", ("rm", "work"), (*SNAPPED, ("fork", "work@s", "--name", "twin")), again=(0, 14)),
    Scenario("prune", ("prune",), (*NEXT, ("rm", "work"), ("rmi", "next"), ("import", "{in}/app.tar.gz", "app"))),
    Scenario("snapshot", ("snapshot", "create", "work", "s"), CHANGED, again=(0, 51)),
    Scenario("snapshot rm", ("snapshot", "rm", "work", "s"), SNAPPED, again=(0, 50)),
    Scenario("rollback", ("rollback", "work", "s"), SNAPPED),
    Scenario("fork", ("fork", "work@s", "--name", "twin"), SNAPPED, again=(0, 16)),
    Scenario("rename", ("rename", "work", "moved"), CHANGED, again=(0, 14, 16)),
    Scenario("save", ("save", "-o", "{lab}/out/saved.tar", "base"), kept=("load -i {}", "saved.tar")),
    Scenario("save over a file", ("save", "-o", "{lab}/out/saved.tar", "base"),
             (("import", "{in}/app.tar.gz", "app"), ("save", "-o", "{lab}/out/saved.tar", "app")),
             kept=("load -i {}", "saved.tar")),
    Scenario("save a directory", ("save", "--format", "oci-dir", "-o", "{lab}/out/saved", "base"), again=(0, 1),
             kept=("load -i {}", "saved")),
    Scenario("export", ("export", "-o", "{lab}/out/root.tar", "work"), CHANGED, kept=("import {} check", "root.tar")),
    Scenario("bundle", ("bundle", "base", "-o", "{lab}/out/base.rlay"), kept=("load -i {}", "base.rlay")),
    Scenario("bundle of a delta", ("bundle", "next", "-o", "{lab}/out/next.rlay"), LATE, delta=True,
             kept=("load -i {}", "next.rlay")),
    Scenario("optimize", ("optimize", "app"), (("import", "{in}/app.tar.gz", "app"),)),
    Scenario("fsck --repair", ("fsck", "--deep", "--repair"), CHANGED, damage=damage_store, again=(0, 1)),
    Scenario("fsck --repair of a delta", ("fsck", "--deep", "--repair"), LATE, damage=damage_delta, again=(0, 1),
             delta=True),
    Scenario("run (hydrate)", (*RUN, "--rm", "base", "cat", "/etc/motd"), engine=True, shows="welcome\n"),
    Scenario("run (change)", (*RUN, "--name", "k", "base", "sh", "-c", TOUCH), engine=True, steps=True, again=(125,)),
    Scenario("run on a delta", (*RUN, "--rm", "next", "cat", "/etc/motd"), NEXT, engine=True, shows="another day\n",
             delta=True),
    Scenario("run (remove and copy)", (*RUN, "--name", "k", "base", "/steps"), engine=True, steps=True, again=(125,)),
    Scenario("run (remove on a delta)", (*RUN, "--name", "k", "next", "/steps"), LATE, engine=True, steps=True,
             again=(125,), delta=True),
    Scenario("start (change)", ("start", "-a", "k"),
             (("create", "--name", "k", "base", "sh", "-c", f"({TOUCH}) 2>/dev/null; echo y >> /etc/passwd"),),
             engine=True, steps=True),
)  # fmt: skip


def make_inputs(place: Path) -> None:
    """Make all inputs of the command lines."""
    from tests.support.archives.make import LayoutBuilder, docker_archive, make_tar

    (place / "tree" / "deep").mkdir(parents=True)
    (place / "tree" / "deep" / "file").write_bytes(b"content\n" * 9000)
    (place / "tree" / "link").symlink_to("deep/file")
    os.link(place / "tree" / "deep" / "file", place / "tree" / "second")
    (place / "motd").write_text("another day\n")
    root = place / "rootfs"
    root.mkdir()
    build_rootfs(root, ["sh", "cat", "true", "rm", "mv", "mkdir", "chmod"])
    build_steps(root / "steps")
    with tarfile.open(place / "base.tar", "w") as tar:
        tar.add(root, ".", filter=_owned_by_root)
    shutil.rmtree(root)
    first = make_tar([("d", "d", ""), *((f"d/{i}", "f", os.urandom(30_000)) for i in range(8)), ("s", "l", "d/1")])
    second = make_tar([("d/.wh.1", "f", ""), ("new", "f", b"n" * 100_000), ("hard", "h", "new")])
    (place / "app.tar.gz").write_bytes(gzip.compress(first, 1))
    (place / "docker.tar").write_bytes(docker_archive([([first, second], ["app:latest"])]))
    layout = LayoutBuilder()
    layout.name(layout.manifest([first, second], [gzip.compress(first, 1), gzip.compress(second, 1)]), "app:latest")
    (place / "oci.tar").write_bytes(layout.tar())
    context = place / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM base\nRUN echo hi > /made && rm -r /usr/share/doc\nCOPY file /copied\n")
    (context / "Copyfile").write_text("FROM base\nCOPY file /copied\nENV A=b\nCOPY file /again/\n")
    (context / "Addfile").write_text("FROM base\nADD archive.tar.gz /added/\n")
    (context / "archive.tar.gz").write_bytes(gzip.compress(first, 1))
    (context / "file").write_text("file\n")
    registry = {"first": first.hex(), "second": second.hex()}
    (place / "registry.json").write_text(json.dumps(registry))


def _owned_by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry


def serve(place: Path) -> tuple[int, str]:
    """Fork a registry with the images `app:1` and `lazy:1`. Return its process, to be killed, and its host."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid:
        os.close(write_end)
        with open(read_end) as pipe:
            return pid, pipe.readline().strip()
    try:
        _serve(json.loads((place / "registry.json").read_text()), write_end)
    finally:
        os._exit(1)


def _serve(tars: dict[str, str], report: int) -> None:
    import signal

    from tests.support.archives.lazy import estargz_layout
    from tests.support.registry.fake import FakeRegistry

    fake = FakeRegistry()
    first, second = (bytes.fromhex(tars[name]) for name in ("first", "second"))
    fake.add("app:1", [first, second], [gzip.compress(first, 1), gzip.compress(second, 1)])
    layout = estargz_layout([first, second])
    for path, data in layout.files.items():
        if path.startswith("blobs/"):
            fake.blobs[path.removeprefix("blobs/").replace("/", ":")] = data
    [manifest] = layout.manifests
    fake.put("lazy:1", fake.blobs[str(manifest["digest"])], str(manifest["mediaType"]))
    fake.start()
    os.write(report, f"{fake.host}\n".encode())
    os.close(report)
    while True:
        signal.pause()
