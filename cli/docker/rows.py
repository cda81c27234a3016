"""The rows and columns of Docker's lists, made from the JSON of the API (docker/cli/command/formatter)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rootlay.cli.docker.ports import show_ports
from rootlay.cli.docker.table import Listing, ellipsis, joined_labels, label_method, short_id
from rootlay.cli.docker.units import ago, human_size, local_time, rfc3339
from rootlay.cli.template.lexer import quote

Json = Mapping[str, Any]
Row = dict[str, Any]

CONTAINERS = Listing(
    "*formatter.ContainerContext",
    {
        "ID": "CONTAINER ID", "Image": "IMAGE", "Command": "COMMAND", "CreatedAt": "CREATED AT",
        "RunningFor": "CREATED", "Ports": "PORTS", "State": "STATE", "Status": "STATUS", "Size": "SIZE",
        "Names": "NAMES", "Labels": "LABELS", "Mounts": "MOUNTS", "LocalVolumes": "LOCAL VOLUMES",
        "Networks": "NETWORKS", "Platform": "PLATFORM",
    },
    r"{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}",
)  # fmt: skip
IMAGES = Listing(
    "*formatter.imageContext",
    {
        "ID": "IMAGE ID", "Repository": "REPOSITORY", "Tag": "TAG", "Digest": "DIGEST", "CreatedSince": "CREATED",
        "CreatedAt": "CREATED AT", "Size": "SIZE", "Containers": "CONTAINERS", "VirtualSize": "SIZE",
        "SharedSize": "SHARED SIZE", "UniqueSize": "UNIQUE SIZE",
    },
    r"{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{if .CreatedSince }}{{.CreatedSince}}{{else}}N/A{{end}}\t{{.Size}}",
)  # fmt: skip
IMAGES_WITH_DIGESTS = Listing(IMAGES.kind, IMAGES.titles, IMAGES.table.replace("{{.ID}}", r"{{.Digest}}\t{{.ID}}"))
HISTORY = Listing(
    "*image.historyContext",
    {
        "ID": "IMAGE", "CreatedSince": "CREATED", "CreatedAt": "CREATED AT", "CreatedBy": "CREATED BY",
        "Size": "SIZE", "Comment": "COMMENT",
    },
    r"{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}",
)  # fmt: skip
VOLUMES = Listing(
    "*formatter.volumeContext",
    {
        "Name": "VOLUME NAME", "Driver": "DRIVER", "Scope": "SCOPE", "Mountpoint": "MOUNTPOINT", "Labels": "LABELS",
        "Links": "LINKS", "Size": "SIZE", "Group": "GROUP", "Availability": "AVAILABILITY", "Status": "STATUS",
    },
    r"{{.Driver}}\t{{.Name}}",
    "{{.Name}}",
)  # fmt: skip
NETWORKS = Listing(
    "*network.networkContext",
    {
        "ID": "NETWORK ID", "Name": "NAME", "Driver": "DRIVER", "Scope": "SCOPE", "IPv6": "IPV6",
        "Internal": "INTERNAL", "Labels": "LABELS", "CreatedAt": "CREATED AT", "IPv4": "IPV4",
    },
    r"{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}",
)  # fmt: skip
SEARCH = Listing(
    "*search.context",
    {
        "Name": "NAME", "Description": "DESCRIPTION", "StarCount": "STARS", "IsOfficial": "OFFICIAL",
        "IsAutomated": "AUTOMATED",
    },
    r"{{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}",
)  # fmt: skip


def container_rows(found: Iterable[Json], *, trunc: bool) -> Iterator[Row]:
    """Yield the rows of `ps`."""
    for each in found:
        image = each["Image"] or "<no image>"
        if trunc and image == each["ImageID"]:
            image = short_id(image)
        mounts = [mount.get("Name") or mount["Source"] for mount in each["Mounts"]]
        yield {
            "ID": each["Id"][:12] if trunc else each["Id"],
            "Names": ",".join(name.removeprefix("/") for name in each["Names"]),
            "Image": image,
            "Command": quote(ellipsis(each["Command"], 20) if trunc else each["Command"]),
            "CreatedAt": local_time(each["Created"]),
            "RunningFor": ago(each["Created"]),
            "Ports": show_ports(each["Ports"]),
            "State": each["State"],
            "Status": each["Status"],
            "Size": _container_size(each),
            "Labels": joined_labels(each["Labels"]),
            "Label": label_method(each["Labels"] or {}),
            "Mounts": ",".join(ellipsis(name, 15) if trunc else name for name in mounts),
            "LocalVolumes": str(sum(mount.get("Driver") == "local" for mount in each["Mounts"])),
            "Networks": ",".join(sorted(each["NetworkSettings"]["Networks"])),
        }


def _container_size(each: Json) -> str:
    own, whole = each.get("SizeRw", 0), each.get("SizeRootFs", 0)
    return human_size(own, 3) + (f" (virtual {human_size(whole, 3)})" if whole > 0 else "")


def image_rows(found: Iterable[Json], *, trunc: bool, digests: bool, by_digest: bool) -> Iterator[Row]:
    """Yield the rows of `images`: one for each name. `by_digest`: one for each digest of it."""
    for each in found:
        tags = [text.rpartition(":") for text in each["RepoTags"]]
        names = dict.fromkeys(name for name, _, _ in tags)
        others: dict[str, list[str]] = {}
        for text in each["RepoDigests"]:
            name, _, digest = text.partition("@")
            others.setdefault(name, []).append(digest)
        for name in names:
            known = others.pop(name, [])
            for tag in (tag for other, _, tag in tags if other == name):
                for digest in known if by_digest and known else ["<none>"]:
                    yield _image_row(each, name, tag, digest, trunc)
        for name, known in others.items():
            for digest in known if digests else [""]:
                yield _image_row(each, name, "<none>", digest, trunc)
        if not tags and not each["RepoDigests"]:
            yield _image_row(each, "<none>", "<none>", "<none>", trunc)


def _image_row(each: Json, name: str, tag: str, digest: str, trunc: bool) -> Row:
    size = human_size(each["Size"], 3)
    return {
        "ID": short_id(each["Id"]) if trunc else each["Id"],
        "Repository": name,
        "Tag": tag,
        "Digest": digest,
        "CreatedSince": ago(each["Created"]) if each["Created"] > 0 else "N/A",
        "CreatedAt": local_time(each["Created"]),
        "Size": size,
        "Containers": "N/A" if each["Containers"] == -1 else str(each["Containers"]),
        "VirtualSize": human_size(each["Size"]),
        "SharedSize": "N/A" if each["SharedSize"] == -1 else human_size(each["SharedSize"], 4),
        "UniqueSize": "N/A" if each["SharedSize"] == -1 else human_size(each["Size"] - each["SharedSize"], 4),
    }


def history_rows(found: Iterable[Json], *, trunc: bool, human: bool) -> Iterator[Row]:
    """Yield the rows of `history`."""
    for each in found:
        by = each["CreatedBy"].replace("\t", " ")
        since = "" if each["Created"] <= 0 else ago(each["Created"]) if human else rfc3339(each["Created"])
        yield {
            "ID": short_id(each["Id"]) if trunc else each["Id"],
            "CreatedSince": since or "N/A",
            "CreatedAt": rfc3339(each["Created"]),
            "CreatedBy": ellipsis(by, 45) if trunc else by,
            "Size": human_size(each["Size"], 3) if human else str(each["Size"]),
            "Comment": each["Comment"],
        }


def volume_rows(found: Iterable[Json]) -> Iterator[Row]:
    """Yield the rows of `volume ls`."""
    for each in found:
        usage = each.get("UsageData")
        yield {
            "Name": each["Name"],
            "Driver": each["Driver"],
            "Scope": each["Scope"],
            "Mountpoint": each["Mountpoint"],
            "Labels": joined_labels(each["Labels"]),
            "Label": label_method(each["Labels"] or {}),
            "Links": str(usage["RefCount"]) if usage else "N/A",
            "Size": human_size(usage["Size"]) if usage else "N/A",
            "Group": "N/A",
            "Availability": "N/A",
            "Status": "N/A",
        }


def network_rows(found: Iterable[Json], *, trunc: bool) -> Iterator[Row]:
    """Yield the rows of `network ls`."""
    for each in found:
        yield {
            "ID": each["Id"][:12] if trunc else each["Id"],
            "Name": each["Name"],
            "Driver": each["Driver"],
            "Scope": each["Scope"],
            "IPv4": "true" if each.get("EnableIPv4", True) else "false",
            "IPv6": "true" if each["EnableIPv6"] else "false",
            "Internal": "true" if each["Internal"] else "false",
            "Labels": joined_labels(each["Labels"]),
            "Label": label_method(each["Labels"] or {}),
            "CreatedAt": _go_time(each["Created"]),
        }


def _go_time(text: str) -> str:
    """Return Go's form of an RFC 3339 time in UTC: `2026-01-02 15:04:05.123 +0000 UTC`."""
    return text.replace("T", " ").removesuffix("Z") + " +0000 UTC"


def search_rows(found: Iterable[Json], *, trunc: bool) -> Iterator[Row]:
    """Yield the rows of `search`."""
    for each in found:
        description = each["description"].replace("\n", " ").replace("\r", " ")
        yield {
            "Name": each["name"],
            "Description": ellipsis(description, 45) if trunc else description,
            "StarCount": str(each["star_count"]),
            "IsOfficial": "[OK]" if each["is_official"] else "",
            "IsAutomated": "[OK]" if each["is_automated"] else "",
        }
