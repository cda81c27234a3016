"""The routes: method, path, handler and parameters of everything that Docker's API 1.47 has.

The table is data: `tests/cli/api/test_routes.py` compares it with the specification. A handler is `module.function` in
this folder. The parameters are those of the query: `name` is a text, `name?` a truth value, `name#` a number, `name{}`
JSON, and `name*` may be repeated.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from rootlay.cli.api.errors import bad_parameter
from rootlay.store.model.value import value

if TYPE_CHECKING:
    from rootlay.cli.api.call import Call

_ATTACH = "detachKeys logs? stream? stdin? stdout? stderr?"
_BUILD = (
    "dockerfile t* extrahosts* remote q? nocache? cachefrom{} pull rm? forcerm? memory# memswap# cpushares# cpusetcpus "
    "cpuperiod# cpuquota# buildargs{} shmsize# squash? labels{} networkmode platform target outputs version"
)
_CACHE = "keep-storage# reserved-space# max-used-space# min-free-space# all? filters{}"
TABLE = (
    ("GET", "/_ping", "system.ping", ""),
    ("HEAD", "/_ping", "system.ping", ""),
    ("GET", "/version", "system.version", ""),
    ("GET", "/info", "system.info", ""),
    ("GET", "/system/df", "system.disk_usage", "type* verbose?"),
    ("GET", "/events", "events.stream_events", "since until filters{}"),
    ("POST", "/auth", "registries.log_in", ""),
    ("GET", "/distribution/{name}/json", "registries.inspect_distribution", ""),
    ("GET", "/containers/json", "containers.list_containers", "all? limit# size? filters{}"),
    ("POST", "/containers/create", "containers.create", "name platform"),
    ("POST", "/containers/prune", "containers.prune", "filters{}"),
    ("GET", "/containers/{id}/json", "containers.inspect", "size?"),
    ("GET", "/containers/{id}/changes", "containers.list_changes", ""),
    ("GET", "/containers/{id}/export", "containers.export", ""),
    ("POST", "/containers/{id}/rename", "containers.rename", "name"),
    ("POST", "/containers/{id}/update", "containers.update", ""),
    ("DELETE", "/containers/{id}", "containers.remove", "v? force? link?"),
    ("POST", "/containers/{id}/start", "lifecycle.start", "detachKeys"),
    ("POST", "/containers/{id}/stop", "lifecycle.stop", "signal t#"),
    ("POST", "/containers/{id}/restart", "lifecycle.restart", "signal t#"),
    ("POST", "/containers/{id}/kill", "lifecycle.kill", "signal"),
    ("POST", "/containers/{id}/pause", "lifecycle.pause", ""),
    ("POST", "/containers/{id}/unpause", "lifecycle.unpause", ""),
    ("POST", "/containers/{id}/wait", "lifecycle.wait", "condition"),
    ("GET", "/containers/{id}/top", "processes.top", "ps_args"),
    ("GET", "/containers/{id}/stats", "processes.stats", "stream? one-shot?"),
    ("GET", "/containers/{id}/logs", "streams.logs", "follow? stdout? stderr? since until timestamps? tail"),
    ("POST", "/containers/{id}/attach", "streams.attach", _ATTACH),
    ("GET", "/containers/{id}/attach/ws", "streams.attach_websocket", _ATTACH),
    ("POST", "/containers/{id}/resize", "streams.resize", "h# w#"),
    ("HEAD", "/containers/{id}/archive", "archive.head", "path"),
    ("GET", "/containers/{id}/archive", "archive.get", "path"),
    ("PUT", "/containers/{id}/archive", "archive.put", "path noOverwriteDirNonDir copyUIDGID"),
    ("POST", "/containers/{id}/exec", "execs.create", ""),
    ("POST", "/exec/{id}/start", "execs.start", ""),
    ("POST", "/exec/{id}/resize", "execs.resize", "h# w#"),
    ("GET", "/exec/{id}/json", "execs.inspect", ""),
    ("GET", "/images/json", "images.list_images", "all? filters{} filter shared-size? digests? manifests?"),
    ("POST", "/images/create", "transfer.create", "fromImage fromSrc repo tag message changes* platform"),
    ("GET", "/images/search", "registries.search", "term limit# filters{}"),
    ("POST", "/images/prune", "images.prune", "filters{}"),
    ("GET", "/images/get", "transfer.get_all", "names* platform"),
    ("POST", "/images/load", "transfer.load", "quiet? platform"),
    ("GET", "/images/{name}/json", "images.inspect", "manifests? platform"),
    ("GET", "/images/{name}/history", "images.history", "platform"),
    ("GET", "/images/{name}/get", "transfer.get", "platform"),
    ("POST", "/images/{name}/push", "transfer.push", "tag platform"),
    ("POST", "/images/{name}/tag", "images.tag", "repo tag"),
    ("DELETE", "/images/{name}", "images.remove", "force? noprune? platforms*"),
    ("POST", "/commit", "images.commit", "container repo tag comment author pause? changes*"),
    ("POST", "/build", "build.build", _BUILD),
    ("POST", "/build/prune", "build.prune", _CACHE),
    ("POST", "/session", "build.session", ""),
    ("GET", "/volumes", "volumes.list_volumes", "filters{}"),
    ("POST", "/volumes/create", "volumes.create", ""),
    ("POST", "/volumes/prune", "volumes.prune", "filters{}"),
    ("GET", "/volumes/{name}", "volumes.inspect", ""),
    ("PUT", "/volumes/{name}", "volumes.update", "version#"),
    ("DELETE", "/volumes/{name}", "volumes.remove", "force?"),
    ("GET", "/networks", "networks.list_networks", "filters{}"),
    ("POST", "/networks/create", "networks.create", ""),
    ("POST", "/networks/prune", "networks.prune", "filters{}"),
    ("GET", "/networks/{id}", "networks.inspect", "verbose? scope"),
    ("DELETE", "/networks/{id}", "networks.remove", ""),
    ("POST", "/networks/{id}/connect", "networks.connect", ""),
    ("POST", "/networks/{id}/disconnect", "networks.disconnect", ""),
)  # fmt: skip
LEFT_OUT = ("swarm", "nodes", "services", "tasks", "secrets", "configs", "plugins")
"""Parts of Docker's API that are answered with 501 (503 for those of swarm, as a daemon outside a swarm does)."""
_KINDS = {"?": "truth", "#": "number", "}": "json", "*": "many"}
_VERSION = re.compile(r"/v(\d+\.\d+)(/.*)")


