"""Networks: containers with addresses of their own, found by name; what programs see of them."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rootlay.store.networks.networks import UnknownNetwork
from tests.cli.conftest import Rootlay

NATIVE = Path(__file__).parents[1] / "native"
ADDRESS = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"


def compiled(tmp_path_factory: pytest.TempPathFactory, name: str, compiler: str = "cc") -> Path:
    if not shutil.which(compiler):
        pytest.skip(f"needs a C compiler ({compiler})")
    target = tmp_path_factory.mktemp("programs") / name
    words = [compiler, "-static", "-O1", "-D_GNU_SOURCE", "-o", str(target), str(NATIVE / f"{name}.c")]
    subprocess.run(words, check=True, stderr=subprocess.DEVNULL)  # glibc warns of getaddrinfo
    target.parent.chmod(0o755)
    return target


@pytest.fixture(scope="module", params=["cc", pytest.param("musl-gcc", marks=pytest.mark.slow)])
def peers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A static program: no library of the container is between it and the kernel."""
    return compiled(tmp_path_factory, "peers", request.param)


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory, "peers")


class Net:
    """A store with the network `net`, and the program in its containers."""

    def __init__(self, rootlay: Rootlay, program: Path) -> None:
        self.rootlay = rootlay
        self.mount = ("-v", f"{program}:/p:ro", "-u", "1000")
        rootlay("network", "create", "net")

    def serve(self, name: str, *words: str, options: tuple[str, ...] = ("--network", "net")) -> None:
        self.rootlay("run", "-d", "--name", name, *options, *self.mount, "small", "/p", *words)
        wait_for(lambda: "listening" in self.rootlay.out("logs", name), self.rootlay.out("logs", name))

    def ask(self, *words: str, options: tuple[str, ...] = ("--network", "net"), code: int = 0) -> str:
        done = self.rootlay("run", "--rm", *options, *self.mount, "small", "/p", *words, code=None)
        assert done.returncode == code, done
        return done.stdout.decode()

    def address(self, name: str) -> str:
        found = self.rootlay.out("inspect", "-f", ADDRESS, name).strip()
        assert found, self.rootlay.out("ps", "-a") + self.rootlay.out("logs", name)
        return found


@pytest.fixture
def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return str(probe.getsockname()[1])


def wait_for(condition: Callable[[], bool], text: str = "") -> None:
    for _ in range(400):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail(text or "it did not happen")


@pytest.fixture
def net(small: Rootlay, peer: Path) -> Iterator[Net]:
    made = Net(small, peer)
    yield made
    small("rm", "-f", *small.out("ps", "-aq").split(), code=None)


def test_two_servers_on_one_port_are_found_by_name(small: Rootlay, peers: Path) -> None:
    net = Net(small, peers)
    net.serve("one", "serve", "80", "first")
    net.serve("two", "serve", "80", "second", options=("--network", "net", "--network-alias", "other"))
    client = ("--network", "net", "--ip", net.address("one").rpartition(".")[0] + ".200")
    asked = client[-1]
    assert net.ask("ask", "one", "80", options=client) == f"first to {net.address('one')}:80 from {asked}\n"
    assert net.ask("ask", "other", "80", options=client) == f"second to {net.address('two')}:80 from {asked}\n"
    assert net.ask("ask", "other", "81", code=1) == "connect: Connection refused\n"
    assert small.out("exec", "one", "/p", "ask", "127.0.0.1", "80") == "first to 127.0.0.1:80 from 127.0.0.1\n"
    small("rm", "-f", "one", "two")
    assert small.out("fsck") == "nothing wrong was found\n"


@pytest.mark.slow
def test_datagrams(small: Rootlay, peers: Path) -> None:
    net = Net(small, peers)
    net.serve("one", "udp", "53", "first")
    net.serve("two", "udp", "53", "second")
    client = ("--network", "net", "--ip", net.address("one").rpartition(".")[0] + ".200")
    assert net.ask("udp-ask", "two", "53", options=client) == f"second from {client[-1]}, the same\n"
    assert small.out("exec", "one", "/p", "udp-ask", "127.0.0.1", "53") == "first from 127.0.0.1, the same\n"
    small("rm", "-f", "one", "two")


