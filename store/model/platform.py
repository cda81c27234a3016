"""Platforms in Go's names, and the choice of an image for this machine."""

from __future__ import annotations

import os
from collections.abc import Iterable

from rootlay.store.model.errors import WrongPlatform
from rootlay.store.model.manifest import Descriptor, Platform

# uname -m to GOARCH and variant (containerd/platforms, "database.go").
_MACHINES = {
    "x86_64": ("amd64", ""),
    "amd64": ("amd64", ""),
    "i386": ("386", ""),
    "i686": ("386", ""),
    "aarch64": ("arm64", "v8"),
    "arm64": ("arm64", "v8"),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "ppc64le": ("ppc64le", ""),
    "s390x": ("s390x", ""),
    "riscv64": ("riscv64", ""),
    "loongarch64": ("loong64", ""),
}
_ATTESTATION = "vnd.docker.reference.type"


def host_platform() -> Platform:
    """Return the platform of this machine."""
    machine = os.uname().machine
    architecture, variant = _MACHINES.get(machine, (machine, ""))
    return Platform("linux", architecture, variant if architecture == "arm" else "")


def parse_platform(text: str) -> Platform:
    """Parse `linux/arm64` or `linux/arm/v7`."""
    system, _, rest = text.partition("/")
    architecture, _, variant = rest.partition("/")
    return Platform(system, architecture, variant)


def fits(wanted: Platform, found: Platform) -> bool:
    """Return whether an image for `found` runs on `wanted`. A variant matters only if both name one."""
    same = (wanted.os, wanted.architecture) == (found.os, found.architecture)
    return same and (not wanted.variant or not found.variant or wanted.variant == found.variant)


def is_attestation(descriptor: Descriptor) -> bool:
    """Return whether it is an attestation of BuildKit: a manifest about an image, for no platform."""
    platform = descriptor.platform
    nowhere = platform is not None and (platform.os, platform.architecture) == ("unknown", "unknown")
    return nowhere or _ATTESTATION in descriptor.annotations


def choose(candidates: Iterable[Descriptor], wanted: Platform) -> Descriptor:
    """Return the descriptor for `wanted`; one without a platform is chosen if no other fits.

    Raises WrongPlatform, which names the available ones.
    """
    unnamed: Descriptor | None = None
    names = []
    for descriptor in candidates:
        if is_attestation(descriptor):
            continue
        platform = descriptor.platform
        if platform is None or not platform.architecture:
            unnamed = unnamed or descriptor
        elif fits(wanted, platform):
            return descriptor
        else:
            names.append(str(platform))
    if unnamed is not None and not names:
        return unnamed
    raise WrongPlatform(str(wanted), names)
