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

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rootlay.store.containers.settings import Settings

RESOLVER_SETTINGS = frozenset({"dns", "dns_options", "dns_search"})
ETC_FILES = ("resolv.conf", "hosts", "hostname")


def ensure_etc(record: ContainerRecord) -> None:
    """Make the missing files, unless the container shows the machine's own root."""
    config = record.config
    if config.image == HOST_IMAGE or not (config.image or config.lowers):
        return
    if not all(os.path.exists(f"{record.path}/{name}") for name in ETC_FILES):
        write_etc(record)


def write_etc(record: ContainerRecord) -> None:
    """Write new files, each by rename."""
    hostname = record.config.hostname or os.uname().nodename
    hosts = _read("/etc/hosts") or b"127.0.0.1\tlocalhost\n::1\tlocalhost\n"
    resolver = _read("/etc/resolv.conf")
    names = record.config.hostname
    if domain := record.config.extra.get("domainname"):
        names = f"{hostname}.{domain}\t{hostname}"
    own = record.address if names or "hosts" in record.config.extra else ""
    if names and os.fsencode(names) not in hosts and not own:  # rootlay.store.networks.members names it otherwise
        hosts += os.fsencode(f"127.0.1.1\t{names}\n")
    for text in record.config.extra.get("hosts", ()):
        name, _, address = text.partition(":")
        if address == "host-gateway":  # of this machine
            address = f"{own.rpartition('.')[0]}.1" if own else "127.0.0.1"
        hosts += os.fsencode(f"{address}\t{name}\n")
    if not RESOLVER_SETTINGS.isdisjoint(record.config.extra):
        resolver = _resolver(resolver, record.config.settings)
    for name, content in zip(ETC_FILES, (resolver, hosts, os.fsencode(hostname) + b"\n"), strict=True):
        replace_file(record.path / name, content, 0o644)


def _resolver(host: bytes, settings: Settings) -> bytes:
    """Return resolv.conf(5) with the settings in place of the host's lines of the same kind. `.` is no search list."""
    given = {b"nameserver": settings.dns, b"search": settings.dns_search, b"options": settings.dns_options}
    kept = [line for line in host.splitlines() if not given.get(line.partition(b" ")[0].replace(b"domain", b"search"))]
    kept = [line for line in kept if line.strip() and not line.startswith((b"#", b";"))]
    kept += [os.fsencode(f"nameserver {address}") for address in settings.dns]
    if settings.dns_search and settings.dns_search != (".",):
        kept.append(os.fsencode(f"search {' '.join(settings.dns_search)}"))
    if settings.dns_options:
        kept.append(os.fsencode(f"options {' '.join(settings.dns_options)}"))
    return b"\n".join(kept) + b"\n"


def _read(path: str) -> bytes:
    try:
        return read_small(path)
    except (OSError, NotARegularFile):
        return b""