@pytest.mark.slow
def test_names_come_and_go(net: Net) -> None:
    rootlay = net.rootlay
    rootlay("run", "-d", "--name", "a", "--network", "net", "small", "sleep", "60")
    assert "b" not in hosts(rootlay, "a")
    rootlay("run", "-d", "--name", "b", "--network", "net", "-h", "bee", "small", "sleep", "60")
    assert {"b", "bee"} <= hosts(rootlay, "a").keys()
    assert hosts(rootlay, "a")["b"] == hosts(rootlay, "b")["bee"] == net.address("b")
    rootlay("exec", "a", "sh", "-c", "echo 1.2.3.4 mine >> /etc/hosts")
    rootlay("stop", "-t", "0", "b")
    assert "b" not in hosts(rootlay, "a")
    assert hosts(rootlay, "a")["mine"] == "1.2.3.4"
    rootlay("start", "b")
    assert "b" in hosts(rootlay, "a")
    rootlay("rename", "b", "c")
    assert "c" in hosts(rootlay, "a")
    rootlay("rm", "-f", "c")
    assert "c" not in hosts(rootlay, "a")


def test_a_running_program_sees_new_names(net: Net) -> None:
    """Its confinement allows the file that was there when it started."""
    wait = "until case $(cat /etc/hosts) in *later*) ;; *) false ;; esac; do sleep 0.05; done; echo found"
    net.rootlay("run", "-d", "--name", "a", "--network", "net", "small", "sh", "-c", wait)
    net.rootlay("run", "-d", "--name", "later", "--network", "net", "small", "sleep", "60")
    assert net.rootlay.out("wait", "a", timeout_s=30) == "0\n"
    assert net.rootlay.out("logs", "a") == "found\n"
    net.rootlay("rm", "-f", "a", "later")


def hosts(rootlay: Rootlay, name: str) -> dict[str, str]:
    lines = [line.split() for line in rootlay.out("exec", name, "cat", "/etc/hosts").splitlines()]
    return {host: line[0] for line in lines if line and line[0] != "#" for host in line[1:]}


@pytest.mark.slow
def test_two_networks_do_not_know_each_others_names(net: Net) -> None:
    rootlay = net.rootlay
    rootlay("network", "create", "back")
    rootlay("run", "-d", "--name", "db", "--network", "back", "small", "sleep", "60")
    rootlay("run", "-d", "--name", "web", "--network", "net", "--network", "back", "small", "sleep", "60")
    rootlay("run", "-d", "--name", "out", "--network", "net", "small", "sleep", "60")
    assert "db" in hosts(rootlay, "web")
    assert "db" not in hosts(rootlay, "out")
    assert "web" in hosts(rootlay, "out")
    rootlay("network", "disconnect", "back", "web")
    assert "db" not in hosts(rootlay, "web")
    rootlay("network", "connect", "--alias", "again", "back", "web")
    assert "again" in hosts(rootlay, "db")


