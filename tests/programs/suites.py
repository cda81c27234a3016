"""Run the test suites of Debian's source packages inside and outside, and compare them test by test (docs/suites.md).

    python -m tests.programs.suites make DIR [SUITE …]   as root: a Debian root with built sources, and its tar
    python -m tests.programs.suites run DIR [SUITE …]    as an ordinary user: both runs; writes DIR/results/SUITE.json
    python -m tests.programs.suites show DIR             the table, as Markdown, and the tests that differ

Outside, a suite runs in the same root under bubblewrap (a user namespace). `make` needs mmdebstrap, bubblewrap,
dpkg-source and a package server. ROOTLAY_TEST_USER owns the sources: the user of `run`.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from tests.programs.suitetable import SUITES, Suite

LIMIT_S = 600
ROOTLAY = Path(sys.executable).parent / "rootlay"
PACKAGES = (
    "build-essential texinfo bison flex gettext libacl1-dev libattr1-dev libpcre2-dev libncurses-dev libpopt-dev "
    "zlib1g-dev liblz4-dev libzstd-dev libxxhash-dev libssl-dev pkgconf python3 perl ed dejagnu less file procps acl "
    "attr rsync xz-utils bzip2 zip zstd lzip automake autoconf libtool autopoint gperf tcl tcl-dev libreadline-dev "
    "uuid-dev libblkid-dev m4 bc time locales strace inotify-tools libfuse3-dev libmount-dev libselinux1-dev help2man "
    "wget autotools-dev psmisc libcap2-bin gawk"
)
VARIABLES = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/tmp", "LC_ALL": "C.UTF-8", "USER": "tester"}
Results = dict[str, str]


def run(*command: str | Path, **options: object) -> None:
    subprocess.run(command, check=True, **options)  # type: ignore[call-overload]


def fetch(directory: Path, source: str) -> None:
    """Unpack Debian's source, or the upstream part of it if the server does not have the rest."""
    target = directory / "tree" / "src" / source
    archives = directory / "archives"
    (directory / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    archives.mkdir(exist_ok=True)
    (directory / "sources.list").write_text("deb-src http://deb.debian.org/debian trixie main\n")
    options = [
        *("-o", f"Dir::Etc::sourcelist={directory}/sources.list", "-o", "Dir::Etc::sourceparts=-"),
        *("-o", f"Dir::State::lists={directory}/lists", "-o", "APT::Sandbox::User=root", "-q"),
    ]
    if not any((directory / "lists").glob("*Sources*")):
        run("apt-get", *options, "update")
    subprocess.run(["apt-get", *options, "source", "--download-only", source], cwd=archives, check=False)
    described = sorted(archives.glob(f"{source}_*.dsc"))
    if described:
        run("dpkg-source", "--no-check", "-x", described[-1], target)
    else:
        target.mkdir(parents=True)
        (archive,) = (path for path in archives.glob(f"{source}_*.orig.tar.*") if path.suffix != ".asc")
        run("tar", "-xf", archive, "-C", target, "--strip-components=1")
    # Generated files must not be older than their sources.
    run("find", target, "-exec", "touch", "-h", "-d", "@1700000000", "{}", "+")


def outside(tree: Path, *mounts: str | Path, uid: int) -> list[str]:
    """The command line that starts a program in the tree without rootlay."""
    command = [
        *("bwrap", "--unshare-user", "--uid", str(uid), "--gid", str(uid), "--unshare-pid", "--die-with-parent"),
        *("--ro-bind", str(tree), "/", *map(str, mounts), "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"),
        *("--tmpfs", "/var/tmp"),
        *("--chdir", "/src"),
    ]
    if uid == 0:
        command += ["--cap-add", "ALL"]
    return command


def make(directory: Path, names: Iterable[str]) -> None:
    tree = directory / "tree"
    user = os.environ.get("ROOTLAY_TEST_USER", "rootlay-test")
    owner = pwd.getpwnam(user)
    if not tree.exists():
        run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES.replace(' ', ',')}", "trixie", tree)
    if not (tree / "src").exists():
        (tree / "src").mkdir()
        with (tree / "etc" / "passwd").open("a") as passwd:
            passwd.write("tester:x:1000:1000::/tmp:/bin/sh\n")
        with (tree / "etc" / "group").open("a") as group:
            group.write("tester:x:1000:\n")
    for name in names:
        suite = SUITES[name]
        source = tree / "src" / suite.source
        if not source.exists():
            fetch(directory, suite.source)
        run("chown", "-Rh", f"{owner.pw_uid}:{owner.pw_gid}", source)
        command = outside(tree, "--bind", source, f"/src/{suite.source}", uid=1000)
        started = time.monotonic()
        done = subprocess.run(
            ["runuser", "-u", user, "--", *command, "sh", "-c", f"cd {suite.source}; {suite.build}"],
            env=VARIABLES, stdin=subprocess.DEVNULL, check=False, capture_output=True, text=True,
        )  # fmt: skip
        print(f"{name}: built in {time.monotonic() - started:.0f} s, exit status {done.returncode}", flush=True)
        if done.returncode:
            print(done.stderr[-2000:], flush=True)
    run("tar", "-C", tree, "--exclude=./dev/*", "-cf", directory / "image.tar.part", ".")
    (directory / "image.tar.part").rename(directory / "image.tar")


