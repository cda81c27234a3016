"""What Docker does at the edges of its command line, and whoever comes from it expects."""

from __future__ import annotations

import io
import os
import socket
import stat
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.cli.conftest import Rootlay
from tests.support.errorclasses import CODES

MTIME_S = 1_600_000_000


# ---- what does not start


@pytest.mark.parametrize("tty", [(), ("-t",)], ids=["pipe", "terminal"])
@pytest.mark.parametrize(
    ("program", "code", "says"),
    [
        ("nosuchcmd", 127, "nosuchcmd: not found in the image"),
        ("-it", 127, "-it: not found in the image; options go before the name of the image or container"),
        ("/etc/motd", 126, "/etc/motd: Permission denied"),
        ("/etc", 126, "/etc"),
    ],
)
def test_a_detached_program_that_does_not_start_is_said_at_once(
    small: Rootlay, program: str, code: int, says: str, tty: tuple[str, ...]
) -> None:
    done = small("run", "-d", *tty, "--name", "c", "small", program, code=code)
    assert done.stderr.decode().startswith(f"rootlay: {says}")
    assert len(done.stderr.splitlines()) == 1
    assert len(done.stdout.strip()) == 64, "the container's ID, as Docker prints it"
    assert f"Exited ({code})" in small.out("ps", "-a")
    assert says in small.fails("start", "c", code=code)
    assert small.out("ps", "-aq").split() == [done.stdout.decode()[:12]]


def test_with_rm_nothing_is_left_of_it(small: Rootlay) -> None:
    small("run", "-d", "--rm", "small", "nosuchcmd", code=127)
    assert small.out("ps", "-aq") == ""


def test_a_script_whose_interpreter_is_missing(small: Rootlay, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    small("create", "--name", "c", "small", "/script")
    small("cp", str(script), "c:/script")
    assert "interpreter" in small.fails("start", "c", code=126)


def test_programs_and_scripts_that_do_start_keep_their_own_codes(small: Rootlay) -> None:
    for words, code in ((["sh", "-c", "exit 127"], 127), (["/script"], 0), (["false"], 1)):
        identity = small.out("run", "-d", "small", *words).strip()
        for _ in range(200):
            if "Exited" in small.out("ps", "-a"):
                break
        assert f"Exited ({code})" in small.out("ps", "-a"), words
        small("rm", identity)


def test_descriptor_3_is_the_programs_own(small: Rootlay) -> None:
    small("run", "-d", "--name", "c", "small", "sh", "-c", "ls /proc/self/fd; echo end")
    for _ in range(200):
        if "end" in (text := small.out("logs", "c")):
            break
    assert text.split()[:3] == ["0", "1", "2"]
    assert text.split()[3:] in (["3", "end"], ["end"]), "3 is that of ls, for the listing"


@pytest.mark.parametrize("detach", [(), ("-d",)], ids=["foreground", "detached"])
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_port_that_is_taken_is_said_before_anything_starts(
    small: Rootlay, detach: tuple[str, ...], protocol: str
) -> None:
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("0.0.0.0", 0))
        if protocol == "tcp":
            taken.listen()
        port = taken.getsockname()[1]
        publish = f"{port}:80/{protocol}"
        done = small("run", *detach, "--name", "c", "-p", publish, "small", "true", code=125)
        assert done.stderr.decode() == (
            f"rootlay: -p {publish}: port {port}/{protocol} of this machine: address already in use\n"
        )
        assert str(port) in small.fails("start", "c", code=125)
        small("run", *detach, "--rm", "-p", publish, "small", "true", code=125)
        assert len(small.out("ps", "-aq").split()) == 1
    assert small.out("start", "c") == "c\n"


# ---- start, and verbs with several names


def test_start_echoes_what_it_was_given(small: Rootlay) -> None:
    first = small.out("create", "--name", "one", "small", "true").strip()
    small("create", "--name", "two", "small", "true")
    assert small.out("start", first[:5], "two") == f"{first[:5]}\ntwo\n"
    assert "name one container only" in small.fails("start", "-a", "one", "two", code=125)


