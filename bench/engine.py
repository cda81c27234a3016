"""What do programs cost inside, next to the same programs on a plain directory, in a chroot, and under the peers?

    python -m bench.engine IMAGE.tar [--rounds 3] [--only calls,spawn,programs,daily,NAME,…] [--methods NAME,…]
                           [--scratch DIR] [--limit SECONDS]

IMAGE.tar is a Debian root file system with git, python3, gcc and make. Needs rootlay installed in this Python and a C
compiler. The rounds are interleaved; prints Markdown tables of the ratio of minima to the baseline, the first column:
a bare chroot as root, else bwrap on the unpacked tree; for the single calls of an ordinary user the same static program
on the plain directory. For commands there is a second ratio in brackets, of the least processor time of the command and
its children: on a busy machine it is the one to read. (PRoot's tracer and FUSE's daemon are neither, so theirs is left
out.) A command is ended after --limit seconds: `> N`. Peers that are not installed or not allowed here are left out; so
are `rootlay --confine=off` and `--no-patch` unless they are asked for. The columns `filter` and `filter+landlock` are
the baseline under a seccomp filter that does nothing and, in the second, Landlock with a single rule (floor.c): what
every engine of this kind pays. With one round `--only programs` takes some four minutes. `daily` (bench/daily.py) and
the column `rootlay -u 1000` are measured if they are named.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench import harness
from bench.daily import DAILY
from rootlay.vfs import Image, Store

CALLS = ("usr/lib/os-release", "usr/lib/nope", "etc/os-release", "usr/bin")
SCRIPT_ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/tmp", "LC_ALL": "C.UTF-8"}
C_FILES = (
    'mkdir -p /tmp/c && cd /tmp/c && for i in $(seq 20); do echo "int f$i(int x) { return x * $i; }" > f$i.c; done && '
    "echo 'all: $(patsubst %.c,%.o,$(wildcard *.c))' > Makefile"
)
LIST = "find /usr/share /usr/lib -xdev -type f | head -1000 > /tmp/list"
READ = "find /usr/share /usr/lib -xdev -type f | head -2000 | tail -1000 > /tmp/list; xargs cat < /tmp/list > /dev/null"
IDENTITY = "git config --global user.email a@b && git config --global user.name a"
FILES = "rm -rf /tmp/g; mkdir /tmp/g; cd /tmp/g; git init -q .; for i in $(seq 500); do echo $i > f$i; done"
COPIES = f"{LIST}; mkdir -p /tmp/copies; xargs cp --backup=numbered -t /tmp/copies < /tmp/list"
APPEND = "while read f; do echo x >> $f; done < /tmp/list"
PLAIN_APPEND = ("cd /tmp/copies && for f in *; do echo x >> $f; done", COPIES)
COPY = "rm -rf /tmp/copy && cp -a /usr/share /tmp/copy"


@dataclass(frozen=True, slots=True)
class Work:
    """A shell command to time; `plain` is what to do where there are no layers, and its own set-up."""

    command: str
    setup: str = ""
    plain: tuple[str, str] | None = None
    rounds: int = 3


WORK = {
    "find /usr": Work("find /usr -xdev > /dev/null"),
    "ls -lR /usr/share": Work("ls -lR /usr/share > /dev/null"),
    "tar of /usr/share": Work("tar -cf - -C /usr share | cat > /dev/null"),
    "git add+commit of 500": Work("cd /tmp/g && git add . && git commit -qm x", f"{IDENTITY}; {FILES}"),
    "make of 20 C files": Work("cd /tmp/c && make -s", f"{C_FILES}; rm -f /tmp/c/*.o"),
    "python3 -c import": Work("python3 -c 'import json, argparse, subprocess, email, http.client, unittest'"),
    "sh -c : x50": Work("i=0; while [ $i -lt 50 ]; do sh -c :; i=$((i+1)); done"),
    "append to 1000 lower": Work(APPEND, LIST, PLAIN_APPEND, 1),
    "append to 1000 read": Work(APPEND, READ, PLAIN_APPEND, 1),
    # last: the others need what it removes
    "rm -rf of a lower tree": Work("rm -rf /usr/share", "", ("rm -rf /tmp/copy", COPY), 1),
}  # fmt: skip
WORK |= {name: Work(command, setup, rounds=2) for name, (command, setup) in DAILY.items()}


@dataclass(frozen=True, slots=True)
class Figure:
    """Of one line in one round, in microseconds. `cpu` is 0 for single calls. `cut`: it was not done by then."""

    low: float
    cpu: float
    cut: bool


#: Runs a command on the tree and gives its standard output; RuntimeError when it fails.
Runner = Callable[[list[str]], str]


@dataclass(slots=True)
class Method:
    """A way to run programs on the tree. `layered`: the tree is below a writable layer, new for each `enter`.
    `helped`: another process works for it, whose processor time is not seen."""

    name: str
    enter: Callable[[], AbstractContextManager[Runner]]
    layered: bool = False
    helped: bool = False
    results: dict[str, list[Figure]] = field(default_factory=dict)


def check(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode:
        raise RuntimeError(f"{done.args[-1]} failed ({done.returncode}): {done.stderr[-400:]}")
    return done.stdout


@contextmanager
def prefixed(*prefix: str) -> Iterator[Runner]:
    """By a command in front of the command."""

    def run(command: list[str]) -> str:
        words = [*prefix, *command]
        done = subprocess.run(
            words, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=SCRIPT_ENV, check=False
        )
        return check(done)

    yield run


@contextmanager
def inside(image: Image, user: int = 0) -> Iterator[Runner]:
    """In a new container of that user."""
    with image.container(user=str(user)) as container:
        yield lambda command: check(container.run(command, capture_output=True, text=True, env=SCRIPT_ENV))


@contextmanager
def overlay(mount: list[str], scratch: Path, tree: Path) -> Iterator[Runner]:
    """In a chroot of an overlay with an empty upper (root only)."""
    with tempfile.TemporaryDirectory(dir=scratch) as name:
        base = Path(name)
        for part in ("upper", "work", "merged"):
            (base / part).mkdir()
        options = f"lowerdir={tree},upperdir={base}/upper,workdir={base}/work"
        subprocess.run([*mount, "-o", options, str(base / "merged")], check=True, capture_output=True)
        try:
            with prefixed("chroot", str(base / "merged")) as run:
                yield run
        finally:
            subprocess.run(["umount", str(base / "merged")], check=False)


#: Makes the mount in namespaces of its own and ends with the command: the daemon goes with the process namespace.
FUSE = """m=$1 o=$2; shift 2; fuse-overlayfs -o "$o" "$m" && mount --rbind /dev "$m/dev" &&
mount -t proc proc "$m/proc" && exec chroot "$m" "$@"
"""
FUSE_BY_HAND = ("unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--", "sh", "-c", FUSE, "sh")


@contextmanager
def fuse_by_user(scratch: Path, tree: Path) -> Iterator[Runner]:
    """As `overlay`, of fuse-overlayfs by an ordinary user; each command mounts it anew, outside what is measured."""
    with tempfile.TemporaryDirectory(dir=scratch) as name:
        base = Path(name)
        for part in ("upper", "work", "merged"):
            (base / part).mkdir()
        options = f"lowerdir={tree},upperdir={base}/upper,workdir={base}/work"
        with prefixed(*FUSE_BY_HAND, str(base / "merged"), options) as run:
            yield run
        subprocess.run(["chmod", "-R", "u+rwX", str(base)], check=False)


def works(method: Method) -> bool:
    try:
        with method.enter() as run:
            run(["/usr/bin/true"])
    except (OSError, RuntimeError, subprocess.CalledProcessError):
        return False
    return True


def methods(scratch: Path, tree: Path, image: Image, wanted: Collection[str]) -> list[Method]:
    """The baseline first; all that work here and are wanted, or all that are not variants of rootlay."""
    devices = ("--dev", "/dev", "--proc", "/proc", "--")
    bwrap = ("bwrap", "--bind", str(tree), "/", *devices)
    bwrap_overlay = ("bwrap", "--overlay-src", str(tree), "--tmp-overlay", "/", *devices)
    proot = ("proot", "-r", str(tree), "-b", "/dev", "-b", "/proc", "-w", "/")
    kernel = ["mount", "-t", "overlay", "overlay"]
    rootlay = str(Path(sys.executable).with_name("rootlay"))
    by_hand = (rootlay, "--root", str(scratch / "store"), "run", "--rm", "-e", "HOME", "-e", "PATH", "-e", "LC_ALL")
    base = ("chroot", str(tree)) if os.geteuid() == 0 else bwrap
    found = [Method(base[0], lambda: prefixed(*base))] if os.geteuid() == 0 else []
    found += [
        Method("bwrap", lambda: prefixed(*bwrap)),
        Method("filter", lambda: prefixed(*base, "/floor", "filter")),
        Method("filter+landlock", lambda: prefixed(*base, "/floor", "both")),
        Method("rootlay", lambda: inside(image), layered=True),
        Method("rootlay -u 1000", lambda: inside(image, 1000), layered=True),
        Method("rootlay --confine=off", lambda: prefixed(*by_hand, "--confine=off", "bench"), layered=True),
        Method("rootlay --no-patch", lambda: prefixed(*by_hand, "--no-patch", "bench"), layered=True),
        Method("bwrap --overlay", lambda: prefixed(*bwrap_overlay), layered=True),
        Method("overlayfs", lambda: overlay(kernel, scratch, tree), layered=True),
        Method(
            "fuse-overlayfs",
            lambda: overlay(["fuse-overlayfs"], scratch, tree) if os.geteuid() == 0 else fuse_by_user(scratch, tree),
            layered=True,
            helped=True,
        ),
        Method("fakechroot", lambda: prefixed("fakechroot", "chroot", str(tree))),
        Method("proot", lambda: prefixed(*proot), helped=True),
    ]
    return [
        method
        for method in found
        if (method.name in wanted if wanted else not method.name.startswith("rootlay -")) and works(method)
    ]


def parse(text: str, method: Method) -> None:
    for line in text.splitlines():
        name, low, _, cpu, cut = line.rsplit(" ", 4)
        method.results.setdefault(name, []).append(Figure(float(low) / 1e3, float(cpu) / 1e3, cut == "1"))


def rows(text: str) -> set[str]:
    """Return the lines of the table that `--only` names, each by its first words."""
    found = set()
    for word in filter(None, text.split(",")):
        known = {name for name in ("calls", "spawn", "programs", "daily", *WORK) if f"{name} ".startswith(f"{word} ")}
        if not known:
            raise argparse.ArgumentTypeError(
                f"{word}: no such line; there are calls, spawn, programs, daily, {', '.join(WORK)}"
            )
        found |= known
    return found


def measure(method: Method, only: set[str], limit: int) -> None:
    """One round of everything that is asked for; what fails is said and left out."""
    with method.enter() as run:
        if not only or "calls" in only:
            attempt(method, run, ["/micro", *(f"/{path}" for path in CALLS)])
        if not only or "spawn" in only:
            attempt(method, run, ["/micro", "-s", "200", "spawn of /bin/true", "/bin/true"])
        for name, work in WORK.items():
            if not (only or {"programs"}) & {name, "daily" if name in DAILY else "programs"}:
                continue
            command, setup = work.command, work.setup
            if not method.layered and work.plain:
                command, setup = work.plain
            attempt(method, run, ["/micro", "-t", str(work.rounds), str(limit), name, setup, command])


def attempt(method: Method, run: Runner, command: list[str]) -> None:
    try:
        parse(run(command), method)
    except RuntimeError as error:
        print(f"{method.name}: {error}", file=sys.stderr)


def report(found: list[Method]) -> None:
    print("ratios of minima")
    names = list(dict.fromkeys(name for method in found for name in method.results))
    for unit, timed in (("µs", False), ("ms (of processor time)", True)):
        rows = [name for name in names if any(is_timed(method, name) for method in found) == timed]
        if rows:
            print(f"\n| {unit} |" + "".join(f" {method.name} |" for method in found))
            print("|---|" + "---|" * len(found))
        for name in rows:
            base = next(method for method in found if name in method.results)
            print(f"| {name} |" + "".join(f" {cell(method, base, name)} |" for method in found), flush=True)


def is_timed(method: Method, name: str) -> bool:
    """A shell's command, as opposed to a single call or spawn."""
    return name in WORK and name in method.results


