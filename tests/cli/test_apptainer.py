"""The face of Apptainer: the commands of `apptainer-link` behave as Apptainer's do."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Rootlay
from tests.support.registry.real import need, running

Apptainer = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home" / "work").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    return tmp_path / "home"


@pytest.fixture
def apptainer(small: Rootlay, home: Path) -> Apptainer:
    """The command, started in `home/work`, with few variables."""
    places = home.parent / "bin"
    small("--root", str(small.root), "apptainer-link", str(places))

    def run(
        *words: str, code: int | None = 0, name: str = "apptainer", env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        environ = {"PATH": f"{places}:/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8", **(env or {})}
        done = subprocess.run(
            (name, *words), env=environ, cwd=home / "work", capture_output=True, text=True, check=False, timeout=120
        )
        assert code is None or done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
        return done

    return run


@pytest.fixture(scope="module")
def small_file(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("image") / "small.sif"
    Rootlay(small_store)("bundle", "small", "-o", str(target))
    return target


@pytest.fixture
def image(small_file: Path, home: Path) -> Path:
    """The image `small` as a file in the working directory."""
    shutil.copy(small_file, home / "work")
    return home / "work" / "small.sif"


def test_the_versions_that_tools_parse(apptainer: Apptainer) -> None:
    assert apptainer("--version").stdout == "apptainer version 1.4.5\n"
    assert apptainer("version", name="singularity").stdout == "1.4.5\n"
    assert "exec" in apptainer("help").stdout
    assert "--writable-tmpfs" in apptainer("exec", "--help").stdout


def test_a_program_has_the_caller_s_user_home_directory_and_environment(
    apptainer: Apptainer, image: Path, home: Path
) -> None:
    script = "id -u; pwd; echo $HOME $MINE $SET $OTHER; echo $APPTAINER_NAME; touch made ../made; touch /etc/x"
    env = {"MINE": "1", "APPTAINERENV_SET": "2", "SINGULARITYENV_OTHER": "3", "APPTAINERENV_PREPEND_PATH": "/x"}
    done = apptainer("exec", image.name, "sh", "-c", f"{script}; echo $?; echo $PATH", env=env)
    lines = done.stdout.splitlines()
    assert lines[:4] == [str(os.getuid()), str(home / "work"), f"{home} 1 2 3", image.name]
    assert lines[4] == "1"
    assert lines[5].startswith("/x:/usr/local/sbin:")
    assert "Read-only file system" in done.stderr
    assert (home / "work" / "made").exists()
    assert (home / "made").stat().st_uid == os.getuid()


def test_the_caller_has_a_name_in_the_image(apptainer: Apptainer, image: Path) -> None:
    passwd = apptainer("exec", image.name, "cat", "/etc/passwd").stdout.splitlines()
    assert passwd[0].startswith("root:")
    assert [line.split(":")[2] for line in passwd].count(str(os.getuid())) == 1


def test_exit_codes_are_the_program_s_and_errors_are_fatal(apptainer: Apptainer, image: Path) -> None:
    apptainer("exec", image.name, "sh", "-c", "exit 7", code=7)
    for words, said in (
        (("exec", "none.sif", "true"), "could not open image none.sif: no such file"),
        (("exec", "--none", image.name, "true"), "unknown flag: --none"),
        (("exec", "--memory", "1g", image.name, "true"), "--memory=1g: use `systemd-run"),
        (("exec", "--network", "cni", image.name, "true"), "--network=cni: the network is the host's"),
        (("exec", "-B", "/none:/x", image.name, "true"), "/none does not exist on the host"),
        (("exec", "--env", "novalue", image.name, "true"), "expected NAME=VALUE"),
        (("pull", "library://lolcow"), "the library of Sylabs"),
        (("instance", "start", image.name), "there are no instances"),
        (("build", image.name, "docker-daemon:small"), "will not overwrite"),
        (("exec",), "expected [OPTIONS] IMAGE COMMAND"),
        (("frobnicate",), "unknown command frobnicate"),
    ):
        done = apptainer(*words, code=255)
        assert done.stderr.startswith("FATAL:   "), done.stderr
        assert said in done.stderr
        assert done.stderr.count("\n") == 1


def test_a_sif_of_squashfs_is_recognized(apptainer: Apptainer, home: Path) -> None:
    (home / "work" / "real.sif").write_bytes(b"#!/usr/bin/env run-singularity\n\0SIF_MAGIC\0" + bytes(5000))
    assert "SIF file with squashfs" in apptainer("exec", "real.sif", "true", code=255).stderr
    (home / "work" / "noise.img").write_bytes(bytes(5000))
    assert "not an image file" in apptainer("run", "noise.img", code=255).stderr


def test_binds(apptainer: Apptainer, image: Path, home: Path) -> None:
    (home.parent / "data").mkdir()
    (home.parent / "data" / "file").write_text("of the host\n")
    data, script = home.parent / "data", "cat /new/place/file /b/file /c/file; touch /b/x; touch /c/y"
    done = apptainer(
        *("exec", "-B", f"{data}:/new/place,{data}:/b:ro", "--mount", f"type=bind,source={data},target=/c"),
        *(image.name, "sh", "-c", script),
    )
    assert done.stdout == "of the host\n" * 3
    assert "/b/x" in done.stderr
    assert sorted(os.listdir(data)) == ["file", "y"]
    env = {"SINGULARITY_BIND": f"{data}:/v"}
    assert apptainer("exec", image.name, "cat", "/v/file", env=env).stdout == "of the host\n"


def test_contained_programs_see_neither_home_nor_environment(apptainer: Apptainer, image: Path, home: Path) -> None:
    (home / "secret").write_text("1")
    script = "pwd; ls -A ~ /tmp; echo [$MINE] $SET; touch ~/x /tmp/x && echo written"
    done = apptainer(
        *("exec", "-C", "--ipc", "--userns", "--no-eval", image.name, "sh", "-c", script),
        env={"MINE": "1", "APPTAINERENV_SET": "2"},
    )
    below = home.parts[2] + "\n" if home.parts[1] == "tmp" else ""  # the way to the home directory
    assert done.stdout == f"{home}\n/tmp:\n{below}\n{home}:\n[] 2\nwritten\n"
    assert not (home / "x").exists()


def test_cwltool_s_options(apptainer: Apptainer, image: Path, home: Path) -> None:
    """A contained program whose home is a directory of the host under another name, without a network."""
    out = home.parent / "out"
    out.mkdir()
    done = apptainer(
        *("--quiet", "run", "--contain", "--ipc", "--cleanenv", "--no-eval", "--userns", "--home", f"{out}:/aBcDeF"),
        *(f"--mount=type=bind,source={image},target=/var/lib/cwl/in,readonly", "--pwd", "/aBcDeF"),
        *("--net", "--network", "none", image.name, "sh", "-c", "pwd; echo $HOME; echo 1 > made; ls /var/lib/cwl"),
    )
    assert done.stdout == "/aBcDeF\n/aBcDeF\nin\n"
    assert (out / "made").read_text() == "1\n"


def test_changes_of_the_image_are_temporary_or_kept(apptainer: Apptainer, image: Path, home: Path) -> None:
    assert "Permission denied" in apptainer("exec", image.name, "touch", "/etc/motd", code=1).stderr or not os.getuid()
    (home / "work" / "kept").mkdir()
    apptainer("exec", "--fakeroot", "--overlay", "kept", image.name, "sh", "-c", "echo 2 > /etc/new")
    assert apptainer("exec", "--overlay", "kept", image.name, "cat", "/etc/new").stdout == "2\n"
    assert apptainer("exec", image.name, "ls", "/etc/new", code=None).returncode != 0
    root = apptainer("exec", "--fakeroot", "--writable-tmpfs", image.name, "sh", "-c", "id -u; echo ~; chown 5 /etc")
    assert root.stdout == "0\n/root\n"


def test_run_runs_what_the_image_says(small: Rootlay, apptainer: Apptainer) -> None:
    for name, change in (("entry", 'ENTRYPOINT ["echo","a"]\nCMD ["b"]'), ("cmd", 'CMD ["echo","c"]')):
        small("build", "-q", "-t", name, "-", input=f"FROM small\nENV OF=image\nLABEL k=v\n{change}\n".encode())
        apptainer("build", f"{name}.sif", f"docker-daemon:{name}")
    assert apptainer("run", "entry.sif").stdout == "a b\n"
    assert apptainer("run", "entry.sif", "x").stdout == "a x\n"
    assert apptainer("run", "cmd.sif").stdout == "c\n"
    assert apptainer("run", "cmd.sif", "echo", "d").stdout == "d\n"
    assert apptainer("exec", "cmd.sif", "sh", "-c", "echo $OF").stdout == "image\n"
    assert apptainer("exec", "cmd.sif", "sh", "-c", "echo $OF", env={"OF": "caller"}).stdout == "caller\n"
    labels = json.loads(apptainer("inspect", "--json", "cmd.sif").stdout)["data"]["attributes"]["labels"]
    assert labels["k"] == "v"
    assert "k: v\n" in apptainer("inspect", "cmd.sif").stdout
    assert "exec echo c\n" in apptainer("inspect", "-r", "cmd.sif").stdout


def test_a_directory_is_an_image(apptainer: Apptainer, image: Path, home: Path) -> None:
    apptainer("build", "--sandbox", "tree", image.name)
    assert (home / "work" / "tree" / "etc" / "motd").read_text() == "welcome\n"
    assert apptainer("exec", "tree", "cat", "/etc/motd").stdout == "welcome\n"
    assert apptainer("run", "tree", "echo", "by the script").stdout == "by the script\n"
    assert apptainer("inspect", "--json", "tree").stdout.startswith("{")


def test_pull_writes_a_file_and_keeps_another(small: Rootlay, apptainer: Apptainer, home: Path) -> None:
    with running(home.parent / "registry") as registry:
        name = f"{registry.host}/team/small:1"
        small("push", "small", name)
        small("rmi", "small")
        done = apptainer("pull", f"docker://{name}")
        assert (home / "work" / "small_1.sif").exists()
        assert "INFO:    Creating image file" in done.stderr
        assert "will not overwrite" in apptainer("pull", f"docker://{name}", code=255).stderr
        env = {"SINGULARITY_PULLFOLDER": str(home)}
        apptainer("--quiet", "pull", "--force", "--name", "x.simg", f"docker://{name}", env=env)
        assert apptainer("exec", str(home / "x.simg"), "cat", "/etc/motd").stdout == "welcome\n"
        assert apptainer("exec", f"docker://{name}", "cat", "/etc/motd").stdout == "welcome\n"
        assert "There are 1 container file(s)" in apptainer("cache", "list").stdout
        missing = apptainer("pull", "--disable-cache", f"docker://{registry.host}/team/none", code=255)
        assert "FATAL:   " in missing.stderr


def put_artifact(host: str, path: str, files: dict[str, bytes], kind: str) -> None:
    """Push files as ORAS does, by the calls of the distribution specification."""

    def call(method: str, url: str, data: bytes, media_type: str, accepted: int) -> str:
        headers = {"Content-Type": media_type, "Content-Length": str(len(data))}
        request = urllib.request.Request(url, data, headers, method=method)
        with urllib.request.urlopen(request) as answer:
            assert answer.status == accepted, (url, answer.status)
            return str(answer.headers["Location"])

    def blob(data: bytes, media_type: str, **more: object) -> dict[str, object]:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        place = call("POST", f"http://{host}/v2/{path}/blobs/uploads/", b"", "application/octet-stream", 202)
        call("PUT", f"{place}&digest={digest}", data, "application/octet-stream", 201)
        return {"mediaType": media_type, "digest": digest, "size": len(data), **more}

    config = blob(b"{}", "application/vnd.sylabs.sif.config.v1+json")
    layers = [blob(data, kind, annotations={"org.opencontainers.image.title": name}) for name, data in files.items()]
    media_type = "application/vnd.oci.image.manifest.v1+json"
    manifest = {"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": layers}
    call("PUT", f"http://{host}/v2/{path}/manifests/1", json.dumps(manifest).encode(), media_type, 201)


def test_files_in_a_registry_are_images(small: Rootlay, apptainer: Apptainer, image: Path) -> None:
    """oras://: what `apptainer push` and `oras push` write."""
    sif, work = "application/vnd.sylabs.sif.layer.v1.sif", image.parent
    with running(work.parent / "registry") as registry:
        small("push", "small", f"{registry.host}/team/ordinary:1")
        put_artifact(registry.host, "team/file", {"small.sif": image.read_bytes()}, sif)
        put_artifact(registry.host, "team/named", {"a.txt": b"x", "b.sif": image.read_bytes()}, "text/plain")
        put_artifact(registry.host, "team/squashfs", {"x.sif": bytes(32) + b"SIF_MAGIC" + bytes(1 << 20)}, sif)
        put_artifact(registry.host, "team/two", {"a.txt": b"x", "b.txt": b"y"}, "text/plain")
        apptainer("pull", f"oras://{registry.host}/team/file:1")
        assert (work / "file_1.sif").read_bytes() == image.read_bytes()
        assert apptainer("exec", "file_1.sif", "cat", "/etc/motd").stdout == "welcome\n"
        assert "will not overwrite" in apptainer("pull", f"oras://{registry.host}/team/file:1", code=255).stderr
        for name in ("file", "named", "ordinary"):
            for _ in range(2):
                out = apptainer("exec", f"oras://{registry.host}/team/{name}:1", "cat", "/etc/motd").stdout
                assert out == "welcome\n", name
        since = registry.seen
        apptainer("exec", f"oras://{registry.host}/team/file:1", "true")
        assert registry.exchanges(since) == [], "it is in the store"
        apptainer("build", "built.sif", f"oras://{registry.host}/team/ordinary:1")
        assert apptainer("exec", "built.sif", "cat", "/etc/motd").stdout == "welcome\n"
        for name, words in (
            ("squashfs", "a SIF file with squashfs"), ("two", "an artifact with 2 files"), ("none", "not found"),
        ):  # fmt: skip
            source = f"oras://{registry.host}/team/{name}:1"
            assert words in apptainer("pull", "no.sif", source, code=255).stderr
            assert words in apptainer("exec", source, "true", code=255).stderr
        assert sorted(path.name for path in work.iterdir()) == ["built.sif", "file_1.sif", "small.sif"]


