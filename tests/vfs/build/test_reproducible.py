"""The same input gives the same image: in other stores and directories, with other umasks, users, zones and languages.

The golden image IDs hold across machines, users (the suite runs as root and as an ordinary user) and releases.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rootlay.store.model.manifest import Platform
from rootlay.store.store import ImageStore
from tests.vfs.build.conftest import Yard

EPOCH_S = 1_700_000_000
GOLDEN = """\
FROM scratch AS files
COPY --chmod=644 --chown=1:2 data /data
COPY --chmod=0755 <<EOF /bin/tool
#!/bin/sh
EOF
FROM scratch
LABEL b=2 a=1
ENV X=1
COPY --from=files /data /srv/data
COPY --link --from=files /bin/tool /bin/
ADD --chmod=600 archive.tar /unpacked/
WORKDIR /srv/work
VOLUME /srv/data
EXPOSE 80
ENTRYPOINT ["/bin/tool"]
"""
GOLDEN_ID = "sha256:caa9bb419893c7b2eb659e5be02083534ba339610d2d413990b7981100912331"
RUNS = """\
FROM base
RUN for i in 9 3 7 1; do mkdir /d$i; echo $i > /d$i/f; done; chmod 2755 /d3
RUN ln /d1/f /d9/hard; ln -s f /d7/s; rm /etc/motd
RUN echo $RANDOM_BY_NOBODY > /d1/f; rm -r /d9; mkdir /d9; touch /d9/new
COPY . /context
WORKDIR /w
"""


def write_context(directory: Path) -> Path:
    """Files in an order and with times of their own."""
    import io
    import tarfile

    (directory / "data").mkdir(parents=True)
    for name in sorted(("b", "a", "c"), key=lambda _: os.urandom(1)):
        (directory / "data" / name).write_text(name)
        (directory / "data" / name).chmod(0o640)
    (directory / "data").chmod(0o755)
    with tarfile.open(directory / "archive.tar", "w") as tar:
        entry = tarfile.TarInfo("inside")
        entry.size, entry.mtime, entry.uid = 3, EPOCH_S + 7, 55
        tar.addfile(entry, io.BytesIO(b"tar"))
    (directory / "archive.tar").chmod(0o644)
    return directory


def test_an_image_id_is_the_same_on_every_machine(yard: Yard) -> None:
    write_context(yard.context)
    assert str(yard.build(GOLDEN, epoch_s=EPOCH_S, platform=Platform("linux", "amd64")).image.id) == GOLDEN_ID


@pytest.mark.parametrize("by", ["variable", "argument", "option"])
def test_two_places_umasks_zones_and_languages_give_one_digest(yard: Yard, tmp_path: Path, by: str) -> None:
    yard.store.save(["base"], tmp_path / "base.tar")
    digests = set()
    for number, (umask, zone, language) in enumerate(((0o022, "UTC", "C"), (0o077, "Asia/Tokyo", "C.UTF-8"))):
        home = tmp_path / f"home-{number}" / ("x" * number * 30)
        home.mkdir(parents=True)
        context = write_context(home / f"context-{number}")
        (context / "Dockerfile").write_text(RUNS)
        (context / "Dockerfile").chmod(0o644)
        context.chmod(0o755)
        ImageStore.open(home / "store").load(tmp_path / "base.tar")
        environ = {**os.environ, "HOME": str(home), "TZ": zone, "LC_ALL": language, "ROOTLAY_ROOT": str(home / "store")}
        environ |= {"SOURCE_DATE_EPOCH": str(EPOCH_S)} if by == "variable" else {"RANDOM_BY_NOBODY": str(number)}
        options = {
            "variable": (),
            "argument": ("--build-arg", f"SOURCE_DATE_EPOCH={EPOCH_S}"),
            "option": ("--source-date-epoch", str(EPOCH_S)),
        }[by]
        command = [sys.executable, "-m", "rootlay.cli.main", "build", "-q", "-t", "r", *options, "."]
        subprocess.run(command, cwd=context, env=environ, umask=umask, check=True, capture_output=True)
        digests.add(ImageStore.open(home / "store").image("r").manifest_digest)
    assert len(digests) == 1
