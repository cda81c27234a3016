"""The launch file: Python writes what `abi.h` reads."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from rootlay.vfs.run import launch
from rootlay.vfs.run.launch import Launch, LaunchBind, LaunchDir

ABI = (Path(__file__).parents[3] / "store" / "csrc" / "abi.h").read_text(encoding="utf-8")


def text(data: bytes, where: int) -> bytes:
    offset, length = struct.unpack_from("<II", data, where)
    assert data[offset + length] == 0
    return data[offset : offset + length]


def test_constants_equal_those_of_the_engine() -> None:
    found = {
        name: int(value.rstrip("u"), 0) for name, value in re.findall(r"#define RL_(\w+) (0x[0-9a-f]+u?|\d+u?)\b", ABI)
    }
    for ours, theirs in {
        "MAX_DIRS": "MAX_DIRS",
        "MAX_BINDS": "MAX_BINDS",
        "FLAG_PATCH": "LAUNCH_PATCH",
        "FLAG_TRACE": "LAUNCH_TRACE",
        "FLAG_UPPER": "LAUNCH_UPPER",
        "DIR_UPPER": "DIR_UPPER",
        "DIR_MARKS": "DIR_MARKS",
        "BIND_READ_ONLY": "BIND_RO",
        "BIND_PROC": "BIND_PROC",
        "BIND_OWNER": "BIND_OWNER",
        "BIND_SHOWN": "BIND_SHOWN",
        "BIND_UNLISTED": "BIND_UNLISTED",
        "BIND_RECORDS": "BIND_RECORDS",
        "BIND_LINK": "BIND_LINK",
        "DIR_WAYS": "DIR_WAYS",
    }.items():
        assert getattr(launch, ours) == found[theirs], ours
    assert f'RL_LAUNCH_MAGIC "{launch.MAGIC.decode()}"' in ABI


def test_every_field_is_where_the_format_says() -> None:
    data = Launch(
        engine=b"/e",
        dirs=(LaunchDir(b"/upper", b"/bloom", 3), LaunchDir(b"", flags=0)),
        layers=(b"/l/0", b"/l/1"),
        binds=(LaunchBind(b"/proc", b"/proc", 2), LaunchBind(b"/proc/deep", b"/x", 1)),
        view=b"/v",
        hydrator=b"/h",
        lock=b"/lock",
        host_uid=1000,
        host_gid=1001,
        map_uid=5,
        map_gid=6,
        st_dev=0x1234567890,
        flags=7,
        trace=b"/t",
        container_id=b"c" * 64,
        hostname=b"box",
        alias=b"/tmp/.rl-1",
    ).pack()
    assert data[:8] == b"RLLAUNC1"
    assert struct.unpack_from("<III", data, 8) == (1, len(data), 7)
    dirs, off_dirs, layers, off_layers, binds, off_binds = struct.unpack_from("<6I", data, 20)
    assert (dirs, layers, binds) == (2, 2, 2)
    assert [text(data, place) for place in (44, 52, 60, 68)] == [b"/v", b"/e", b"/h", b"/lock"]
    assert struct.unpack_from("<5IQ", data, 76) == (1000, 1001, 5, 6, 0, 0x1234567890)
    assert [text(data, place) for place in (104, 112, 120)] == [b"/t", b"c" * 64, b"box"]
    assert text(data, 248) == b"/tmp/.rl-1"
    assert (text(data, off_dirs), text(data, off_dirs + 8), data[off_dirs + 16]) == (b"/upper", b"/bloom", 3)
    assert text(data, off_dirs + 32) == b""
    assert [text(data, off_layers + 8 * i) for i in range(2)] == [b"/l/0", b"/l/1"]
    assert text(data, off_binds) == b"/proc/deep", "longest virtual path first"
    assert text(data, off_binds + 40) == b"/proc"


def test_what_the_engine_cannot_take_is_refused() -> None:
    with pytest.raises(ValueError, match="33 directory layers"):
        Launch(engine=b"/e", dirs=tuple(LaunchDir(b"/d%d" % i) for i in range(33))).pack()
    with pytest.raises(ValueError, match="257 mounts"):
        Launch(engine=b"/e", binds=tuple(LaunchBind(b"/b%d" % i, b"/") for i in range(257))).pack()
    with pytest.raises(ValueError, match="NUL"):
        Launch(engine=b"/e\0").pack()
