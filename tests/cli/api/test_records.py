"""Images, builds, volumes and networks over the API."""

from __future__ import annotations

import io
import re
import tarfile
from typing import Any

from tests.cli.api.conftest import Server
from tests.support.docker.client import Client


def test_images_are_tagged_saved_removed_loaded_and_committed(api: Client) -> None:
    api("POST", "/images/small/tag", repo="host/team/small", tag="2", status=201)
    assert "host/team/small:2" in api("GET", "/images/host/team/small:2/json").json["RepoTags"]
    saved = api("GET", "/images/host/team/small:2/get").body
    identity = api.create("true")
    api("DELETE", f"/containers/{identity}")
    removed = api("DELETE", "/images/host/team/small:2").json
    assert removed == [{"Untagged": "host/team/small:2"}]
    loaded = api("POST", "/images/load", saved)
    assert loaded.lines[-1] == {"stream": "Loaded image: host/team/small:2\n"}
    container = api.create("sh", "-c", "echo x > /made")
    api("POST", f"/containers/{container}/start")
    api("POST", f"/containers/{container}/wait")
    made = api("POST", "/commit", {}, container=container, repo="made", tag="1", changes="ENV A=b", status=201).json[
        "Id"
    ]
    assert api("GET", "/images/made:1/json").json["Id"] == made
    assert "A=b" in api("GET", "/images/made:1/json").json["Config"]["Env"]
    assert api.run("cat", "/made", image="made:1")[1] == {1: b"x\n"}
    assert api("GET", "/images/made:1/history").json[0]["Size"] > 0
    names = [
        tag for image in api("GET", "/images/json", filters={"reference": ["made"]}).json for tag in image["RepoTags"]
    ]
    assert names == ["made:1"]