def test_a_running_container_is_connected_at_once(net: Net, free_port: str) -> None:
    """As by docker: both have names and addresses, without a restart; what listened before is found, too."""
    rootlay = net.rootlay
    net.serve("old", "serve", free_port, "before", options=())
    rootlay("run", "-d", "--name", "late", *net.mount, "small", "/p", "serve-at", "/go", "80", "after")
    net.serve("first", "serve", "80", "first")
    for name in ("old", "late"):
        assert rootlay.out("exec", name, "/p", "ask", "first", "80", code=1) == "first: unknown\n"
        rootlay("network", "connect", "--alias", f"{name}-alias", "net", name)
    rootlay("exec", "-u", "0", "late", "sh", "-c", ": > /go")
    wait_for(lambda: "listening" in rootlay.out("logs", "late"))
    assert len({net.address(name) for name in ("old", "late", "first")}) == 3
    for name in ("old", "old-alias"):
        assert net.ask("ask", name, free_port).startswith(f"before to {net.address('old')}:{free_port}")
        assert net.ask("ask", name, "80", code=1) == "connect: Connection refused\n"
    for name in ("late", "late-alias"):
        asked = rootlay.out("exec", "first", "/p", "ask", name, "80")
        assert asked == f"after to {net.address('late')}:80 from {net.address('first')}\n"
    asked = rootlay.out("exec", "late", "/p", "ask", "first", "80")
    assert asked == f"first to {net.address('first')}:80 from {net.address('late')}\n"
    assert rootlay.out("exec", "old", "/p", "ask", "127.0.0.1", free_port).startswith("before to 127.0.0.1")
    rootlay("network", "disconnect", "net", "late")
    assert rootlay.out("exec", "first", "/p", "ask", "late", "80", code=1) == "late: unknown\n"
    assert rootlay.out("exec", "late", "/p", "ask", "first", "80", code=1) == "first: unknown\n"
    assert rootlay.out("exec", "late", "/p", "ask", "127.0.0.1", "80").startswith("after to 127.0.0.1:80")
    rootlay("restart", "-t", "0", "old")
    wait_for(lambda: rootlay.out("logs", "old").count("listening") == 2)
    assert net.ask("ask", "old", free_port).startswith(f"before to {net.address('old')}:{free_port}")
    rootlay("rm", "-f", "old", "late", "first")
    assert rootlay.out("fsck") == "nothing wrong was found\n"


@pytest.mark.slow
def test_links_name_a_container_for_one_alone(net: Net) -> None:
    net.serve("db", "serve", "5432", "data")
    assert net.ask("ask", "base", "5432", options=("--network", "net", "--link", "db:base")).startswith("data to")
    assert net.ask("ask", "base", "5432", code=1) == "base: unknown\n"
    assert net.ask("ask", "base", "5432", options=("--link", "db:base")).startswith("data to")


def test_what_listens_on_loopback_is_the_containers_alone(net: Net) -> None:
    net.serve("own", "serve", "5432", "data", "127.0.0.1")
    assert net.ask("ask", "own", "5432", code=1) == "connect: Connection refused\n"
    done = net.rootlay.out("exec", "own", "/p", "ask", "127.0.0.1", "5432")
    assert done == "data to 127.0.0.1:5432 from 127.0.0.1\n"


