"""The files that Docker binds over /etc: the host's resolver, its hosts file, and the container's name.

They are in the container's own directory, and programs inside may change them. The first session makes them, so that a
container without programs does not need them.
"""

from __future__ import annotations

import os

from rootlay.store.containers.record import HOST_IMAGE, ContainerRecord
from rootlay.store.disk.durable import replace_file
from rootlay.store.disk.regularfile import NotARegularFile
from rootlay.store.disk.smallfile import read_small

ETC_FILES = ("resolv.conf", "hosts", "hostname")


def ensure_etc(record: ContainerRecord) -> None:
    """Make the missing files, unless the container shows the machine's own root."""
    config = record.config
    if config.image == HOST_IMAGE or not (config.image or config.lowers):
        return
    if not all((record.path / name).exists() for name in ETC_FILES):
        write_etc(record)


def write_etc(record: ContainerRecord) -> None:
    """Write new files, each by rename."""
    hostname = record.config.hostname or os.uname().nodename
    hosts = _read("/etc/hosts") or b"127.0.0.1\tlocalhost\n::1\tlocalhost\n"
    if record.config.hostname and os.fsencode(record.config.hostname) not in hosts:
        hosts += os.fsencode(f"127.0.1.1\t{record.config.hostname}\n")
    for name, content in zip(ETC_FILES, (_read("/etc/resolv.conf"), hosts, os.fsencode(hostname) + b"\n"), strict=True):
        replace_file(record.path / name, content, 0o644)


def _read(path: str) -> bytes:
    try:
        return read_small(path)
    except (OSError, NotARegularFile):
        return b""