@value
class Parameter:
    """A parameter of the query. `kind`: text, truth, number, json or many."""

    name: str
    kind: str


@value
class Route:
    """One route. `pattern` matches the whole path; names of images have slashes in them."""

    method: str
    path: str
    handler: str
    parameters: tuple[Parameter, ...]
    pattern: re.Pattern[str]

    def load(self) -> Callable[[Call], Any]:
        """Import the handler."""
        module, _, name = self.handler.partition(".")
        handler: Callable[[Call], Any] = getattr(importlib.import_module(f"rootlay.cli.api.{module}"), name)
        return handler

    def read(self, query: Iterable[tuple[str, str]]) -> dict[str, Any]:
        """Return the parameters, each of its kind, None if missing. Unknown ones are ignored, as in Docker.

        Raises ApiError.
        """
        found: dict[str, Any] = {each.name: [] if each.kind == "many" else None for each in self.parameters}
        kinds = {each.name: each.kind for each in self.parameters}
        for name, text in query:
            kind = kinds.get(name)
            if kind == "many":
                found[name].append(text)
            elif kind is not None and found[name] is None:
                found[name] = _parse(kind, name, text)
        return found


def _parse(kind: str, name: str, text: str) -> Any:
    if kind == "truth":  # Docker's httputils.BoolValue
        return text.strip().lower() not in ("", "0", "no", "false", "none")
    if kind == "text" or not text:
        return text if kind == "text" else None
    try:
        return json.loads(text) if kind == "json" else int(text)
    except (ValueError, RecursionError):
        raise bad_parameter(f"invalid value of {name}: {text[:80]}") from None


def _route(method: str, path: str, handler: str, parameters: str) -> Route:
    parsed = (re.fullmatch(r"([\w-]+)(\?|#|\{\}|\*|)", word) for word in parameters.split())
    found = tuple(Parameter(each[1], _KINDS.get(each[2][-1:], "text")) for each in parsed if each)
    pattern = re.escape(path).replace(r"\{id\}", "(?P<id>[^/]+)").replace(r"\{name\}", "(?P<name>.+)")
    return Route(method, path, handler, found, re.compile(pattern))


ROUTES = tuple(_route(*row) for row in TABLE)


def split_version(path: str) -> tuple[str, str]:
    """Split `/v1.41/containers/json` into version and path; the version is empty if there is none."""
    found = _VERSION.fullmatch(path)
    return (found[1], found[2]) if found else ("", path)


def find_route(method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """Return the route of a path, and the names in it; None if there is none."""
    for route in ROUTES:
        if route.method == method and (found := route.pattern.fullmatch(path)):
            return route, found.groupdict()
    return None
