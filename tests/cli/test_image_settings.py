"""What a container has from its image, and an image from its container."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Rootlay


def test_a_container_has_the_labels_volumes_and_ports_of_its_image(small: Rootlay, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        "FROM small\nLABEL a=image b=image\nVOLUME /data\nEXPOSE 80\nCMD true\nONBUILD RUN false\n"
    )
    small("build", "-q", "-t", "labelled", str(tmp_path))
    small("create", "--name", "c", "-l", "b=own", "-v", "/mine", "labelled", "sleep", "100")
    found = json.loads(small.out("inspect", "c"))[0]["Config"]
    assert found["Labels"] == {"a": "image", "b": "own"}
    assert found["Volumes"] == {"/data": {}, "/mine": {}}
    assert found["ExposedPorts"] == {"80/tcp": {}}
    assert found["OnBuild"] == ["RUN false"]
    assert small.out("ps", "-aq", "--filter", "label=a=image") == small.out("ps", "-aq")
    small("start", "c")
    assert "80/tcp" in small.out("ps", "--format", "{{.Ports}}")
    assert json.loads(small.out("inspect", "c"))[0]["NetworkSettings"]["Ports"] == {"80/tcp": None}
    small("rm", "-f", "-v", "c")


def test_an_image_does_not_have_the_labels_that_say_who_uses_a_container(small: Rootlay) -> None:
    small("create", "--name", "c", "-l", "rootlay.pytest.pid=1", "-l", "a=b", "small", "true")
    small("commit", "c", "made")
    assert json.loads(small.out("inspect", "made"))[0]["Config"]["Labels"] == {"a": "b"}
