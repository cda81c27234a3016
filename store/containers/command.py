"""The command of a container in the two parts that images and Docker have. Its record has one."""

from __future__ import annotations

from collections.abc import Sequence

from rootlay.store.containers.record import ContainerRecord
from rootlay.store.containers.request import read_request


def split_command(record: ContainerRecord, image_entrypoint: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return entrypoint and arguments; either may be empty.

    Args:
        image_entrypoint: that of the container's image, which counts if the creator gave none.
    """
    request = read_request(record).config
    if request:
        return tuple(request.get("Entrypoint") or ()), tuple(request.get("Cmd") or ())
    argv, own = record.config.argv, record.config.settings.entrypoint
    first = tuple(image_entrypoint) if own is None else (own,) if own else ()
    if argv[: len(first)] != first:  # made before `entrypoint` was kept
        first = ()
    return first, argv[len(first) :]