@pytest.fixture
def outside() -> Iterator[int]:
    """A port of the machine's loopback, where a server answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        child = os.fork()
        if child == 0:
            while True:
                connection, _ = server.accept()
                connection.sendall(b"outside\n")
                connection.close()
        yield server.getsockname()[1]
        os.kill(child, 9)
        os.waitpid(child, 0)


@pytest.mark.slow
def test_loopback_is_the_machines_where_the_container_has_nothing(net: Net, outside: int) -> None:
    port = str(outside)
    assert net.ask("ask", "127.0.0.1", port) == "outside\n"
    net.serve("own", "serve", port, "inside")
    assert net.rootlay.out("exec", "own", "/p", "ask", "127.0.0.1", port).startswith("inside")
    gateway = ("--network", "net", "--add-host", "host.docker.internal:host-gateway")
    assert net.ask("ask", "host.docker.internal", port, options=gateway) == "outside\n"
    net.rootlay("network", "create", "--internal", "alone")
    assert net.ask("ask", "127.0.0.1", port, options=("--network", "alone"), code=1) == "connect: Connection refused\n"


@pytest.mark.slow
def test_a_port_that_the_machine_has_on_every_address(net: Net) -> None:
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = str(server.getsockname()[1])
        net.serve("own", "serve", port, "inside")
        assert net.ask("ask", "own", port).startswith(f"inside to {net.address('own')}:{port} from")


@pytest.mark.slow
@pytest.mark.parametrize("address", ["", "127.0.0.1:"])
def test_published_ports(net: Net, address: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    net.serve("web", "serve", "80", "data", options=("--network", "net", "-p", f"{address}{port}:80"))
    with socket.create_connection(("127.0.0.1", port)) as client:
        assert client.recv(100).startswith(b"data to 127.0.0.1:80 from 127.0.0.1")
    assert net.ask("ask", "web", "80").startswith("data to")
    assert net.rootlay.out("exec", "web", "/p", "ask", "127.0.0.1", "80").startswith("data to")
    assert net.rootlay.out("port", "web").split() == ["80/tcp", "->", f"{address or '0.0.0.0:'}{port}"]


def test_a_listening_socket_keeps_its_name_across_exec(net: Net) -> None:
    assert net.ask("listen-exec", "80") == "0.0.0.0:80\n"


@pytest.mark.slow
def test_threads(net: Net) -> None:
    assert net.ask("threads", "7000") == "ok\n"
    assert net.ask("threads", "300") == "ok\n"


@pytest.mark.slow
def test_abstract_names_are_the_containers_own(net: Net) -> None:
    net.serve("one", "abstract-serve", "name", "first")
    net.serve("two", "abstract-serve", "name", "second")
    assert net.rootlay.out("exec", "one", "/p", "abstract-ask", "name") == "first at name\n"
    assert net.rootlay.out("exec", "two", "/p", "abstract-ask", "name") == "second at name\n"
    assert net.ask("abstract-ask", "name", code=1) == "connect: Connection refused\n"


@pytest.mark.slow
def test_the_network_of_another_container(net: Net) -> None:
    net.serve("web", "serve", "80", "data")
    shared = ("--network", "container:web")
    assert net.ask("ask", "127.0.0.1", "80", options=shared) == "data to 127.0.0.1:80 from 127.0.0.1\n"
    assert net.ask("serve", "80", "x", options=shared, code=1) == "bind: Address already in use\n"
    assert net.ask("ask", "web", "80", options=shared).startswith("data to")


@pytest.mark.slow
def test_addresses_that_users_choose(net: Net) -> None:
    rootlay = net.rootlay
    first = ("create", "--network", "net", "--ip")
    assert "127.64.0.0/10" in rootlay.fails(*first, "172.17.0.5", "small", "true", code=125)
    assert "user-defined network" in rootlay.fails("create", "--ip", "127.80.0.5", "small", "true", code=125)
    rootlay("run", "-d", "--name", "a", "--network", "net", "--ip", "127.80.0.5", "small", "sleep", "60")
    assert net.address("a") == "127.80.0.5"
    taken = rootlay.fails("run", "--network", "net", "--ip", "127.80.0.5", "small", "true", code=125)
    assert "127.80.0.5 is already in use" in taken


def test_options_that_conflict(net: Net) -> None:
    fails = net.rootlay.fails
    assert "conflicts" in fails("create", "--network", "host", "--network", "net", "small", "true", code=125)
    assert "twice" in fails("create", "--network", "net", "--network", "net", "small", "true", code=125)
    assert "user-defined" in fails("create", "--network-alias", "x", "small", "true", code=125)
    assert "not found" in fails("create", "--network", "absent", "small", "true", code=125)
    assert "expected name=NETWORK" in fails("create", "--network", "name=net,x=y", "small", "true", code=125)


@pytest.mark.slow
def test_inspect_shows_addresses(net: Net) -> None:
    rootlay = net.rootlay
    rootlay("run", "-d", "--name", "a", "--network", "name=net,alias=x", "small", "sleep", "60")
    [found] = json.loads(rootlay.out("inspect", "a"))
    endpoint = found["NetworkSettings"]["Networks"]["net"]
    assert endpoint["IPAddress"].startswith("127.")
    assert endpoint["Gateway"] == endpoint["IPAddress"].rpartition(".")[0] + ".1"
    assert endpoint["Aliases"] == ["x"]
    assert found["HostConfig"]["NetworkMode"] == "net"
    [network] = json.loads(rootlay.out("network", "inspect", "net"))
    [member] = network["Containers"].values()
    assert member["IPv4Address"] == f"{endpoint['IPAddress']}/24"
    [config] = network["IPAM"]["Config"]
    assert config["Gateway"] == endpoint["Gateway"]
    assert rootlay("network", "rm", "net", code=None).returncode != 0
    rootlay("rm", "-f", "a")
    assert not list((rootlay.root / "networks").glob("addresses/*"))
    assert not os.path.lexists(f"/tmp/.rl-{'.'.join(endpoint['IPAddress'].split('.')[:3])}")
    rootlay("network", "rm", "net")
    rootlay.fails("network", "inspect", "net", code=UnknownNetwork.exit_code)


@pytest.mark.slow
def test_many_starts_at_once_get_addresses_of_their_own(net: Net) -> None:
    environ = {**os.environ, "ROOTLAY_ROOT": str(net.rootlay.root)}
    words = ["run", "-d", "--network", "net", "small", "sleep", "60"]
    started = [
        subprocess.Popen([sys.executable, "-m", "rootlay.cli.main", *words], env=environ, stdout=subprocess.DEVNULL)
        for _ in range(8)
    ]
    assert [process.wait() for process in started] == [0] * 8
    names = net.rootlay.out("ps", "--format", "{{.Names}}").split()
    addresses = {net.address(name) for name in names}
    assert len(addresses) == 8
    assert {address for name, address in hosts(net.rootlay, names[0]).items() if name in names} == addresses


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_go(small: Rootlay, tmp_path: Path) -> None:
    program = Path(os.environ.get("ROOTLAY_TEST_COMPILED", "/nonexistent"), "peers-go")
    if not program.exists():
        if not shutil.which("go"):
            pytest.skip("go (Debian: golang-go) is not installed")
        environ = {**os.environ, "CGO_ENABLED": "0", "GOCACHE": str(tmp_path / "cache"), "GOFLAGS": "-mod=mod"}
        program = tmp_path / "peers"
        subprocess.run(["go", "build", "-o", str(program), str(NATIVE / "peers.go")], check=True, env=environ)
    net = Net(small, program)
    for name in ("one", "two"):
        net.serve(name, "serve", name)
    assert "listening [::]:80" in small.out("logs", "one")
    assert net.ask("ask", "one").startswith("one from 127.")
    assert net.ask("ask", "two").startswith("two from 127.")
    assert small.out("exec", "two", "/p", "ask", "localhost") in ("two from 127.0.0.1\n", "two from ::1\n")
    assert small.out("exec", "two", "/p", "ask", "[::1]") == "two from ::1\n"
    net.serve("names", "udp", "answer")
    assert net.ask("udp-ask", "names") == "answer\n"
    assert small.out("exec", "names", "/p", "udp-ask", "127.0.0.1") == "answer\n"
    assert small.out("exec", "names", "/p", "udp-ask", "[::1]") == "answer\n"
    small("rm", "-f", "one", "two", "names")


# ---- the oracle: a network namespace ------------------------------------------------------------------


@pytest.mark.oracles
@pytest.mark.needs_root("to make a network namespace")
@pytest.mark.skipif(not shutil.which("unshare"), reason="unshare is not installed")
def test_random_calls_give_what_they_give_in_a_namespace(
    small: Rootlay, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    program = compiled(tmp_path_factory, "addresses")
    seeds = range(1, 500 if os.environ.get("ROOTLAY_TEST_LONG") else 60)
    script = "ip link set lo up && ip addr add 10.9.9.9/32 dev lo && "
    script += f"for s in {' '.join(map(str, seeds))}; do echo seed $s; {program} 10.9.9.9 $s 60; done"
    expected = subprocess.run(["unshare", "-n", "sh", "-c", script], capture_output=True, text=True, check=False)
    if expected.returncode:
        pytest.skip(f"no network namespace: {expected.stderr[-200:]}")
    small("network", "create", "--internal", "net")
    inside = f"for s in {' '.join(map(str, seeds))}; do echo seed $s; /p 127.90.0.7 $s 60; done"
    words = ["run", "--rm", "--network", "net", "--ip", "127.90.0.7", "-v", f"{program}:/p:ro", "small"]
    found = small.out(*words, "sh", "-c", inside, timeout_s=600)
    assert found.splitlines() == expected.stdout.splitlines()