def cell(method: Method, base: Method, name: str) -> str:
    if name not in method.results:
        return "-"
    low, cpu = (min(getattr(f, kind) for f in method.results[name]) for kind in ("low", "cpu"))
    base_low, base_cpu = (min(getattr(f, kind) for f in base.results[name]) for kind in ("low", "cpu"))
    if method is base:
        return f"{low / 1e3:.1f}" if is_timed(method, name) else f"{low:.3g}"
    ratio = low / base_low
    if all(figure.cut for figure in method.results[name]):
        return f"> {ratio:.0f}"
    text = f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"
    if method.name == "rootlay":
        text = f"**{text}**" if is_timed(method, name) else f"{low:.3g} (**{text}**)"
    return f"{text} ({cpu / base_cpu:.2f})" if base_cpu and not method.helped else text


def prepare(stack: ExitStack, tar: Path, scratch_parent: Path | None) -> tuple[Path, Path, Image]:
    """Unpack the tree with the measuring programs, and make it an image. All go with the stack."""
    scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rl-bench-", dir=scratch_parent)))
    tree = scratch / "tree"
    tree.mkdir()
    for program in ("micro", "floor"):
        source = Path(__file__).with_name(f"{program}.c")
        subprocess.run(["cc", "-O2", "-static", "-o", str(scratch / program), str(source)], check=True)
    unpack = ["tar", "-xf", str(tar), "-C", str(tree), "--exclude=./dev/*"]
    subprocess.run(unpack, check=False, stderr=subprocess.DEVNULL)
    for program in ("micro", "floor"):
        shutil.copy(scratch / program, tree / program)
    packed = scratch / "image.tar"
    subprocess.run(["tar", "-cf", str(packed), "-C", str(tree), "."], check=True)
    image = Store.open(scratch / "store").import_rootfs(packed, "bench")
    packed.unlink()
    if os.geteuid() == 0:
        subprocess.run(["cp", "-a", "/dev/null", "/dev/urandom", str(tree / "dev")], check=True)
    return scratch, tree, image