def _context(**files: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return packed.getvalue()


def test_a_classic_build(api: Client) -> None:
    context = _context(Dockerfile='FROM small\nARG V\nCOPY f /f\nRUN echo made $V\nCMD ["cat", "/f"]\n', f="content\n")
    answer = api("POST", "/build", context, t="built:1", buildargs={"V": "seven"}, labels={"l": "m"})
    said = "".join(line.get("stream", "") for line in answer.lines)
    assert "Step 1/3 : FROM small" in said
    assert "made seven" in said
    assert said.endswith("Successfully tagged built:1\n")
    assert api("GET", "/images/built:1/json").json["Config"]["Labels"] == {"l": "m"}
    assert api.run(image="built:1")[1] == {1: b"content\n"}
    failed = api("POST", "/build", _context(Dockerfile="FROM small\nRUN exit 3\n")).lines[-1]
    assert failed["error"] == "The command '/bin/sh -c exit 3' returned a non-zero code: 3"
    assert failed["errorDetail"] == {"code": 3, "message": failed["error"]}
    failed = api("POST", "/build", _context(Dockerfile='FROM small\nRUN ["sh", "-c", "exit 4"]\n')).lines[-1]
    assert failed["error"] == "The command 'sh -c exit 4' returned a non-zero code: 4"
    wrong = api("POST", "/build", _context(Dockerfile="FRUM small\n"), status=400)
    assert "FRUM" in wrong.json["message"]
    assert "DOCKER_BUILDKIT=0" in api("POST", "/build", context, version=2, status=501).json["message"]


def test_volumes_and_networks_keep_records(server: Server) -> None:
    api = server.client()
    made = api("POST", "/volumes/create", {"Name": "data", "Labels": {"a": "b"}}, status=201).json
    assert made["Mountpoint"].endswith("/volumes/data/_data")
    mount = {"Type": "volume", "Source": "data", "Target": "/data"}
    assert api.run("sh", "-c", "echo kept > /data/f", HostConfig={"Mounts": [mount]})[0] == 0
    assert api.run("cat", "/data/f", HostConfig={"Binds": ["data:/data:ro"]})[1] == {1: b"kept\n"}
    assert "in use" in api("DELETE", "/volumes/data", status=409).json["message"]
    network = api("POST", "/networks/create", {"Name": "net", "Labels": {"c": "d"}}, status=201).json["Id"]
    api("POST", "/networks/create", {"Name": "net"}, status=409)
    aliases = {"EndpointsConfig": {"net": {"Aliases": ["db"]}}}
    member = api.create("sleep", "60", name="server", HostConfig={"NetworkMode": "net"}, NetworkingConfig=aliases)
    api("POST", f"/containers/{member}/start")
    other: dict[str, Any] = {"EndpointsConfig": {"net": {}}}
    code, output = api.run("cat", "/etc/hosts", HostConfig={"NetworkMode": "net"}, NetworkingConfig=other)
    assert code == 0
    assert re.search(rb"^127\.\d+\.\d+\.\d+\tdb$", output[1], re.M)
    assert server.command.out("fsck").strip() == "nothing wrong was found"
    inside = api("GET", f"/networks/{network}").json
    assert [each["Name"] for each in inside["Containers"].values()] == ["server"]
    assert "active endpoints" in api("DELETE", "/networks/net", status=403).json["message"]
    api("POST", "/networks/net/disconnect", {"Container": member})
    api("POST", "/networks/net/connect", {"Container": member, "EndpointConfig": {"Aliases": ["cache"]}})
    shown = api("GET", f"/containers/{member}/json").json["NetworkSettings"]["Networks"]["net"]
    assert shown["Aliases"] == ["cache"]
    for container in api("GET", "/containers/json", all=1).json:
        api("DELETE", f"/containers/{container['Id']}", force=1, v=1)
    api("DELETE", "/networks/net", status=204)
    api("DELETE", "/volumes/data", status=204)
    api("DELETE", "/networks/bridge", status=403)


def test_a_stopped_container_does_not_keep_its_network(api: Client) -> None:
    for name in ("one", "two"):
        api("POST", "/networks/create", {"Name": name}, status=201)
    member = api.create("sleep", "60", name="c", HostConfig={"NetworkMode": "one"})
    api("POST", "/networks/two/connect", {"Container": member})
    api("POST", f"/containers/{member}/start", status=204)
    assert "active endpoints: c" in api("DELETE", "/networks/one", status=403).json["message"]
    assert api("POST", "/networks/prune").json["NetworksDeleted"] is None
    api("POST", f"/containers/{member}/stop", t=0)
    api("DELETE", "/networks/one", status=204)
    assert api("POST", "/networks/prune").json["NetworksDeleted"] == ["two"]
    assert api("GET", f"/containers/{member}/json").json["NetworkSettings"]["Networks"].keys() == {"one", "two"}
    assert "network one not found" in api("POST", f"/containers/{member}/start", status=404).json["message"]
    api("POST", "/networks/create", {"Name": "one"}, status=201)
    assert "network two not found" in api("POST", f"/containers/{member}/start", status=404).json["message"]
    api("POST", "/networks/two/disconnect", {"Container": member}, status=200)
    api("POST", "/networks/two/disconnect", {"Container": member}, status=404)
    api("POST", f"/containers/{member}/start", status=204)


def test_commit_puts_its_body_over_the_container_s_config(api: Client) -> None:
    """The expected configs are those of a real daemon."""
    given: Any = {
        "Env": ["A=1", "B=2"], "Labels": {"x": "1", "y": "2"}, "User": "5", "WorkingDir": "/tmp",
        "ExposedPorts": {"80/tcp": {}},
    }  # fmt: skip
    member = api.create("sleep", "1", **given)

    def commit(body: Any, **query: Any) -> dict[str, Any]:
        made = api("POST", "/commit", body, container=member, status=201, **query).json["Id"]
        config = api("GET", f"/images/{made}/json").json["Config"]
        return {name: item for name, item in config.items() if item not in (None, "", [], {}, False)}

    plain = commit(None)
    assert plain == {"Cmd": ["sleep", "1"], **given, "Env": plain["Env"]}
    assert {"A=1", "B=2"} <= set(plain["Env"])
    assert commit({}) == plain
    assert commit({"Cmd": ["echo", "hi"]}) == {**plain, "Cmd": ["echo", "hi"]}
    assert commit({"Cmd": "echo hi"})["Cmd"] == ["echo hi"]
    assert commit({"Env": ["A=9", "C=3"]})["Env"][:2] == ["A=9", "C=3"]
    assert not commit({"Entrypoint": ["e"]}).keys() & {"Cmd"}
    over: Any = {
        "Labels": {"x": "9", "z": "3"}, "Env": ["A=9"], "Cmd": ["q"], "ExposedPorts": {"81/tcp": {}}, "User": "7",
        "WorkingDir": "/w", "Volumes": {"/v": {}}, "Healthcheck": {"Test": ["CMD", "x"]}, "OnBuild": ["RUN x"],
        "StopSignal": "SIGINT", "Shell": ["/bin/zz"], "Hostname": "no", "HostConfig": {"Memory": 1},
    }  # fmt: skip
    found = commit(over, changes=["ENV A=7", "LABEL x=7", 'CMD ["w"]'])
    assert {"A=7", "B=2"} <= set(found.pop("Env"))
    assert found == {
        "Cmd": ["w"], "Labels": {"x": "7", "y": "2", "z": "3"}, "ExposedPorts": {"80/tcp": {}, "81/tcp": {}},
        "User": "7", "WorkingDir": "/w", "Volumes": {"/v": {}}, "Healthcheck": {"Test": ["CMD", "x"]},
        "OnBuild": ["RUN x"], "StopSignal": "SIGINT", "Shell": ["/bin/zz"],
    }  # fmt: skip
    assert "Env" in api("POST", "/commit", {"Env": "x"}, container=member, status=400).json["message"]
