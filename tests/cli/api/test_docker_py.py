"""docker-py, over its whole client."""

from __future__ import annotations

import contextlib
import io
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.api.conftest import Server

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # docker-py leaves sockets to the garbage collector
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
docker = pytest.importorskip("docker", reason="docker-py is not installed")


@pytest.fixture
def client(server: Server) -> Iterator[Any]:
    made = docker.DockerClient(base_url=server.url, timeout=60)
    yield made
    for container in made.containers.list(all=True):
        container.remove(force=True)
    made.close()


def test_the_system(client: Any) -> None:
    assert client.ping()
    assert client.version()["ApiVersion"] == "1.47"
    assert client.info()["Driver"] == "rootlay"
    assert {"Images", "Containers", "Volumes"} <= client.df().keys()
    assert client.api.inspect_image("small")["Os"] == "linux"


def test_run_in_each_way(client: Any) -> None:
    assert client.containers.run("small", ["echo", "hi"], remove=True) == b"hi\n"
    assert client.containers.run("small", ["sh", "-c", "echo $A"], environment={"A": "b"}, remove=True) == b"b\n"
    with pytest.raises(docker.errors.ContainerError, match="exit status 3"):
        client.containers.run("small", ["sh", "-c", "exit 3"], remove=True)
    with pytest.raises(docker.errors.ImageNotFound):
        client.containers.create("absent", "true")
    with pytest.raises(docker.errors.APIError, match="executable file not found"):
        client.containers.run("small", ["missing"])


def test_a_container(client: Any, tmp_path: Path) -> None:
    (tmp_path / "bound").mkdir()
    (tmp_path / "bound/file").write_text("shared\n")
    container = client.containers.run(
        "small", ["sh", "-c", "echo up; cat /bound/file; exec sleep 60"], detach=True, name="one", labels={"a": "b"},
        volumes={str(tmp_path / "bound"): {"bind": "/bound", "mode": "ro"}}, ports={"80/tcp": None}, hostname="host",
        working_dir="/tmp", user="user", mem_limit="1g", restart_policy={"Name": "no"},
    )  # fmt: skip
    container.reload()
    assert (container.status, container.name, container.labels) == ("running", "one", {"a": "b"})
    assert container.attrs["Config"]["Hostname"] == "host"
    assert container.ports["80/tcp"][0]["HostPort"]
    assert client.containers.get("one").id == container.id
    assert [each.id for each in client.containers.list(filters={"label": "a=b"})] == [container.id]
    deadline = time.monotonic() + 10
    while container.logs() != b"up\nshared\n":
        assert time.monotonic() < deadline, container.logs()
        time.sleep(0.05)
    assert container.logs(tail=1) == b"shared\n"
    assert next(container.logs(stream=True, follow=False)) == b"up\n"
    assert container.top()["Processes"]
    assert container.stats(stream=False)["id"] == container.id
    container.pause()
    container.reload()
    assert container.status == "paused"
    container.unpause()
    container.rename("two")
    container.update(restart_policy={"Name": "on-failure", "MaximumRetryCount": 2})
    container.restart(timeout=1)
    container.kill("TERM")
    assert container.wait()["StatusCode"] == 143
    container.start()
    container.stop(timeout=1)
    container.remove()
    with pytest.raises(docker.errors.NotFound):
        client.containers.get("two")


def test_exec_in_each_way(client: Any) -> None:
    container = client.containers.run("small", ["sleep", "60"], detach=True)
    code, output = container.exec_run(["sh", "-c", "echo out; echo err >&2; exit 4"], demux=True)
    assert (code, output) == (4, (b"out\n", b"err\n"))
    code, stream = container.exec_run(["sh", "-c", "echo one; echo two"], stream=True)
    assert b"".join(stream) == b"one\ntwo\n"
    code, link = container.exec_run("cat", stdin=True, socket=True)
    raw = getattr(link, "_sock", link)
    raw.sendall(b"text\n")
    assert raw.recv(4096)[8:] == b"text\n"
    raw.close()
    assert container.exec_run("tty", tty=True).exit_code in (0, 127)
    identity = client.api.exec_create(container.id, ["sleep", "0"])["Id"]
    client.api.exec_start(identity, detach=True)
    assert client.api.exec_inspect(identity)["ContainerID"] == container.id