def main() -> None:
    parser = harness.make_parser(__doc__, rounds=3)
    parser.add_argument("image", type=Path)
    parser.add_argument(
        "--only", type=rows, default=set(), help="calls, spawn, programs, daily, or first words of lines, with commas"
    )
    parser.add_argument("--methods", default="", help="of the table's columns, with commas")
    parser.add_argument("--scratch", type=Path, default=None, help="where to unpack the tree")
    parser.add_argument("--limit", type=int, default=12, help="seconds that a command may take")
    harness.run(parser, compare)


def compare(options: argparse.Namespace, figures: harness.Figures) -> None:
    wanted = set(filter(None, options.methods.split(",")))
    with ExitStack() as stack:
        scratch, tree, image = prepare(stack, options.image, options.scratch)
        found = methods(scratch, tree, image, wanted)
        plain = Method("plain", prefixed)
        micro = [str(scratch / "micro"), *(str(tree / path) for path in CALLS)]
        for _ in range(options.rounds):
            if os.geteuid() != 0 and (not options.only or "calls" in options.only):
                with prefixed() as run:
                    parse(run(micro), plain)
            for method in found:
                measure(method, options.only, options.limit)
        found = [plain, *found] if plain.results else found
        for method in found:
            for name, rounds in method.results.items():
                for figure in rounds:
                    figures.add(name, method.name, figure.low, figure.cpu or None, unit="us")
        report(found)


if __name__ == "__main__":
    main()