@pytest.mark.parametrize("verb", [("rm",), ("rm", "-f"), ("stop",), ("start",), ("inspect",)])
def test_a_bad_name_does_not_keep_the_others_from_their_turn(small: Rootlay, verb: tuple[str, ...]) -> None:
    for name in ("one", "two"):
        small("create", "--name", name, "small", "true")
    done = small(*verb, "nosuch1", "one", "nosuch2", "two", code=0 if "-f" in verb else 1)
    lines = done.stderr.decode().splitlines()
    if "-f" not in verb:
        kind = "object" if verb[0] == "inspect" else "container"
        assert [line.split(" (")[0] for line in lines] == [
            f"rootlay: no such {kind}: {name}" for name in ("nosuch1", "nosuch2")
        ]
    if verb[0] == "inspect":
        import json

        assert [row["Name"] for row in json.loads(done.stdout)] == ["/one", "/two"]
    else:
        assert done.stdout.decode().split() == ["one", "two"]
    assert (small.out("ps", "-aq") == "") == (verb[0] == "rm")


def test_a_single_bad_name_has_its_own_code(small: Rootlay) -> None:
    small.fails("rm", "nosuch", code=CODES["UnknownContainer"])
    small.fails("rmi", "nosuch", code=CODES["UnknownImage"])
    small.fails("start", "nosuch", code=125)


def test_rmi_goes_on(small: Rootlay) -> None:
    small("tag", "small", "other:1")
    done = small("rmi", "nosuch", "other:1", "bad:name:", "small", code=1)
    assert small.out("images", "-q") == ""
    assert [b"nosuch" in done.stderr.splitlines()[0], b"bad:name:" in done.stderr.splitlines()[1]] == [True, True]


def test_a_missing_image_is_no_failure_of_a_forced_removal(small: Rootlay) -> None:
    assert b"no such image: nosuch" in small("rmi", "-f", "nosuch", "small").stderr
    assert small.out("images", "-q") == ""
    small.fails("rmi", "-f", "bad:name:", code=CODES["BadReference"])