def test_attach_and_wait(client: Any) -> None:
    container = client.containers.create("small", ["sh", "-c", "echo first; read x; echo got $x"], stdin_open=True)
    link = container.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
    container.start()
    raw = getattr(link, "_sock", link)
    raw.sendall(b"line\n")
    assert container.wait(timeout=20)["StatusCode"] == 0
    assert container.attach(stdout=True, logs=True) == b"first\ngot line\n"
    link.close()


def test_archives_diff_export_and_commit(client: Any) -> None:
    container = client.containers.create("small", "true")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        entry = tarfile.TarInfo("put")
        entry.size = 3
        tar.addfile(entry, io.BytesIO(b"abc"))
    assert container.put_archive("/tmp", packed.getvalue())
    stream, stat = container.get_archive("/tmp/put")
    assert (stat["name"], stat["size"]) == ("put", 3)
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as tar:
        assert tar.getnames() == ["put"]
    assert {"Path": "/tmp/put", "Kind": 1} in container.diff()
    with tarfile.open(fileobj=io.BytesIO(b"".join(container.export()))) as tar:
        assert "tmp/put" in tar.getnames()
    image = container.commit("made", "1", message="why", changes="CMD cat /tmp/put")
    assert client.containers.run(image.tags[0], remove=True) == b"abc"


def test_images(client: Any, tmp_path: Path) -> None:
    image = client.images.get("small")
    assert image.tag("other", "2")
    assert {"small:latest", "other:2"} <= set(client.images.get("small").tags)
    assert client.images.list(name="other")
    assert client.images.get("small").history()
    saved = b"".join(image.save(named=True))
    client.images.remove("other:2")
    assert client.images.load(saved)[0].id == image.id
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM small\nRUN echo built > /b\n")
    built, lines = client.images.build(path=str(context), tag="built:1", rm=True)
    assert client.containers.run("built:1", ["cat", "/b"], remove=True) == b"built\n"
    assert any("Step 1/2" in line.get("stream", "") for line in lines)
    (context / "Dockerfile").write_text("FROM small\nRUN exit 9\n")
    with pytest.raises(docker.errors.BuildError):
        client.images.build(path=str(context))
    client.images.remove(built.id, force=True)
    assert client.images.prune()["SpaceReclaimed"] >= 0


def test_volumes_and_networks(client: Any) -> None:
    volume = client.volumes.create("data", labels={"k": "v"})
    mount = docker.types.Mount("/d", "data")
    client.containers.run("small", ["sh", "-c", "echo x > /d/f"], mounts=[mount], remove=True)
    assert client.containers.run("small", ["cat", "/d/f"], volumes=["data:/d"], remove=True) == b"x\n"
    assert [each.name for each in client.volumes.list(filters={"label": "k=v"})] == ["data"]
    network = client.networks.create("net", driver="bridge", labels={"n": "m"})
    container = client.containers.run("small", ["sleep", "60"], detach=True, network="net", name="here")
    network.reload()
    assert [each.name for each in network.containers] == ["here"]
    container.reload()
    address = container.attrs["NetworkSettings"]["Networks"]["net"]["IPAddress"]
    hosts = client.containers.run("small", ["cat", "/etc/hosts"], network="net", remove=True)
    assert f"{address}\there\n" in hosts.decode()
    network.disconnect(container)
    network.connect(container, aliases=["alias"])
    container.remove(force=True)
    network.remove()
    volume.remove()
    assert client.volumes.prune()["SpaceReclaimed"] >= 0
    assert "bridge" in [each.name for each in client.networks.list()]


def test_events(client: Any) -> None:
    with contextlib.closing(client.events(decode=True)) as events:
        client.containers.run("small", ["true"])
        seen = []
        for event in events:
            seen.append(event["Action"])
            if event["Action"] == "die":
                break
    assert seen == ["create", "connect", "start", "disconnect", "die"]
