"""What the command line does with a store and its containers, from Python."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rootlay.store.model.value import fields
from rootlay.store.registry.settings import Settings
from rootlay.vfs import Container, Image, NotRunning, NotStarted, RegistrySettings, RegistryUnreachable, Store
from rootlay.vfs.api.options import BuiltOptions, MadeOptions, ProcessOptions
from rootlay.vfs.build.options.options import BuildOptions
from rootlay.vfs.containers.create import ContainerOptions
from tests.support.registry.fake import FakeRegistry


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    fake = FakeRegistry().start()
    yield fake
    fake.stop()


Reports = list[tuple[int, int | None, str]]


def listener() -> tuple[Reports, Any]:
    reports: Reports = []
    return reports, lambda done, total, label: reports.append((done, total, label))


def test_an_image_goes_to_a_registry_and_comes_back(image: Image, tmp_path: Path, registry: FakeRegistry) -> None:
    store, name = Store(image.root), f"{registry.host}/team/small:1"
    settings = RegistrySettings(docker_config=tmp_path / "none.json")
    sent, report = listener()
    digest = store.push(image, name, registry=settings, progress=report)
    assert digest.startswith("sha256:")
    assert sent
    fetched, report = listener()
    other = Store.open(tmp_path / "other")
    pulled = other.pull(name, registry=settings, progress=report)
    assert (pulled.id, pulled.layers) == (image.id, image.layers)
    assert fetched
    assert [each.reference for each in other.images()] == [name]
    with pulled.container() as c:
        assert c.fs.readtext("/etc/motd") == "welcome\n"
    registry.stop()
    settings = RegistrySettings(retry=type(settings.retry)(attempts=1))
    with pytest.raises(RegistryUnreachable):
        other.pull(name, registry=settings)


def test_wrong_types_for_registries_are_named(store: Store) -> None:
    calls: list[tuple[str, Any]] = [
        ("reference", lambda: store.pull(5)),  # type: ignore[arg-type]
        ("registry", lambda: store.pull("x", registry=5)),  # type: ignore[arg-type]
        ("progress", lambda: store.push("x", progress=5)),  # type: ignore[arg-type]
        ("password", lambda: store.login("h", "u", b"p")),  # type: ignore[arg-type]
        ("host", lambda: store.logout(1)),  # type: ignore[arg-type]
    ]
    for name, call in calls:
        with pytest.raises(TypeError, match=name):
            call()


def test_settings_are_those_of_an_environment(tmp_path: Path) -> None:
    found = Settings.from_environ({"DOCKER_CONFIG": str(tmp_path), "https_proxy": "proxy:1", "ROOTLAY_SPEED_TIME": "0"})
    assert found.docker_config == tmp_path / "config.json"
    assert (found.proxies.https, found.speed_time_s) == ("http://proxy:1", 1)
    for environ in ({"SSL_CERT_FILE": str(tmp_path / "none")}, {"ROOTLAY_SPEED_LIMIT": "fast"}):
        with pytest.raises(ValueError, match=r"none|fast"):
            Settings.from_environ(environ)


def test_images_are_described(store: Store, small_tree: Path) -> None:
    changes = ["ENV A=b", 'CMD ["sh"]', "LABEL x=y"]
    image = store.import_(small_tree, "described", changes=changes, message="made")
    assert (image.env, image.config.cmd, image.labels) == ({"A": "b"}, ("sh",), {"x": "y"})
    assert [step.comment for step in image.history] == ["made"]
    assert image.size > 0
    assert image.platform.startswith("linux/")
    assert image.created.startswith("20")
    host = store.image("host")
    assert (host.env, host.history, host.size, host.layers) == ({}, (), 0, ())


def test_names_are_added_and_images_are_saved_and_loaded(image: Image, tmp_path: Path) -> None:
    store = Store(image.root)
    named = store.tag(image, "other:2")
    assert named.reference == "other:2"
    assert [each.id for each in store.images()] == [image.id], "one image, two names"
    reports, report = listener()
    store.save([named, "small"], tmp_path / "out.tar", format="oci-archive", compression="zstd", progress=report)
    assert reports
    other = Store.open(tmp_path / "other")
    reports, report = listener()
    assert other.load(tmp_path / "out.tar", progress=report).id == image.id
    assert reports
    with open(tmp_path / "stream.tar", "wb") as out:
        store.save([image], out)
    assert Store.open(tmp_path / "third").load_all(tmp_path / "stream.tar")[0].id == image.id


def test_a_store_is_checked_and_pruned(image: Image) -> None:
    store = Store(image.root)
    reports, report = listener()
    assert store.fsck(deep=True, progress=report) == []
    assert {label for _, _, label in reports} >= {"blobs"}
    store.tag(image, "kept")
    image.remove()
    assert store.prune(dry_run=True).removed.deleted == ()
    store.image("kept").remove()
    assert store.prune().containers == ()
    assert store.images() == []


def test_a_main_program_is_started_waited_for_and_stopped(image: Image) -> None:
    store = Store(image.root)
    c = image.container("main", argv=["sh", "-c", "echo out; echo err >&2; sleep 60"])
    assert (c.status, c.exit_code) == ("created", None)
    assert c.start() > 0
    assert c.status == "running"
    assert [each.name for each in store.containers()] == ["main"]
    deadline = time.monotonic() + 10
    while len(list(c.logs())) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert sorted((line.stream, line.data) for line in c.logs()) == [(1, b"out\n"), (2, b"err\n")]
    assert c.run(["sh", "-c", "echo $((1+1))"], capture_output=True, text=True).stdout == "2\n", "as docker exec"
    used = c.stats()
    assert used.pids == 2
    assert used.memory > 0
    c.pause()
    assert c.status == "paused"
    c.unpause()
    ends: list[int] = []
    waiter = threading.Thread(target=lambda: ends.append(c.wait()))
    waiter.start()
    c.stop(timeout=0)
    waiter.join(20)
    assert (ends, c.status, c.exit_code) == ([143], "exited", 143)
    with pytest.raises(NotRunning):
        c.kill()
    assert c.restart() > 0
    c.kill("KILL")
    assert c.wait() == 137
    c.remove()
    assert store.containers() == []


def test_a_program_that_cannot_start_is_named(image: Image) -> None:
    with image.container(argv=("missing",)) as c, pytest.raises(NotStarted, match="missing"):
        c.start()


def test_files_are_copied_both_ways(image: Image, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with image.container() as c:
        c.copy_in(tmp_path / "file", "/etc/file")
        assert c.fs.readtext("/etc/file") == "x"
        c.copy_out("/etc/motd", tmp_path / "motd")
    assert (tmp_path / "motd").read_text() == "welcome\n"


@pytest.mark.parametrize(
    ("listed", "values", "left_out"),
    [
        (
            MadeOptions,
            ContainerOptions,
            {*"image name env working_dir user binds need_command platform owner".split()},
        ),
        (BuiltOptions, BuildOptions, {"tags"}),
    ],
)
def test_listed_options_are_those_that_there_are(listed: Any, values: type, left_out: set[str]) -> None:
    assert set(listed.__annotations__) == set(fields(values)) - left_out


def test_process_options_are_those_of_popen() -> None:
    import inspect
    import subprocess

    assert set(ProcessOptions.__annotations__) <= set(inspect.signature(subprocess.Popen).parameters)


def test_binds_read_well(image: Image) -> None:
    import inspect

    from rootlay.vfs import Bind

    assert str(inspect.signature(Bind)).startswith("(host: 'str', target: 'str', read_only: 'bool' = False, *, ")
    with pytest.raises(TypeError, match=r"3 values|3 to 4 positional"):  # the latter: once compiled
        Bind("/a", "/b", True, (0, 0))  # type: ignore[call-arg]
    with image.container(binds=[Bind.empty("/scratch")]) as c:
        assert c.run(["sh", "-c", "echo x > /scratch/f && cat /scratch/f"], capture_output=True).stdout == b"x\n"
    assert isinstance(c, Container)