@pytest.mark.oracles
def test_layouts_of_skopeo_are_images(small: Rootlay, apptainer: Apptainer, home: Path) -> None:
    small("save", "-o", str(home / "work/one.tar"), "small")
    for target in ("oci:layout:v1", "oci:plain", "oci-archive:layout.tar:team/x:v1"):
        options = ("--insecure-policy", "--tmpdir", str(home), "copy", "-q")
        words = (need("skopeo"), *options, "docker-archive:one.tar", target)
        subprocess.run(words, cwd=home / "work", check=True, capture_output=True)
    for source in ("oci:layout:v1", "oci:layout", f"oci:{home}/work/plain", "oci-archive:layout.tar:team/x:v1"):
        assert apptainer("exec", source, "cat", "/etc/motd").stdout == "welcome\n", source
    apptainer("pull", "oci:layout:v1")
    assert apptainer("exec", "layout_v1.sif", "cat", "/etc/motd").stdout == "welcome\n"
    assert "there is no image 'v2' in layout" in apptainer("exec", "oci:layout:v2", "true", code=255).stderr


def test_archives_are_images(small: Rootlay, apptainer: Apptainer) -> None:
    small("tag", "small", "other")
    small("save", "-o", str(small.root.parent / "one.tar"), "small")
    small("save", "-o", str(small.root.parent / "two.tar"), "small", "other")
    top = small.root.parent
    assert apptainer("exec", f"docker-archive:{top}/one.tar", "cat", "/etc/motd").stdout == "welcome\n"
    assert apptainer("exec", f"docker-archive://{top}/one.tar", "cat", "/etc/motd").stdout == "welcome\n"


def test_a_container_is_removed_when_its_program_ends(small: Rootlay, apptainer: Apptainer, image: Path) -> None:
    apptainer("exec", image.name, "true")
    apptainer("exec", "--pwd", "relative", image.name, "true", code=255)
    assert small.out("ps", "-aq") == ""


def test_the_page_for_users_of_apptainer_is_up_to_date() -> None:
    docs = Path(__file__).parents[2] / "docs"
    spec = importlib.util.spec_from_file_location("make_apptainer", docs / "make_apptainer.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (docs / "coming-from-apptainer.md").read_text(encoding="utf-8") == module.page()