def results_of(suite: Suite, output: str) -> Results:
    found: Results = {}
    for line in output.splitlines():
        match = re.search(suite.line, line)
        if match:
            name, number = (match["name"] + match.groupdict().get("more", "")).strip(), 1
            while name + (f" #{number}" if number > 1 else "") in found:
                number += 1
            found[name + (f" #{number}" if number > 1 else "")] = match["result"].strip()
    return found


def timed(command: list[str], log: Path) -> float:
    """Processor time does not count here: a suite that hangs is cut off. In seconds."""
    started = time.monotonic()
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, env={**os.environ, **VARIABLES, "HOME": os.environ["HOME"]}, stdin=subprocess.DEVNULL, stdout=out,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    return time.monotonic() - started


def compare(directory: Path, name: str, store: Path, uid: int) -> dict[str, object]:
    """Both runs of one suite."""
    suite = SUITES[name]
    source = f"/src/{suite.source}"
    script = f"cd {source}; umask 022; export HOME=/tmp USER=tester; {suite.run}"
    log = directory / "results" / f"{name}-{uid}"
    log.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory / "work") as box:
        copy = Path(box, "source")
        run("cp", "-a", directory / "tree" / source[1:], copy)
        command = outside(directory / "tree", "--bind", copy, source, uid=uid)
        seconds = [timed([*command, "timeout", str(LIMIT_S), "sh", "-c", script], log.with_suffix(".outside"))]
        run("chmod", "-R", "u+rwX", copy)
        shutil.rmtree(copy, ignore_errors=True)
    environment = [word for key, value in VARIABLES.items() for word in ("-e", f"{key}={value}")]
    command = [
        *(str(ROOTLAY), "--root", str(store), "run", "--rm", "-u", f"{uid}:{uid}", *environment, "suites"),
        *("timeout", str(LIMIT_S), "sh", "-c", script),
    ]
    seconds.append(timed(command, log.with_suffix(".inside")))
    pair = [
        results_of(suite, log.with_suffix(ending).read_text(errors="replace")) for ending in (".outside", ".inside")
    ]
    answer: dict[str, object] = {"suite": name, "uid": uid, "seconds": seconds, "outside": pair[0], "inside": pair[1]}
    log.with_suffix(".json").write_text(json.dumps(answer, indent=1))
    return answer


def differing(answer: dict[str, object]) -> list[tuple[str, str, str]]:
    """Name, result outside, result inside."""
    before, after = answer["outside"], answer["inside"]
    assert isinstance(before, dict)
    assert isinstance(after, dict)
    names = sorted({*before, *after})
    return [
        (name, before.get(name, "-"), after.get(name, "-")) for name in names if before.get(name) != after.get(name)
    ]


def compare_all(directory: Path, names: Iterable[str]) -> None:
    store = directory / "store"
    (directory / "work").mkdir(exist_ok=True)
    image, imported = directory / "image.tar", directory / "work" / "imported"
    if not imported.exists() or imported.stat().st_mtime < image.stat().st_mtime:
        run(ROOTLAY, "--root", store, "import", image, "suites")
        imported.touch()
    for word in names:
        name, _, user = word.partition("@")
        for uid in [int(user)] if user else [1000, 0] if SUITES[name].as_root else [1000]:
            answer = compare(directory, name, store, uid)
            seconds = answer["seconds"]
            assert isinstance(seconds, list)
            print(f"{name}@{uid}: {len(answer['outside'])} tests outside in {seconds[0]:.0f} s, "  # type: ignore[arg-type]
                  f"{len(answer['inside'])} inside in {seconds[1]:.0f} s", flush=True)  # type: ignore[arg-type]  # fmt: skip
            for test, before, after in differing(answer):
                print(f"  {test}: outside {before}, inside {after}", flush=True)


def show(directory: Path) -> None:
    print("| Suite | User | Tests | Same | Different | Outside, s | Inside, s |\n|---|---|---|---|---|---|---|")
    for path in sorted((directory / "results").glob("*.json")):
        answer = json.loads(path.read_text())
        total, different = len({*answer["outside"], *answer["inside"]}), len(differing(answer))
        before, after = answer["seconds"]
        row = (answer["suite"], answer["uid"], total, total - different, different, f"{before:.0f}", f"{after:.0f}")
        print("| " + " | ".join(map(str, row)) + " |")


def main() -> None:
    verb, directory, *names = sys.argv[1:]
    actions = {"make": make, "run": compare_all}
    if verb == "show":
        show(Path(directory))
    else:
        actions[verb](Path(directory).absolute(), names or list(SUITES))


if __name__ == "__main__":
    main()
