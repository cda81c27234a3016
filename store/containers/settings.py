"""The settings of a container that few containers have: health checks, restarts, limits, names, and the like.

They are the member `extra` of its configuration (docs/format.md §9), which holds only those that differ from their
defaults: a container without any of them does not import this module when it starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rootlay.store.containers.health import Health
from rootlay.store.model.value import as_dict, fields, value

SECOND_NS = 1_000_000_000


@value
class Limits:
    """Limits of all programs of a container together: bytes, 10^-9 processors, microseconds; 0: none.

    `cpuset` is a list of processors such as `0-2,4`; `pids` a number of processes and threads.
    """

    memory_bytes: int = 0
    memory_swap_bytes: int = 0
    nano_cpus: int = 0
    cpu_period_us: int = 0
    cpu_quota_us: int = 0
    cpuset: str = ""
    pids: int = 0

    @property
    def cpus(self) -> float:
        """The number of processors; 0 for all."""
        if self.nano_cpus:
            return self.nano_cpus / SECOND_NS
        return self.cpu_quota_us / (self.cpu_period_us or 100_000) if self.cpu_quota_us > 0 else 0.0


@value
class Settings:
    """See the module. `restart` is no, always, unless-stopped or on-failure[:N]; `log` is json-file or none.

    `hosts` are `NAME:ADDRESS`, `ulimits` are `NAME=SOFT:HARD`, `exposed` are `PORT/PROTOCOL`. `oom_score_adj` is of
    proc(5). `stop_timeout_s`, `attach` and `entrypoint` are None if they were not given. `entrypoint` is the first word
    of the command; empty: the image's is not used.
    """

    annotations: tuple[str, ...] = ()
    attach: tuple[str, ...] | None = None
    dns: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    domainname: str = ""
    entrypoint: str | None = None
    exposed: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    health: Health | None = None
    hosts: tuple[str, ...] = ()
    limits: Limits | None = None
    log: str = ""
    oom_score_adj: int = 0
    publish_all: bool = False
    read_only: bool = False
    restart: str = "no"
    stop_signal: str = ""
    stop_timeout_s: int | None = None
    ulimits: tuple[str, ...] = ()

    def check_words(self) -> None:
        """Check the texts that become words in files of /etc. Raises NotOneWord."""
        from rootlay.store.model.oneword import check_word

        kinds = {
            "DNS server": self.dns,
            "DNS option": self.dns_options,
            "DNS search domain": self.dns_search,
            "domain name": (self.domainname,) if self.domainname else (),
            "extra host": self.hosts,
        }
        for kind, texts in kinds.items():
            for text in texts:
                check_word(kind, text)

    def to_json(self) -> dict[str, Any]:
        """Return the members that differ from their defaults."""
        found = {name: item for name, item in as_dict(self).items() if item != getattr(DEFAULTS, name)}
        for name in ("health", "limits"):
            if name in found:
                found[name] = as_dict(found[name])
        return found

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Settings:
        """Parse what `to_json` returns. Unknown members, of a newer version, are ignored."""
        known = {name: _frozen(data[name]) for name in fields(cls) if name in data}
        if known.get("health") is not None:
            known["health"] = Health(**_known(Health, data["health"]))
        if known.get("limits") is not None:
            known["limits"] = Limits(**_known(Limits, data["limits"]))
        return cls(**known)


DEFAULTS = Settings()


def _known(kind: type, data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _frozen(data[name]) for name in fields(kind) if name in data}


def _frozen(item: Any) -> Any:
    return tuple(item) if isinstance(item, list) else item
