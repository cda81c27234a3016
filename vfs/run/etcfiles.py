"""The files that Docker binds over /etc: the host's resolver, its hosts, and the container's name.

They lie in the container's own directory, and may be changed by what runs inside. Made when the first session needs
them, so that a container in which no program ever runs does not pay for them.
"""

from __future__ import annotations

import os

from rootlay.store.containers.record import HOST_IMAGE, ContainerRecord
from rootlay.store.disk.durable import replace_file
from rootlay.store.disk.regularfile import NotARegularFile
from rootlay.store.disk.smallfile import read_small

ETC_FILES = ("resolv.conf", "hosts", "hostname")


def ensure_etc(record: ContainerRecord) -> None:
    """Make the files that are missing, where the container is to have them: not over the machine's own root."""
    config = record.config
    if config.image == HOST_IMAGE or not (config.image or config.lowers):
        return
    if not all((record.path / name).exists() for name in ETC_FILES):
        write_etc(record)


def write_etc(record: ContainerRecord) -> None:
    """Make the files anew, each by rename."""
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
