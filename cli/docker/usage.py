"""`system df`: what the objects of a store take on disk (docker/cli formatter/disk_usage.go)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rootlay.cli.docker.ask import ask
from rootlay.cli.docker.rows import container_rows, image_rows, volume_rows
from rootlay.cli.docker.table import Listing, execute_row, parse, print_rows, short_id
from rootlay.cli.docker.units import ago, human_size
from rootlay.cli.spec import Context
from rootlay.cli.template.values import Struct
from rootlay.vfs.docker.times import epoch_of

USAGE = Listing(
    "*formatter.diskUsageContext",
    {"Type": "TYPE", "TotalCount": "TOTAL", "Active": "ACTIVE", "Size": "SIZE", "Reclaimable": "RECLAIMABLE"},
    r"{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}",
)
_IMAGES = Listing(
    "*formatter.imageContext",
    {
        "Repository": "REPOSITORY", "Tag": "TAG", "ID": "IMAGE ID", "CreatedSince": "CREATED", "Size": "SIZE",
        "SharedSize": "SHARED SIZE", "UniqueSize": "UNIQUE SIZE", "Containers": "CONTAINERS",
    },
    r"{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.SharedSize}}\t{{.UniqueSize}}"
    r"\t{{.Containers}}",
)  # fmt: skip
_CONTAINERS = Listing(
    "*formatter.ContainerContext",
    {
        "ID": "CONTAINER ID", "Image": "IMAGE", "Command": "COMMAND", "LocalVolumes": "LOCAL VOLUMES", "Size": "SIZE",
        "RunningFor": "CREATED", "Status": "STATUS", "Names": "NAMES",
    },
    r"{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}",
)  # fmt: skip
_VOLUMES = Listing(
    "*formatter.volumeContext",
    {"Name": "VOLUME NAME", "Links": "LINKS", "Size": "SIZE"},
    r"{{.Name}}\t{{.Links}}\t{{.Size}}",
)
_CACHE = Listing(
    "*formatter.buildCacheContext",
    {
        "ID": "CACHE ID", "CacheType": "CACHE TYPE", "Size": "SIZE", "CreatedSince": "CREATED",
        "LastUsedSince": "LAST USED", "UsageCount": "USAGE", "Shared": "SHARED",
    },
    r"{{.ID}}\t{{.CacheType}}\t{{.Size}}\t{{.CreatedSince}}\t{{.LastUsedSince}}\t{{.UsageCount}}\t{{.Shared}}",
)  # fmt: skip


def print_usage(context: Context, given: str | None, *, verbose: bool) -> int:
    """Print the usage by kind; `verbose`: also each object."""
    found = ask(context, "GET", "/system/df", verbose=verbose)
    if not verbose:
        print_rows(context, USAGE, _summaries(found), given)
        return 0
    is_table = given in (None, "", "table")
    named_once = [{**each, "RepoTags": each["RepoTags"][:1], "RepoDigests": []} for each in found["Images"]]
    images = image_rows(named_once, trunc=is_table, digests=False, by_digest=False)
    parts: dict[str, tuple[Listing, Iterable[Mapping[str, Any]]]] = {
        "Images": (_IMAGES, ({**row, "Digest": ""} for row in images)),
        "Containers": (
            _CONTAINERS,
            container_rows(({**each, "SizeRootFs": 0} for each in found["Containers"]), trunc=is_table),
        ),
        "Volumes": (_VOLUMES, volume_rows(found["Volumes"])),
        "BuildCache": (_CACHE, map(_cache_row, found["BuildCache"])),
    }
    if not is_table:
        objects = {name: [Struct(listing.kind, row) for row in rows] for name, (listing, rows) in parts.items()}
        template = parse("{{json .}}" if given == "json" else str(given))
        context.out.formatted(execute_row(template, Struct(USAGE.kind, objects, objects)))
        return 0
    cache_bytes = sum(each["Size"] for each in found["BuildCache"])
    titles = {"Volumes": "Local Volumes space usage:", "BuildCache": f"Build cache usage: {human_size(cache_bytes)}"}
    for number, (name, (listing, rows)) in enumerate(parts.items()):
        context.out.formatted(("\n" if number else "") + titles.get(name, f"{name} space usage:") + "\n\n")
        print_rows(context, listing, rows, None)
    return 0


def _summaries(found: Mapping[str, Any]) -> list[dict[str, str]]:
    images, containers, volumes = found["Images"], found["Containers"], found["Volumes"]
    used_images = [each for each in images if each["Containers"] > 0]
    size = found["LayersSize"]
    used_bytes = sum(each["Size"] for each in used_images)
    live = [each for each in containers if each["State"] in ("running", "paused", "restarting")]
    used_volumes = [each for each in volumes if each["UsageData"]["RefCount"] > 0]
    cache_bytes = sum(each["Size"] for each in found["BuildCache"])
    return [
        _summary("Images", len(images), len(used_images), size, max(0, size - used_bytes)),
        _summary("Containers", len(containers), len(live), *_sizes(containers, live, lambda each: each["SizeRw"])),
        _summary(
            "Local Volumes", len(volumes), len(used_volumes),
            *_sizes(volumes, used_volumes, lambda each: each["UsageData"]["Size"]),
        ),
        _summary(
            "Build Cache", len(found["BuildCache"]), 0, cache_bytes,
            sum(each["Size"] for each in found["BuildCache"] if not each["Shared"]), percent=False,
        ),
    ]  # fmt: skip


def _sizes(everything: list[Any], used: list[Any], size_of: Any) -> tuple[int, int]:
    """Return the bytes of all objects, and of those that are not used."""
    total = sum(map(size_of, everything))
    return total, total - sum(map(size_of, used))


def _summary(kind: str, count: int, active: int, size: int, free: int, *, percent: bool = True) -> dict[str, str]:
    share = f" ({free * 100 // size}%)" if size > 0 and percent else ""
    return {
        "Type": kind,
        "TotalCount": str(count),
        "Active": str(active),
        "Size": human_size(size),
        "Reclaimable": human_size(free) + share,
    }


def _cache_row(each: Mapping[str, Any]) -> dict[str, str]:
    return {
        "ID": short_id(each["ID"]),
        "CacheType": each["Type"],
        "Size": human_size(each["Size"]),
        "CreatedSince": ago(epoch_of(each["CreatedAt"])),
        "LastUsedSince": ago(epoch_of(each["LastUsedAt"])),
        "UsageCount": str(each["UsageCount"]),
        "Shared": "true" if each["Shared"] else "false",
    }
