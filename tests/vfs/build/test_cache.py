"""What a step's layer is looked up by: what matters misses, what does not hits (docs/build.md, "The cache")."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.vfs.build.conftest import Yard

COPY = "FROM base\nCOPY d /d\n"


@pytest.fixture
def kept(yard: Yard) -> Path:
    """A file that a COPY has been built of."""
    file = yard.write("d/f", "content of the cache's tests\n")
    yard.write("d/g", "x")
    yard.build(COPY)
    return file


def hits(yard: Yard, text: str = COPY, **options: Any) -> int:
    return len(yard.build(text, **options).notes.cached)


def test_time_and_place_on_disk_do_not_matter(yard: Yard, kept: Path) -> None:
    os.utime(kept, (1, 1))
    kept.parent.rename(yard.context / "e")
    (yard.context / "e").rename(kept.parent)
    content = kept.read_bytes()
    kept.unlink()
    kept.write_bytes(content)  # another inode
    assert hits(yard) == 1


def test_content_of_equal_size_and_time_matters(yard: Yard, kept: Path) -> None:
    times = kept.stat()
    kept.write_text(kept.read_text().upper())
    os.utime(kept, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert hits(yard) == 0


def test_mode_xattrs_names_links_and_types_matter(yard: Yard, kept: Path) -> None:
    kept.chmod(0o640)
    assert hits(yard) == 0
    try:
        os.setxattr(kept, "user.mark", b"1")
    except OSError:
        pytest.skip("no extended attributes on this file system")
    assert hits(yard) == 0
    os.setxattr(kept, "user.mark", b"2")
    assert hits(yard) == 0
    kept.rename(kept.parent / "h")
    assert hits(yard) == 0
    (kept.parent / "g").unlink()
    os.link(kept.parent / "h", kept.parent / "g")
    assert hits(yard) == 0
    (kept.parent / "g").unlink()
    (kept.parent / "g").mkdir()
    assert hits(yard) == 0
    assert hits(yard) == 1


def test_owner_mode_and_destination_of_the_instruction_matter(yard: Yard, kept: Path) -> None:
    for text in ("COPY --chown=1 d /d", "COPY --chmod=755 d /d", "COPY d /D", "ADD --chown=2 d /d"):
        assert hits(yard, f"FROM base\n{text}\n") == 0
        assert hits(yard, f"FROM base\n{text}\n") == 1
    assert hits(yard, "FROM base\nCOPY --chown=0:0 d /d\n") == 1  # what it is without the flag
    assert hits(yard, "FROM base\nLABEL a=b\nENV A=b\nCMD x\nCOPY d /d\n") == 1


def test_what_is_left_out_does_not_matter(yard: Yard, kept: Path) -> None:
    yard.write("elsewhere", "not copied")
    assert hits(yard) == 1
    text = "FROM base\nCOPY --exclude=*.log d /d\n"
    assert hits(yard, text) == 1
    yard.write("d/x.log", "1")
    assert hits(yard, text) == 1


def test_the_layers_below_matter_but_for_link(yard: Yard, kept: Path) -> None:
    assert hits(yard, "FROM base\nRUN echo cache-below > /below\nCOPY d /d\n") == 0
    link = "COPY --link d /linked\n"
    assert hits(yard, f"FROM base\n{link}") == 0
    assert hits(yard, f"FROM base\nRUN echo cache-below-2 > /below\n{link}") == 1


def test_arguments_matter_for_what_comes_after_them(yard: Yard) -> None:
    text = "FROM base\nRUN echo before-the-argument\nARG V=1\nRUN echo after-the-argument\n"
    assert hits(yard, text) == 0
    assert hits(yard, text) == 2
    assert hits(yard, text, build_args={"V": "2"}) == 1
    assert hits(yard, text, build_args={"V": "1"}) == 2
    assert (
        hits(yard, text, build_args={"HTTP_PROXY": "http://127.0.0.1:9"}) == 2
    )  # as BuildKit: proxies are not in keys


def test_network_hosts_and_shell_matter(yard: Yard) -> None:
    text = "FROM base\nRUN echo network-and-hosts\n"
    assert hits(yard, text) == 0
    assert hits(yard, text, hosts=(("10.0.0.1", "h"),)) == 0
    assert hits(yard, text, network="none") == 0
    assert hits(yard, 'FROM base\nSHELL ["/bin/sh", "-e", "-c"]\nRUN echo network-and-hosts\n') == 0
    assert hits(yard, text) == 1


def test_of_mounts_what_is_bound_matters_and_secrets_and_caches_do_not(yard: Yard) -> None:
    yard.write("bound/f", "1")
    yard.write("other", "1")
    bind = "FROM base\nRUN --mount=type=bind,source=bound,target=/b cat /b/f\n"
    assert hits(yard, bind) == 0
    yard.write("other", "2")
    os.utime(yard.context / "bound/f", (1, 1))
    assert hits(yard, bind) == 1
    yard.write("bound/f", "2")
    assert hits(yard, bind) == 0
    secret = "FROM base\nRUN --mount=type=secret,id=s cat /run/secrets/s\n"
    assert hits(yard, secret, secrets={"s": b"1"}) == 0
    assert hits(yard, secret, secrets={"s": b"2"}) == 1
    cache = "FROM base\nRUN --mount=type=cache,target=/c echo x >> /c/f\n"
    assert hits(yard, cache) == 0
    assert hits(yard, cache) == 1
    stage = "FROM base AS s\nRUN echo {} > /f\nFROM base\nRUN --mount=type=bind,from=s,source=/f,target=/f cat /f\n"
    assert hits(yard, stage.format("cache-mount-1")) == 0
    assert hits(yard, stage.format("cache-mount-1")) == 2
    assert hits(yard, stage.format("cache-mount-2")) == 0
