"""Programs are run in images whose configs lie: Docker's behaviour, or one clear line, never a traceback."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.hostile.configs import SHOW, Lie, lies
from tests.hostile.documents import Layout, digest_of
from tests.support.rootfs import build_rootfs

pytestmark = pytest.mark.skipif(os.geteuid() == 0, reason="runs programs of hostile images: as an ordinary user only")


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A root file system with what the configs name."""
    root = tmp_path_factory.mktemp("root")
    root.chmod(0o755)
    build_rootfs(root, ["sh", "id", "true", "echo"])
    (root / "f").write_text("a file")
    (root / "noise").write_bytes(b"\x00\x01\x02 no program")
    (root / "self").write_text("#!/self\n")
    for name in ("noise", "self"):
        (root / name).chmod(0o755)
    (root / "loop").symlink_to("loop")
    (root / "abs").symlink_to("/")
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        tar.add(root, ".")
    return out.getvalue()


def outcome(lie: Lie, layer: bytes, base: Path) -> tuple[int, str, str]:
    """Exit code, output and error of loading the image and running it."""
    layout = Layout.sound()
    layout.layer = layer
    digest = digest_of(layer)
    layout.manifest["layers"][0] |= {"digest": digest, "size": len(layer)}
    layout.config["rootfs"]["diff_ids"] = [digest]
    layout.config["config"] = {"Cmd": SHOW, **lie.config}
    layout.index["manifests"] = [
        {
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "", "size": 0,
            "annotations": {"org.opencontainers.image.ref.name": "lie:1"},
        }
    ]  # fmt: skip
    layout.write(base / "layout")
    environ = {**os.environ, "ROOTLAY_ROOT": str(base / "store"), "LC_ALL": "C.UTF-8"}
    environ.pop("A", None)
    rootlay = [sys.executable, "-m", "rootlay.cli.main"]
    for words in (["load", "-i", str(base / "layout")], ["run", "--rm", "lie:1"]):
        done = subprocess.run([*rootlay, *words], capture_output=True, env=environ, check=False, cwd="/", timeout=60)
        out, err = (text.decode("utf-8", "surrogateescape") for text in (done.stdout, done.stderr))
        if done.returncode != 0:
            break
    return done.returncode, out, err


@pytest.mark.parametrize("lie", lies(), ids=lambda lie: ascii(lie.name)[1:60])
def test_a_config_that_lies(lie: Lie, layer: bytes, tmp_path: Path) -> None:
    code, out, err = outcome(lie, layer, tmp_path)
    assert code == lie.code, (out[-500:], err[-500:])
    if code == 0:
        assert lie.words in out
        return
    assert lie.words in err
    assert "Traceback" not in err
    assert len(err.splitlines()) == 1, err
    assert len(err) < 1100, err
    containers = tmp_path / "store" / "containers"
    left = [path for path in containers.glob("*") if len(path.name) == 64] if containers.exists() else []
    assert not left