def test_an_import_needs_no_name(rootlay: Rootlay, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "root.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("file"))
    identity = rootlay.out("import", str(tmp_path / "root.tar")).strip()
    assert rootlay.out("images", "--no-trunc", "--format", "{{.Repository}} {{.ID}}") == f"<none> {identity}\n"


@pytest.mark.parametrize("verb", [("images",), ("volume", "ls"), ("network", "ls")], ids=" ".join)
def test_a_filter_that_is_neither_true_nor_false(rootlay: Rootlay, verb: tuple[str, ...]) -> None:
    assert "invalid filter 'dangling=[maybe]'" in rootlay.fails(*verb, "-f", "dangling=maybe", code=1)
    for text in ("true", "1", "false", "0"):
        rootlay(*verb, "-f", f"dangling={text}")


def test_the_login_of_a_proxy_is_not_shown(rootlay: Rootlay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me:secret@host:3128")
    assert rootlay.out("info", "--format", "{{.HTTPSProxy}}") == "http://xxxxx:xxxxx@host:3128\n"
    assert "secret" not in rootlay.out("info", "--format", "json")


def test_what_has_no_name_of_any_kind(small: Rootlay) -> None:
    assert "no such object: nosuch" in small.fails("inspect", "nosuch", code=CODES["UnknownContainer"])


def test_a_quiet_build_prints_the_output_of_the_step_that_failed(small: Rootlay, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM small\nRUN echo well\nRUN echo ill; exit 3\n")
    done = small("build", "-q", str(tmp_path), code=CODES["RunFailed"])
    assert (done.stdout, done.stderr.splitlines()[0]) == (b"", b"ill")
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize("line", ["FROM nosuch:1", "FROM small\nCOPY --from=nosuch:1 a b"])
def test_an_instruction_whose_image_is_missing_is_named(small: Rootlay, tmp_path: Path, line: str) -> None:
    (tmp_path / "Dockerfile").write_text(line)
    done = small("build", "-q", "--pull=false", str(tmp_path), code=None)
    says = done.stderr.decode()
    assert done.returncode
    *_, last = line.splitlines()
    assert f"Dockerfile:{len(line.splitlines())}: {last}: " in says
    assert "nosuch:1" in says.rpartition(last)[2]


def test_sizes_are_those_of_what_changed_and_of_the_image(small: Rootlay) -> None:
    small("create", "--name", "c", "small", "true")
    image = int(small.out("image", "inspect", "-f", "{{.Size}}", "small"))
    assert small.out("inspect", "-s", "-f", "{{.SizeRw}} {{.SizeRootFs}}", "c") == f"0 {image}\n"
    small("exec", "c", "sh", "-c", "printf 12345 >/five; rm /etc/motd")
    small("snapshot", "create", "c", "s")
    small("exec", "c", "sh", "-c", "printf 123 >/three")
    assert small.out("inspect", "-s", "-f", "{{.SizeRw}} {{.SizeRootFs}}", "c") == f"8 {image + 8}\n"
    assert small.out("ps", "-as", "--format", "{{.Size}}").startswith("8B (virtual ")


def test_snapshot_rm_goes_on(small: Rootlay) -> None:
    small("create", "--name", "c", "small", "true")
    small("snapshot", "create", "c", "one")
    assert small("snapshot", "rm", "c", "nosuch", "one", code=1).stdout == b"one\n"


# ---- refused


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (
            ["run", "-w", "relative", "small", "true"],
            125,
            "-w relative: the working directory must be an absolute path",
        ),
        (["create", "-w", "", "small", "true"], 125, "-w : the working directory must be an absolute path"),
        (["run", "-e", "=x", "small", "true"], 125, "-e =x: a variable needs a name"),
        (["run", "-e", "", "small", "true"], 125, "-e : a variable needs a name"),
        (["exec", "-e", "=x", "c", "true"], 125, "-e =x: a variable needs a name"),
        (["exec", "-w", "x/y", "c", "true"], 125, "-w x/y: the working directory must be an absolute path"),
        (["exec", "-w", "/etc/none", "c", "true"], 126, "working directory /etc/none: No such file or directory"),
        (["exec", "-w", "/etc/motd", "c", "true"], 125, "working directory /etc/motd: Not a directory"),
        (["python", "-w", "x", "small", "-c", "1"], 125, "-w x: the working directory must be an absolute path"),
        (["python", "-e", "=", "small", "-c", "1"], 125, "-e =: a variable needs a name"),
        (["inspect", "--type", "x", "small"], 2, "--type x: expected container, image, volume, network"),
    ],
)
def test_what_means_nothing_is_refused(small: Rootlay, words: list[str], code: int, says: str) -> None:
    small("create", "--name", "c", "small", "true")
    assert small.fails(*words, code=code).startswith(f"rootlay: {says}")
    assert len(small.out("ps", "-aq").split()) == 1


def test_a_directory_is_not_bound_over_a_file_or_the_other_way_round(small: Rootlay, tmp_path: Path) -> None:
    directory, file = tmp_path / "directory", tmp_path / "file"
    directory.mkdir()
    file.write_text("file\n")
    line = small.fails("run", "--rm", "-v", f"{directory}:/etc/motd", "small", "true", code=125)
    assert line.endswith(f"{directory} is a directory, and /etc/motd in the container is a file")
    line = small.fails("run", "--rm", "-v", f"{file}:/tmp", "small", "true", code=125)
    assert line.endswith(f"{file} is a file, and /tmp in the container is a directory")
    small.fails("run", "--rm", "-d", "-v", f"{file}:/etc/../tmp", "small", "true", code=125)
    assert small.out("ps", "-aq") == ""
    # through links, below other binds, and where there was nothing before, again and again
    assert small.out("run", "--rm", "-v", f"{file}:/etc/link", "small", "cat", "/etc/motd") == "file\n"
    (directory / "motd").mkdir()
    (directory / "file").touch()
    both = ("-v", f"{directory}:/etc", "-v", f"{directory}:/etc/motd", "-v", f"{file}:/etc/file")
    assert small.out("run", "--rm", *both, "small", "cat", "/etc/file") == "file\n"
    small(
        "create", "--name", "c", "-v", f"{file}:/new/file", "-v", f"{directory}:/new/dir", "small", "cat", "/new/file"
    )
    for _ in range(3):
        assert small.out("start", "-a", "c") == "file\n"


@pytest.mark.parametrize("content", [b"A=\xff\n", b"=x\n", b"A B=c\n", b"A=\0\n"])
def test_a_bad_environment_file_is_named_with_its_line(small: Rootlay, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "env"
    path.write_bytes(b"\xef\xbb\xbf# comment\n\nGOOD=1\n" + content)
    assert f"{path}:4: " in small.fails("run", "--env-file", str(path), "small", "true", code=125)
    path.write_bytes(b"\xef\xbb\xbfGOOD=1\r\n#x\n")
    assert "GOOD=1\n" in small.out("run", "--rm", "--env-file", str(path), "small", "env")


def test_cidfile_is_written_for_detached_programs_too_and_never_replaced(small: Rootlay, tmp_path: Path) -> None:
    path = tmp_path / "cid"
    identity = small.out("run", "-d", "--cidfile", str(path), "small", "true").strip()
    assert path.read_text() == identity
    assert "the file exists" in small.fails("run", "--cidfile", str(path), "small", "true", code=125)
    small.fails("run", "--cidfile", str(tmp_path / "no/such"), "small", "true", code=125)
    assert len(small.out("ps", "-aq").split()) == 1


def test_trace_makes_its_file(small: Rootlay, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    small("run", "--rm", "--trace", str(trace), "small", "cat", "/etc/motd")
    before = trace.read_text()
    assert "(/etc/motd)" in before
    small("run", "--rm", "--trace", str(trace), "small", "true")
    assert trace.read_text().startswith(before), "it is appended to"
    trace.unlink()
    small("run", "-d", "--name", "c", "--trace", str(trace), "small", "true")
    assert trace.exists()
    trace.unlink()
    small("exec", "--trace", str(trace), "c", "cat", "/etc/motd")
    assert "(/etc/motd)" in trace.read_text()
    assert "no/such" in small.fails("run", "--rm", "--trace", f"{tmp_path}/no/such", "small", "true", code=125)


# ---- messages


def test_an_archive_that_may_not_be_read_is_said_to_be_one(rootlay: Rootlay, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    archive = tmp_path / "x.tar"
    archive.write_bytes(b"x")
    archive.chmod(0)
    for words in (("import", str(archive), "x"), ("load", "-i", str(archive))):
        assert rootlay.fails(*words, code=1) == f"rootlay: {archive}: Permission denied; you may not read it"


def test_a_refused_connection_is_named_with_its_port(rootlay: Rootlay) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        line = rootlay.fails("pull", f"127.0.0.1:{port}/x:1", code=CODES["RegistryUnreachable"])
        assert f"127.0.0.1:{port}: connection refused" in line
        for words in (("run",), ("create",), ("explore", "--json")):
            code = 125 if len(words) == 1 else CODES["RegistryUnreachable"]
            line = rootlay.fails(*words, f"127.0.0.1:{port}/x:1", code=code)
            assert f"image 127.0.0.1:{port}/x:1 is not in this store (`rootlay images` lists" in line
            assert line.endswith(f"the pull failed: 127.0.0.1:{port}: connection refused")


# ---- standard streams


def shell(small: Rootlay, text: str, **environ: str) -> subprocess.CompletedProcess[bytes]:
    """A line of shell with `R` for the command."""
    known = {**os.environ, "ROOTLAY_ROOT": str(small.root), "R": f"{sys.executable} -m rootlay.cli.main", **environ}
    return subprocess.run(["bash", "-c", text], env=known, capture_output=True, check=False, timeout=120)


@pytest.mark.parametrize(
    "verb", ["images", "ps -a", "inspect small", "history small", "--help", "images --help", "doctor"]
)
def test_a_reader_that_goes_away_is_no_matter(small: Rootlay, verb: str) -> None:
    for reader in ("true", "head -c1", "exec 0<&-; sleep 0.5"):
        done = shell(small, f"$R {verb} | ({reader}) >/dev/null; exit ${{PIPESTATUS[0]}}")
        assert (done.stdout, done.stderr) == (b"", b""), (verb, reader)
        assert done.returncode == 0
    assert shell(small, f"$R {verb} >&-").stderr == b""


def test_an_archive_to_a_reader_that_goes_away(small: Rootlay) -> None:
    small("create", "--name", "c", "small", "true")
    for verb in ("save small", "export c", "cp c:/ -", "save --format oci-archive small"):
        done = shell(small, f"$R {verb} | head -c 10 >/dev/null; exit ${{PIPESTATUS[0]}}")
        assert (done.stderr, done.returncode) == (b"", 0), verb


@pytest.mark.parametrize(
    "verb", ["images", "ps -a", "inspect small", "history small", "save small", "export c", "cp c:/ -", "--help",
             "doctor", "images --help", "--version", "diff c"])  # fmt: skip
def test_a_full_device_is_one_error(small: Rootlay, verb: str) -> None:
    small("create", "--name", "c", "small", "true")
    small("cp", str(small.root / "index.json"), "c:/added")
    done = shell(small, f"$R {verb} >/dev/full")
    assert done.stderr == b"rootlay: standard output: No space left on device\n"
    assert done.returncode == CODES["OutputFailed"]


def test_an_archive_to_a_closed_stream_is_an_error(small: Rootlay) -> None:
    done = shell(small, "$R save small >&-")
    assert (done.stderr, done.returncode) == (b"rootlay: standard output: it is closed\n", CODES["OutputFailed"])


@pytest.mark.parametrize("closed", ["0<&-", ">&-", "2>&-", "0<&- >&- 2>&-"])
def test_nothing_is_written_into_a_file_that_got_a_closed_descriptors_number(small: Rootlay, closed: str) -> None:
    before = {path: path.read_bytes() for path in (small.root / "blobs").rglob("*") if path.is_file()}
    for verb in (
        "images",
        "inspect small",
        "run --rm small cat /etc/motd",
        "run -d small true",
        "nosuch",
        "fsck --deep",
    ):
        shell(small, f"$R {verb} {closed}")
    assert {path: path.read_bytes() for path in before} == before
    small("fsck", "--deep")


def test_a_directory_as_standard_input(small: Rootlay, tmp_path: Path) -> None:
    """The interpreter itself refuses it, before the first line of ours; it says so, without a traceback."""
    for verb in ("load", "import - x", "images"):
        done = shell(small, f"$R {verb} < {tmp_path}")
        assert b"<stdin> is a directory" in done.stderr
        assert b"Traceback" not in done.stderr
        assert done.returncode == 1


def test_a_standard_input_that_cannot_be_read(container: Rootlay, tmp_path: Path) -> None:
    login = "login -u x --password-stdin registry.example"
    for verb in ("load", "import - x", "build -", f"build -f - {tmp_path}", "cp - c:/tmp", login):
        done = shell(container, f"$R {verb} 0>{tmp_path}/out")
        assert done.stderr == b"rootlay: standard input: Bad file descriptor\n", verb
        assert done.returncode == 1


# ---- cp with a tar


@pytest.fixture
def container(small: Rootlay) -> Rootlay:
    small("create", "--name", "c", "small", "true")
    return small


def members(data: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {entry.name: entry for entry in tar}


def test_cp_to_a_tar_names_the_things_as_docker_does(container: Rootlay) -> None:
    """`docker cp CONTAINER:/etc -`: names begin with `etc/`."""
    found = members(container("cp", "c:/etc", "-").stdout)
    assert {"etc", "etc/motd", "etc/link", "etc/passwd"} <= set(found)
    assert all(name == "etc" or name.startswith("etc/") for name in found)
    assert found["etc/link"].issym()
    assert (found["etc/motd"].uid, found["etc/motd"].gid) == (0, 0)
    assert set(members(container("cp", "c:/etc/motd", "-").stdout)) == {"motd"}
    assert {".", "./motd"} <= set(members(container("cp", "c:/etc/.", "-").stdout))
    assert {".", "./etc", "./etc/motd"} <= set(members(container("cp", "c:/", "-").stdout))
    assert members(container("cp", "c:/etc/link", "-").stdout)["link"].issym()
    assert members(container("cp", "-L", "c:/etc/link", "-").stdout)["link"].isreg()
    container.fails("cp", "c:/no/such", "-", code=1)


def tar_of_everything() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:

        def add(name: str, kind: bytes = tarfile.REGTYPE, data: bytes = b"", **fields: object) -> None:
            entry = tarfile.TarInfo(name)
            entry.type, entry.size, entry.mtime, entry.uid, entry.gid = kind, len(data), MTIME_S, 1234, 1235
            for key, value in ({"mode": 0o644} | fields).items():
                setattr(entry, key, value)
            tar.addfile(entry, io.BytesIO(data))

        add("d", tarfile.DIRTYPE, mode=0o750)
        add("d/file", data=b"content\n", mode=0o4755)
        add("d/hard", tarfile.LNKTYPE, linkname="d/file")
        add("d/link", tarfile.SYMTYPE, linkname="/etc/motd")
        add("d/fifo", tarfile.FIFOTYPE)
        add("no/parents/here", data=b"x")
        add("big", data=b"b" * 3_000_000)
    return out.getvalue()


@pytest.mark.parametrize("archive", [False, True], ids=["root", "archive"])
def test_cp_from_a_tar_unpacks_it_in_a_directory(container: Rootlay, archive: bool) -> None:
    container("cp", *(["-a"] if archive else []), "-", "c:/tmp", input=tar_of_everything())
    found = members(container("cp", "c:/tmp", "-").stdout)
    owner = (1234, 1235) if archive else (0, 0)
    assert {(entry.uid, entry.gid) for name, entry in found.items() if name.startswith("tmp/d")} == {owner}
    assert found["tmp/d"].mode == 0o750
    assert found["tmp/d/file"].mode == 0o4755
    assert found["tmp/d/link"].linkname == "/etc/motd"
    assert found["tmp/d/hard"].islnk()
    assert found["tmp/d/fifo"].isfifo()
    assert {found[name].mtime for name in ("tmp/d", "tmp/d/file", "tmp/d/link", "tmp/big")} == {MTIME_S}
    assert found["tmp/big"].size == 3_000_000
    assert container.out("exec", "c", "cat", "/tmp/d/hard", "/tmp/no/parents/here") == "content\nx"


@pytest.mark.parametrize("tool", ["gzip", "xz", "zstd", "bzip2"])
def test_a_compressed_tar_is_unpacked_too(container: Rootlay, tool: str) -> None:
    import shutil

    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    packed = subprocess.run([tool, "-c"], input=tar_of_everything(), capture_output=True, check=True).stdout
    container("cp", "-", "c:/tmp/", input=packed)
    assert container.out("exec", "c", "cat", "/tmp/d/file") == "content\n"


def test_out_of_one_container_and_into_another(container: Rootlay) -> None:
    """With -a all is as it was: compared by a tar of each."""
    container("create", "--name", "other", "small", "true")
    container("cp", "-a", "-", "c:/tmp", input=tar_of_everything())
    packed = container("cp", "c:/tmp/.", "-").stdout
    container("cp", "-a", "-", "other:/tmp", input=packed)

    def facts(data: bytes) -> dict[str, tuple[object, ...]]:
        return {
            name: (e.type, e.mode, e.uid, e.gid, e.size, e.linkname, e.mtime if name != "." else 0)
            for name, e in members(data).items()
        }

    assert facts(container("cp", "other:/tmp/.", "-").stdout) == facts(packed)


@pytest.mark.parametrize(
    ("target", "code", "says"),
    [
        ("c:/no/such", 1, "not a directory in the container"),
        ("c:/etc/motd", 1, "not a directory in the container"),
        ("nosuch:/tmp", 14, "no such container"),
    ],
)
def test_a_tar_needs_a_directory(container: Rootlay, target: str, code: int, says: str) -> None:
    assert says in container.fails("cp", "-", target, code=code, input=tar_of_everything())


def one_entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname, entry.size = kind, link, 2 if kind == tarfile.REGTYPE else 0
        tar.addfile(entry, io.BytesIO(b"x\n"))
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "code", "says"),
    [
        (b"no tar at all, by its look" * 100, 20, "standard input"),
        (b"", 20, "standard input"),
        (one_entry("../../escape"), 23, "escape"),
        (one_entry("x", tarfile.LNKTYPE, "../../etc/passwd"), 23, "passwd"),
        (one_entry("etc"), 1, "it is a directory in the container"),
        (one_entry("etc/motd", tarfile.DIRTYPE), 1, "it is something else in the container"),
        (tar_of_everything()[:5000], 21, "standard input"),
    ],
)
def test_a_bad_tar_is_named_and_leaves_the_container(container: Rootlay, data: bytes, code: int, says: str) -> None:
    assert says in container.fails("cp", "-", "c:/", code=code, input=data)


def test_a_link_in_the_container_does_not_lead_a_tar_out(container: Rootlay, tmp_path: Path) -> None:
    """An absolute link inside is one to the container's own root."""
    outside = tmp_path / "outside"
    outside.mkdir()
    container("cp", "-", "c:/tmp", input=one_entry("way", tarfile.SYMTYPE, str(outside)))
    container("cp", "-", "c:/tmp", input=one_entry("way/file"), code=None)
    assert list(outside.iterdir()) == []


def test_neither_side_or_both_are_refused(container: Rootlay) -> None:
    container.fails("cp", "-", "-", code=2)
    container.fails("cp", "c:/etc", "c:/tmp", code=2)
    assert stat.S_ISDIR(small_mode(container, "/etc"))


def small_mode(container: Rootlay, path: str) -> int:
    return int(container.out("exec", "c", "stat", "-c", "%f", path), 16)
